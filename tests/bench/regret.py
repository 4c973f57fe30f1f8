"""What following the advice costs against having tried everything: regret, in points of held-out accuracy.

For each dataset and seed the backbones are compared, then every arm (backbone × strategy) is trained by a real run and
judged on the test part, which neither the comparison nor the training saw. An arm's accuracy is that of all its test
pictures over the seeds; regret is what the best arm has more than the arms that were advised. The best of many arms is
partly luck, so this regret is never too small.

    python tests/bench/regret.py DATA [DATA ...] [--limit N] [--seeds N] [--epochs N] [--budget SECONDS]
        [--strategies S ...] [--home DIR]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

Arm = tuple[str, str]  # backbone, strategy
Score = tuple[float, int]  # right, of how many


def main() -> None:
    from trainer.strategies import strategies
    from zoo.compare import EMBEDDED

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--limit", type=int, help="pictures of each dataset at most, classes keeping their shares")
    parser.add_argument("--seeds", type=int, default=1, help="splits, each with comparisons and runs of its own")
    parser.add_argument("--epochs", type=int, default=3, help="passes of the runs that train by backpropagation")
    parser.add_argument("--budget", type=float, help="seconds of training a run may take")
    parser.add_argument("--backbones", nargs="+", default=list(EMBEDDED))
    parser.add_argument("--strategies", nargs="+", default=sorted(strategies()))
    parser.add_argument("--home", type=Path, help="keep what was computed there, so that a second bench is quicker")
    asked = parser.parse_args()
    regrets = []
    with tempfile.TemporaryDirectory() as scratch:
        for data in asked.data:
            folder = limited(data, asked.limit, Path(scratch))
            regrets.append(bench(Path(data).name, folder, asked, asked.home or Path(scratch) / "home"))
    print(
        f"mean regret over {len(regrets)} datasets: {100 * sum(regrets) / len(regrets):.2f} points (target: 1 at most)"
    )


def bench(name: str, data: str, asked: argparse.Namespace, home: Path) -> float:
    """The regret on one dataset, in 0…1; prints what it consists of."""
    from zoo.intake import intake
    from zoo.settings import Settings
    from zoo.store import Store

    begun, settings = time.perf_counter(), Settings(home=home, offline=True, threads=os.cpu_count() or 1)
    dataset = intake(data, Store(home), settings)
    scores: dict[Arm, list[Score]] = defaultdict(list)
    advised: list[Arm] = []
    for seed in range(asked.seeds):
        found = compared(dataset, seed, asked.backbones, settings)
        advised.append((found["plan"]["backbone"], found["plan"]["strategy"]))
        for backbone in asked.backbones:
            for strategy in asked.strategies:
                scores[backbone, strategy].append(trained(dataset, found, backbone, strategy, asked, settings))
                right, n = scores[backbone, strategy][-1]
                told = f"{name} seed {seed}: {backbone} {strategy} {right:.3f} of {n}"
                print(told, f"after {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    tests = sum(n for _, n in next(iter(scores.values())))
    means = {arm: sum(right * n for right, n in seen) / tests for arm, seen in scores.items()}
    taken = [scores[arm][seed] for seed, arm in enumerate(advised)]
    followed = sum(right * n for right, n in taken) / tests
    best = max(means, key=lambda arm: means[arm])
    regret = means[best] - followed
    print(f"{name}: {len(dataset)} pictures, {tests} test answers over {asked.seeds} seeds, {len(means)} arms")
    for arm in sorted(means, key=lambda arm: -means[arm]):
        times = advised.count(arm)
        print(f"  {arm[0]:<34} {arm[1]:<14} {means[arm]:.4f}{f'  advised {times} of {asked.seeds}' if times else ''}")
    print(f"  advice followed {followed:.4f}, best {means[best]:.4f} ({best[0]}, {best[1]})")
    print(f"  regret {100 * regret:.2f} points; {time.perf_counter() - begun:.0f} s")
    return regret


def compared(dataset: Any, seed: int, backbones: list[str], settings: Any) -> dict[str, Any]:
    from zoo.compare import Question, compare
    from zoo.comparisons import Comparisons
    from zoo.store import Store

    question, store = Question(backbones=tuple(backbones), seed=seed), Store(settings.home)
    *_, last = compare(dataset, question, store, settings)
    Comparisons(store, settings).keep(question, last.as_json())  # the record of that home grows by it
    return last.as_json()


def trained(
    dataset: Any, found: dict[str, Any], backbone: str, strategy: str, asked: argparse.Namespace, settings: Any
) -> Score:
    """Held-out accuracy of a real run, and of how many pictures."""
    from trainer.plans import suggest
    from trainer.runs import Runs
    from zoo.store import Store

    changes = {} if strategy == "linear_head" else {"epochs": asked.epochs, "budget_seconds": asked.budget}
    plan = suggest(found, dataset, settings, backbone=backbone, strategy=strategy, **changes)
    runs = Runs(Store(settings.home), settings)
    run_id = runs.start(plan)
    for _ in runs.watch(run_id, every=0.5):
        pass
    run = runs.read(run_id)
    if run.state != "finished" or run.test is None:
        raise SystemExit(f"{backbone} {strategy}: {run.message}")
    return float(run.test["accuracy"]), int(run.test["n"])


def limited(data: str, limit: int | None, scratch: Path) -> str:
    """``data``, or a copy with about ``limit`` of its pictures: every k-th of each class folder."""
    if not limit or not Path(data).is_dir():
        return data
    files = [file for file in sorted(Path(data).rglob("*")) if file.is_file() and file.parent != Path(data)]
    classes: dict[Path, list[Path]] = defaultdict(list)
    for file in files:
        classes[file.parent.relative_to(data)].append(file)
    share = min(1.0, limit / len(files))
    top = scratch / f"{Path(data).name}-{limit}"
    for place, members in classes.items():
        (top / place).mkdir(parents=True)
        for number in range(max(4, round(len(members) * share))):
            if number < len(members):
                shutil.copy2(members[number * len(members) // max(4, round(len(members) * share))], top / place)
    return str(top)


if __name__ == "__main__":
    main()
