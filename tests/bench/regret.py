"""What following the advice costs against having tried everything: regret, in points of held-out accuracy.

For each dataset and seed the backbones are compared, then every arm (backbone × strategy) is trained by that strategy
and judged on the test part, which neither the comparison nor the training saw. An arm's accuracy is that of all its
test pictures over the seeds; regret is what the best arm has more than the arms that were advised. The best of many
arms is partly luck, so this regret is never too small. Beside the advice stand two simple rules for the backbone, with
the strategy advised: the most accurate, and the fastest of the ties. Features are computed once and shared by all arms.

    python tests/bench/regret.py DATA [DATA ...] [--limit N] [--seeds N] [--first SEED] [--epochs N] [--budget SECONDS]
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
FROZEN = ("linear_head", "earlier_layer")  # strategies that make no passes over the pictures


def main() -> None:
    from trainer.strategies import strategies
    from zoo.compare import EMBEDDED

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--limit", type=int, help="pictures of each dataset at most, classes keeping their shares")
    parser.add_argument("--seeds", type=int, default=1, help="splits, each with a comparison and arms of its own")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--epochs", type=int, default=3, help="passes of the runs that train by backpropagation")
    parser.add_argument("--budget", type=float, help="seconds of training a run may take")
    parser.add_argument("--backbones", nargs="+", default=list(EMBEDDED))
    parser.add_argument("--strategies", nargs="+", default=sorted(strategies()))
    parser.add_argument("--home", type=Path, help="keep what was computed there, so that a second bench is quicker")
    asked = parser.parse_args()
    from zoo.forward import keep_freed_memory, use_threads

    keep_freed_memory()
    use_threads(os.cpu_count() or 1)
    regrets = []
    with tempfile.TemporaryDirectory() as scratch:
        for data in asked.data:
            folder = limited(data, asked.limit, Path(scratch))
            regrets.append(bench(Path(data).name, folder, asked, asked.home or Path(scratch) / "home"))
    for rule in regrets[0]:
        mean = 100 * sum(regret[rule] for regret in regrets) / len(regrets)
        print(f"mean regret over {len(regrets)} datasets, {rule}: {mean:.2f} points")
    print("target of the advice: 1 at most")


def bench(name: str, data: str, asked: argparse.Namespace, home: Path) -> dict[str, float]:
    """The regret of each rule on one dataset, in 0…1; prints what it consists of."""
    from zoo.intake import intake
    from zoo.settings import Settings
    from zoo.store import Store

    begun, settings = time.perf_counter(), Settings(home=home, offline=True, threads=os.cpu_count() or 1)
    dataset = intake(data, Store(home), settings)
    scores: dict[Arm, list[Score]] = defaultdict(list)
    rules: dict[str, list[Arm]] = defaultdict(list)
    for seed in range(asked.first, asked.first + asked.seeds):
        found = compared(dataset, seed, asked.backbones, settings)
        strategy, best = found["plan"]["strategy"], max(found["backbones"], key=lambda row: float(row["accuracy"]))
        for rule, backbone in (("advice", found["plan"]["backbone"]), ("most accurate", best["id"])):
            rules[rule].append((backbone, strategy))
        rules["fastest tie"].append((found["ties"][0], strategy))
        for backbone in asked.backbones:
            for strategy in asked.strategies:
                scores[backbone, strategy].append(trained(dataset, found, (backbone, strategy), asked, settings))
                right, n = scores[backbone, strategy][-1]
                told = f"{name} seed {seed}: {backbone} {strategy} {right:.3f} of {n}"
                print(told, f"after {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    tests = sum(n for _, n in next(iter(scores.values())))
    means = {arm: sum(right * n for right, n in seen) / tests for arm, seen in scores.items()}
    top = max(means, key=lambda arm: means[arm])
    regrets = {
        rule: means[top] - sum(scores[arm][seed][0] * scores[arm][seed][1] for seed, arm in enumerate(arms)) / tests
        for rule, arms in rules.items()
    }
    print(f"{name}: {len(dataset)} pictures, {tests} test answers over {asked.seeds} seeds, {len(means)} arms")
    for arm in sorted(means, key=lambda arm: -means[arm]):
        times = rules["advice"].count(arm)
        print(f"  {arm[0]:<34} {arm[1]:<14} {means[arm]:.4f}{f'  advised {times} of {asked.seeds}' if times else ''}")
    words = ", ".join(f"{rule} {100 * regret:.2f}" for rule, regret in regrets.items())
    print(f"  regret in points: {words}; {time.perf_counter() - begun:.0f} s", flush=True)
    return regrets


def compared(dataset: Any, seed: int, backbones: list[str], settings: Any) -> dict[str, Any]:
    from zoo.compare import Question, compare
    from zoo.comparisons import Comparisons
    from zoo.store import Store

    question, store = Question(backbones=tuple(backbones), seed=seed), Store(settings.home)
    *_, last = compare(dataset, question, store, settings)
    Comparisons(store, settings).keep(question, last.as_json())  # the record of that home grows by it
    return last.as_json()


def trained(dataset: Any, found: dict[str, Any], arm: Arm, asked: argparse.Namespace, settings: Any) -> Score:
    """Held-out accuracy of what a run's worker would train, and on how many pictures."""
    from trainer.job import Job, Trained
    from trainer.networks import logits
    from trainer.plans import suggest
    from trainer.strategies import strategy as named

    changes = {} if arm[1] in FROZEN else {"epochs": asked.epochs, "budget_seconds": asked.budget}
    plan = suggest(found, dataset, settings, backbone=arm[0], strategy=arm[1], **changes)
    with tempfile.TemporaryDirectory() as folder:
        job = Job.open(plan, Path(folder), settings, lambda: False)
        for event in named(plan.strategy).fit(job):
            if isinstance(event, Trained):
                test = job.split.of("test")
                right = logits(event.network, event.embed(test)).argmax(axis=1) == dataset.y[test]
                return float(right.mean()), len(test)
    raise SystemExit(f"{arm} ended without a network")


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
