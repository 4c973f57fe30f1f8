"""A home on a small disk of its own fills up under a run, which is resumed once there is room. Prints what it saw."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

from tests.trainer.conftest import small_plan
from trainer.engines.local import Local
from trainer.folder import RunFolder
from trainer.processes import tagged
from trainer.runs import Runs
from trainer.supervisor import Supervisor
from zoo.settings import Settings
from zoo.store import Store

if __name__ == "__main__":
    home = Path(sys.argv[1])
    runs = Runs(Store(home), Settings(home=home, offline=True), ("/bin/true",))
    watcher = Supervisor(runs.store, {"local": Local((str(Path(__file__).with_name("small_worker.py")),))})
    run_id = runs.start(small_plan(200, ms=10))
    folder = RunFolder(runs.folder(run_id))
    kept = folder.checkpoint / "weights.npz"

    def tick_until(happens: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not happens():
            assert time.monotonic() < end
            watcher.tick()
            time.sleep(0.02)

    tick_until(kept.exists)
    with suppress(OSError), (home / "filler").open("wb", buffering=0) as file:
        while file.write(b"0" * 4096):
            pass
    tick_until(lambda: not tagged(folder.path))
    watcher.tick()
    meanwhile = runs.read(run_id)
    (home / "filler").unlink()
    tick_until(lambda: not watcher.attempts)
    full = runs.read(run_id)
    step = int(np.load(kept)["step"])
    runs.resume(run_id)
    tick_until(lambda: not runs.read(run_id).active and not watcher.attempts)
    then = runs.read(run_id)
    told = {"meanwhile": meanwhile.message, "full": [full.state, full.message], "resumable": full.resumable}
    json.dump(told | {"kept": step, "then": then.state, "first_step": then.first_step}, sys.stdout)
