"""What following the advice costs against having tried everything: regret, in points of held-out accuracy.

For each dataset and seed the backbones are compared, then every arm (backbone × strategy) is trained by that strategy
and judged on the test part, which neither the comparison nor the training saw. Three figures are printed of each rule:

- plain: what the arm that was best on the test part has there above the advised arms. The best of many arms is partly
  luck on these very pictures, so it is too large even where nothing better than the advice exists.
- cross-halved: the best arm is chosen on one half of the test pictures and judged, against the advised, on the other,
  over many halvings. That is what a person would have gained who tried everything; the target is set to this one.
- its 95 % interval, from resamples of the test pictures, in each of which the halving is done anew.

Beside the advice stand simple rules: the advised backbone with one strategy always, and the most accurate backbone.
With --cells every arm's answers are kept in that file, and arms found there are not trained again: a long grid can be
made in pieces, and --report trains nothing more. Arms that are missing are named.

    python tests/bench/regret.py DATA [DATA ...] [--limit N] [--seeds N] [--first SEED] [--epochs N] [--budget SECONDS]
        [--backbones ID ...] [--strategies S ...] [--home DIR] [--cells FILE] [--report]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

Arm = tuple[str, str]  # backbone, strategy
Answers = dict[Arm, NDArray[np.bool_]]  # whether each test picture was answered rightly
FROZEN = ("linear_head", "earlier_layer")  # strategies that make no passes over the pictures
HALVINGS, RESAMPLES = 500, 400


def main() -> None:
    from zoo.compare import EMBEDDED

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--limit", type=int, help="pictures of each dataset at most, classes keeping their shares")
    parser.add_argument("--seeds", type=int, default=1, help="splits, each with a comparison and arms of its own")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--epochs", type=int, default=3, help="passes of the runs that train by backpropagation")
    parser.add_argument("--budget", type=float, help="seconds of training a run may take")
    parser.add_argument("--backbones", nargs="+", default=list(EMBEDDED))
    parser.add_argument("--strategies", nargs="+", default=["linear_head", "earlier_layer", "last_blocks", "full"])
    parser.add_argument("--home", type=Path, help="keep what was computed there, so that a second bench is quicker")
    parser.add_argument("--cells", type=Path, help="keep every arm's answers there, and train none that is there")
    parser.add_argument("--report", action="store_true", help="of the arms that are there; train nothing")
    asked = parser.parse_args()
    from zoo.forward import keep_freed_memory, use_threads

    keep_freed_memory()
    use_threads(os.cpu_count() or 1)
    found: list[dict[str, tuple[float, NDArray[np.float64]]]] = []
    with tempfile.TemporaryDirectory() as scratch:
        asked.cells = asked.cells or Path(scratch) / "cells.jsonl"
        for data in asked.data:
            folder = limited(data, asked.limit, Path(scratch))
            found.append(bench(Path(data).name, folder, asked, asked.home or Path(scratch) / "home"))
    if not all(found):
        return
    for rule in found[0]:
        plain = 100 * np.mean([one[rule][0] for one in found])
        draws = 100 * np.mean([one[rule][1] for one in found], axis=0)  # the first is of the pictures as they are
        low, high = np.percentile(draws[1:], [2.5, 97.5])
        print(
            f"mean over {len(found)} datasets, {rule}: {plain:.2f} points plain, "
            f"{draws[0]:.2f} ({low:.2f} to {high:.2f}) cross-halved"
        )
    print("target of the advice: 1 at most, cross-halved")


def bench(name: str, data: str, asked: argparse.Namespace, home: Path) -> dict[str, tuple[float, NDArray[np.float64]]]:
    """Of each rule the plain regret on one dataset and the cross-halved ones; prints what they consist of."""
    from zoo.intake import intake
    from zoo.settings import Settings
    from zoo.store import Store

    settings = Settings(home=home, offline=True, threads=os.cpu_count() or 1)
    dataset = intake(data, Store(home), settings)
    advised: dict[str, list[Arm]] = defaultdict(list)
    answers: dict[Arm, list[NDArray[np.bool_]]] = defaultdict(list)
    arms = [(backbone, strategy) for strategy in asked.strategies for backbone in asked.backbones]
    for seed in range(asked.first, asked.first + asked.seeds):
        comparison = compared(dataset, seed, asked.backbones, settings)
        backbone, strategy = comparison["plan"]["backbone"], comparison["plan"]["strategy"]
        best = max(comparison["backbones"], key=lambda row: float(row["accuracy"]))["id"]
        advised["the advice"].append((backbone, strategy))
        advised["the most accurate backbone, strategy as advised"].append((best, strategy))
        for always in asked.strategies:
            advised[f"the advised backbone, always {always}"].append((backbone, always))
        for arm in arms:
            row = cell(dataset, comparison, arm, asked, settings, name)
            if row is not None:
                answers[arm].append(np.array(list(row["right"])) == "1")
    missing = [arm for arm in arms if len(answers[arm]) < asked.seeds]
    if missing:
        print(f"{name}: {len(missing)} arms are missing: {missing}", flush=True)
    whole = {arm: np.concatenate(rows) for arm, rows in answers.items() if len(rows) == asked.seeds}
    rules = {
        rule: np.concatenate([answers[arm][seed] for seed, arm in enumerate(taken)])
        for rule, taken in advised.items()
        if all(arm in whole for arm in taken)
    }
    return told(name, len(dataset), whole, rules, advised["the advice"]) if rules else {}


def told(
    name: str, pictures: int, arms: Answers, rules: dict[str, NDArray[np.bool_]], advised: list[Arm]
) -> dict[str, tuple[float, NDArray[np.float64]]]:
    every = np.stack(list(arms.values()))
    means = dict(zip(arms, every.mean(axis=1), strict=True))
    print(f"{name}: {pictures} pictures, {every.shape[1]} test answers, {len(arms)} arms")
    for arm in sorted(means, key=lambda arm: -means[arm]):
        times = f"  advised {advised.count(arm)} of {len(advised)}" if arm in advised else ""
        print(f"  {arm[0]:<34} {arm[1]:<14} {means[arm]:.4f}{times}")
    found = {}
    for rule, right in rules.items():
        plain, crossed = max(means.values()) - right.mean(), regrets(every, right)
        low, high = np.percentile(100 * crossed[1:], [2.5, 97.5])
        print(f"  {rule}: {100 * plain:.2f} plain, {100 * crossed[0]:.2f} ({low:.2f} to {high:.2f}) cross-halved")
        found[rule] = float(plain), crossed
    sys.stdout.flush()
    return found


def regrets(every: NDArray[np.bool_], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The cross-halved regret of ``right`` (N,) among ``every`` (A, N), then those of resampled pictures.

    Within a resample a picture that was drawn twice lies in one half, or the halves would know each other.
    """
    rng = np.random.default_rng(0)
    count = every.shape[1]
    gains = np.vstack([every, right]).astype(float)
    draws = [np.ones(count), *rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(float)]
    return np.array([crossed(gains, drawn, rng, HALVINGS if not n else 20) for n, drawn in enumerate(draws)])


