"""What runs cost over what was foretold before they started, and the median error.

Compares the three embedded backbones on DATA, so that times are measured on this machine, then makes a run by each
strategy on each backbone that is named, one after the other, and prints seconds, memory and disk. The seconds of later
runs are foretold with what the earlier ones of the same strategy took. They mean something only where nothing else uses
the machine. What --home holds is kept, and its runs taught.

    python tests/bench/cost.py [DATA] [--strategies S ...] [--backbones ID ...] [--epochs N] [--home DIR]
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
    parser.add_argument("--backbones", nargs="+", default=["embedded/tf_efficientnet_lite0"])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = given.home or Path(scratch)
        pairs = [(backbone, strategy) for backbone in given.backbones for strategy in given.strategies]
        errors = [run(given, home, backbone, strategy) for backbone, strategy in pairs]
    for name, column in zip(("seconds", "memory", "disk"), zip(*errors, strict=True), strict=True):
        print(f"median error of {name} over {len(column)} runs: {statistics.median(column):.0%}")


def run(given: argparse.Namespace, home: Path, backbone: str, strategy: str) -> tuple[float, float, float]:
    """Print one run's figures; how far seconds, memory and disk are from those foretold, as a share of them."""
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
    plan = suggest(
        comparisons.latest(dataset.id), dataset, settings, backbone=backbone, strategy=strategy, epochs=given.epochs
    )
    runs = Runs(store, settings)
    done = next(event for _, event in runs.watch(runs.start(plan)) if isinstance(event, Finished))
    assert plan.predicted_seconds and plan.predicted_memory_mb and plan.predicted_disk_mb  # noqa: PT018
    ratio = done.seconds / plan.predicted_seconds
    print(
        f"{backbone} {strategy}: {done.seconds:.0f} s, {plan.predicted_seconds:.0f} s foretold ({ratio:.2f}); "
        f"{done.peak_rss_mb:.0f} MB, {plan.predicted_memory_mb:.0f} foretold; "
        f"disk {done.disk_mb or 0:.0f} MB, {plan.predicted_disk_mb:.0f} foretold",
        flush=True,
    )
    memory, disk = done.peak_rss_mb / plan.predicted_memory_mb, (done.disk_mb or 0) / plan.predicted_disk_mb
    return abs(ratio - 1), abs(memory - 1), abs(disk - 1)


if __name__ == "__main__":
    main()
