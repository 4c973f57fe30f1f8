"""The real supervisor with the real local engine, which starts ``small_worker.py`` and loses patience sooner."""

import sys
from pathlib import Path

from trainer import supervisor
from trainer.engines.local import Local
from trainer.slots import Slots
from zoo.settings import Settings
from zoo.store import Store

if __name__ == "__main__":
    supervisor.STOP_GRACE, supervisor.QUICK_GRACE, supervisor.KILL_GRACE = 2.0, 0.6, 0.6
    worker = str(Path(__file__).with_name("small_worker.py"))
    engines, slots = {"local": Local((worker,))}, Slots(Settings.read().slots or 1)
    served = supervisor.Supervisor(Store(Path(sys.argv[2])), engines, slots, idle=1.5).serve()
    sys.exit(0 if served else 3)