def crossed(gains: NDArray[np.float64], drawn: NDArray[np.float64], rng: np.random.Generator, halvings: int) -> float:
    half = rng.permuted(np.tile(np.arange(gains.shape[1]) % 2 == 0, (halvings, 1)), axis=1)
    total = 0.0
    for chosen_on in (half * drawn, ~half * drawn):
        picked = (chosen_on @ gains[:-1].T).argmax(axis=1)
        judged_on = drawn - chosen_on
        shares = (judged_on @ gains.T) / judged_on.sum(axis=1, keepdims=True)
        total += float((shares[np.arange(halvings), picked] - shares[:, -1]).mean())
    return total / 2


def compared(dataset: Any, seed: int, backbones: list[str], settings: Any) -> dict[str, Any]:
    from zoo.compare import Question, compare
    from zoo.comparisons import Comparisons
    from zoo.store import Store

    question, store = Question(backbones=tuple(backbones), seed=seed), Store(settings.home)
    *_, last = compare(dataset, question, store, settings)
    Comparisons(store, settings).keep(question, last.as_json())  # the record of that home grows by it
    return last.as_json()


def cell(
    dataset: Any, found: dict[str, Any], arm: Arm, asked: argparse.Namespace, settings: Any, name: str
) -> dict[str, Any] | None:
    """What became of one arm: read where it is known, trained and written down where it is not."""
    key = {"pictures": dataset.id, "seed": found["seed"], "backbone": arm[0], "strategy": arm[1]}
    key |= {} if arm[1] in FROZEN else {"epochs": asked.epochs, "budget": asked.budget}
    rows = asked.cells.read_text(encoding="utf-8").splitlines() if asked.cells.exists() else []
    for row in map(json.loads, rows):
        if key.items() <= row.items():
            return dict(row)
    if asked.report:
        return None
    begun = time.perf_counter()
    right = trained(dataset, found, arm, asked, settings)
    seconds = time.perf_counter() - begun
    row = key | {"data": name, "seconds": round(seconds, 1), "right": "".join(str(int(one)) for one in right)}
    with asked.cells.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    said = f"{name} seed {found['seed']}: {arm[0]} {arm[1]} {right.mean():.3f} of {len(right)} in {seconds:.0f} s"
    print(said, file=sys.stderr, flush=True)
    return row


def trained(
    dataset: Any, found: dict[str, Any], arm: Arm, asked: argparse.Namespace, settings: Any
) -> NDArray[np.bool_]:
    """Which held-out pictures what a run's worker would train is right on."""
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
                right: NDArray[np.bool_] = logits(event.network, event.embed(test)).argmax(axis=1) == dataset.y[test]
                return right
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
