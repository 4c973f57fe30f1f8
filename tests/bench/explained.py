"""How long a person waits for "where did it look?" and "that's wrong", over the forward passes that they need.

    python tests/bench/explained.py RUN --home DIR [--pictures N]

RUN is a finished linear head. What the page's own code yields is timed, picture by picture, against as many bare
passes of the classifier's engine: 65 for the map by hiding parts, 54 for the deletion tests of two maps. Of the look
inside, ``cold`` includes the start of the process with torch, ``warm`` finds it there. Prints one JSON document, in
seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from trainer.explain import CHANCES, GRID, STEPS  # noqa: E402
from trainer.runs import Runs  # noqa: E402
from trainer.served import Served  # noqa: E402
from trainer.ui.asked import ask_file  # noqa: E402
from trainer.ui.shelf import Shelf  # noqa: E402
from trainer.ui.try_more import More  # noqa: E402
from zoo.network import fit  # noqa: E402
from zoo.settings import Settings  # noqa: E402
from zoo.store import Store  # noqa: E402

PASSES = 1 + GRID * GRID + (CHANCES + 2) * (STEPS + 1)


def measured(run_id: str, home: Path, count: int) -> dict[str, Any]:
    settings, store = replace(Settings.read(), home=home), Store(home)
    runs, shelf = Runs(store, settings), Shelf(store, settings)
    more, classifier = More(store, settings, runs, shelf), shelf.get(runs.classifier(run_id))
    assert isinstance(classifier, Served), "this network needs torch"
    files = sorted((ROOT / "zoo" / "sample").glob("*/*.jpg"))[:: max(1, 228 // count)][:count]
    rows: dict[str, list[float]] = {"first_map": [], "whole": [], "bare": [], "probe": [], "put_right": []}
    for path in files:
        asked = ask_file(runs, shelf, run_id, str(path))
        begun = time.perf_counter()
        came = [time.perf_counter() - begun for shown in more.explain(asked) if "<figure>" in shown]
        rows["first_map"].append(came[0])
        rows["whole"].append(came[-1])
        shown = np.repeat(fit(asked.picture, classifier.preprocessing)[None], PASSES, axis=0)
        begun = time.perf_counter()
        classifier.prepared(shown)
        rows["bare"].append(time.perf_counter() - begun)
        wrong = next(label for label in classifier.classes if label != asked.answer.label)
        begun, undo = time.perf_counter(), None
        came = []
        for *_, undo in more.correct(asked, wrong, ""):  # noqa: B007 - the last one is wanted
            came.append(time.perf_counter() - begun)
        rows["probe"].append(came[0])
        rows["put_right"].append(came[-1])
        if undo:
            more.undo(undo)
    warm = {name: float(np.median(times[1:])) for name, times in rows.items()}
    return {
        "ratio": warm["whole"] / warm["bare"],
        "passes": PASSES,
        "warm": warm,
        "cold": {name: rows[name][0] for name in ("first_map", "whole")},
        "pictures": len(files),
        "torch": "torch" in sys.modules,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=6)
    chosen = parser.parse_args()
    print(json.dumps(measured(chosen.run, chosen.home, chosen.pictures), indent=1))


if __name__ == "__main__":
    main()
