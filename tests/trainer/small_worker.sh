# A worker in miniature that starts in milliseconds: steps, a checkpoint, stop and resume, as trainer/work.py does them.
# A run of some priority goes on until it is stopped, or until there is a file "hurry" in the studio's home.
run=$1
say() { printf '%s\n' "{\"event\": \"$1\", \"at\": 1, $2}" >>"$run/events.jsonl"; }
mkdir "$run/at-work" || echo "two workers at once" >>"$run/wrong"
trap 'rmdir "$run/at-work"' EXIT
step=$(cat "$run/kept" 2>/dev/null || echo 0)
say started "\"step\": $step, \"steps\": 3, \"epochs\": 1, \"device\": \"cpu\", \"processes\": 1, \"precision\": \"no\", \"pid\": $$"
while [ "$step" -lt 3 ]; do
  if [ -e "$run/STOP" ]; then
    say stopped "\"step\": $step"
    exit
  fi
  sleep 0.02
  if [ -e "$run/PRIORITY" ] && [ ! -e "$run/RESUME" ] && [ ! -e "$run/../../hurry" ]; then continue; fi
  step=$((step + 1))
  say step "\"step\": $step, \"epoch\": 1, \"loss\": 1, \"learning_rate\": 1"
  echo "$step" >"$run/kept.draft" && mv "$run/kept.draft" "$run/kept"
done
say finished '"test": {"n": 1, "accuracy": 1.0}, "seconds": 1, "forward_seconds": 1, "peak_rss_mb": 1'
