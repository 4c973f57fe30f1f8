"""A page in miniature: starts the runs whose plans it is given, says their ids, then stays open."""

import json
import sys
import time
from pathlib import Path

from trainer.plan import Plan
from trainer.runs import Runs
from zoo.settings import Settings
from zoo.store import Store

if __name__ == "__main__":
    home, supervise, plans = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
    runs = Runs(Store(home), Settings(home=home, offline=True), supervise)
    sys.stdout.write(json.dumps([runs.start(Plan.from_json(plan)) for plan in plans]) + "\n")
    sys.stdout.flush()
    time.sleep(600)
