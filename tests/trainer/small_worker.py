"""A real worker in miniature: logistic regression by gradient descent, with events, checkpoints, stop and resume.

Started as the studio's own worker is, in ``python small_worker.py RUN_DIR``. The plan's epochs are its steps, its
budget is how many milliseconds a step takes at least. Its seed makes it misbehave, for the supervisor to see:
1 ignores a stop, 2 dies at once, 3 lingers after its last word, 4 starts a child in a session of its own.
"""

import hashlib
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from trainer import commands
from trainer.events import Finished, Started, Step, Stopped
from trainer.folder import RunFolder, stop_requested
from trainer.processes import die_with_launcher
from zoo.settings import launched_rank
from zoo.store import write_bytes

DEAF, SHORT_LIVED, LINGERING, PARENT = 1, 2, 3, 4


def train(folder: RunFolder) -> None:
    plan, log = folder.plan(), folder.log
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 5)), rng.integers(0, 2, 40)
    kept = folder.checkpoint / "weights.npz"
    saved = dict(np.load(io.BytesIO(kept.read_bytes()))) if kept.exists() else {"w": np.zeros(5), "step": np.array(0)}
    w, first = saved["w"], int(saved["step"])
    log.append(
        Started(step=first, steps=plan.epochs, epochs=1, device="cpu", processes=1, precision="no", pid=os.getpid())
    )
    for step in range(first + 1, plan.epochs + 1):
        p = 1 / (1 + np.exp(-(x @ w)))
        w = w - plan.learning_rate * x.T @ (p - y) / 40
        loss = float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))
        log.append(Step(step=step, epoch=1, loss=loss, learning_rate=plan.learning_rate))
        if step % 5 == 0 or stop_requested(folder.path):
            file = io.BytesIO()
            np.savez(file, w=w, step=np.array(step))
            write_bytes(kept, file.getvalue())
        if stop_requested(folder.path) and plan.seed != DEAF:
            log.append(Stopped(step=step))
            return
        time.sleep((plan.budget_seconds or 0) / 1000)
    write_bytes(folder.classifier / "weights", w.tobytes())
    test = {"n": 40, "accuracy": float(np.mean((x @ w > 0) == y)), "hash": hashlib.sha256(w.tobytes()).hexdigest()}
    log.append(Finished(test=test, seconds=1.0, forward_seconds=0.5, peak_rss_mb=30.0))
    if plan.seed == LINGERING:
        time.sleep(600)


if __name__ == "__main__":
    run = RunFolder(Path(sys.argv[1]))
    rank = launched_rank()
    if rank is not None:
        die_with_launcher(run.path)
    if run.plan().seed == SHORT_LIVED:
        raise SystemExit("I was short-lived.")
    if run.plan().seed == PARENT:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    if rank:
        time.sleep(600)
    with commands._telling(run):  # what ends it is told as the real worker tells it
        train(run)
