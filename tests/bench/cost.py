"""What runs cost over what was foretold before they started, and the median error.

Compares the three embedded backbones on DATA, so that times are measured on this machine, then makes a run by each
strategy as its recipe says, one after the other, and prints seconds, memory and disk. Seconds mean something only
where nothing else uses the machine.

    python tests/bench/cost.py [DATA] [--strategies S ...]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="sample")
    parser.add_argument("--strategies", nargs="+", default=["linear_head", "earlier_layer", "last_blocks", "full"])
    parser.add_argument("--epochs", type=int)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        errors = [run(given, Path(home), strategy) for strategy in given.strategies]
    print(f"median error of the seconds: {statistics.median(errors):.0%}")


def run(given: argparse.Namespace, home: Path, strategy: str) -> float:
    """Print one run's figures; how far its seconds are from those foretold, as a share of them."""
    from trainer.events import Finished
    from trainer.plans import suggest
    from trainer.runs import Runs
    from zoo.compare import Question, compare
    from zoo.comparisons import Comparisons
    from zoo.intake import SAMPLE, intake
    from zoo.settings import Settings, usable_cores
    from zoo.store import Store

    settings, store = Settings(home=home, offline=True, threads=usable_cores()), Store(home)
    dataset = intake(SAMPLE if given.data == "sample" else Path(given.data), store, settings)
    comparisons, question = Comparisons(store, settings), Question()
    if comparisons.latest(dataset.id) is None:
        *_, last = compare(dataset, question, store, settings)
        comparisons.keep(question, last.as_json())
    plan = suggest(comparisons.latest(dataset.id), dataset, settings, strategy=strategy, epochs=given.epochs)
    runs = Runs(store, settings)
    done = next(event for _, event in runs.watch(runs.start(plan)) if isinstance(event, Finished))
    assert plan.predicted_seconds
    ratio = done.seconds / plan.predicted_seconds
    print(
        f"{strategy}: {done.seconds:.0f} s, {plan.predicted_seconds:.0f} s foretold ({ratio:.2f}); "
        f"{done.peak_rss_mb:.0f} MB, {plan.predicted_memory_mb:.0f} foretold; "
        f"disk {done.disk_mb or 0:.0f} MB, {plan.predicted_disk_mb:.0f} foretold",
        flush=True,
    )
    return abs(ratio - 1)


if __name__ == "__main__":
    main()
