"""Whether what is said of certainty holds: coverage over splits, calibration, and a class that was kept out.

A linear head is fitted, calibrated and judged as a run does it, on splits with other seeds; each split has its own
calibration and test part. Printed: coverage of the prediction sets against the binomial 95 % band around what was
promised; the expected calibration error of ``--draws`` fits, each on a test part of ``--large`` pictures; and
how both detectors find a class they never saw, each class's figure being its mean over ``--turns`` splits. The backbone
is the one that a quick comparison of these pictures advises, as `fit --strategy auto` takes it, unless --backbone names
another.

    python tests/bench/trust.py DATA [--splits N] [--backbone ID] [--miss SHARE] [--large N] [--draws N] [--turns N]
        [--home DIR]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from numpy.typing import NDArray

from trainer.auto import advice
from trainer.conformal import coverage
from trainer.evaluation import ece_by_chance, ece_debiased, ece_with_interval, fit_temperature
from trainer.head import Head, fit_head, softmax
from trainer.trust import auroc, compared, left_out
from zoo import sources
from zoo.dataset import Dataset, split
from zoo.features import Extractor
from zoo.intake import intake
from zoo.probe import unit
from zoo.settings import Settings
from zoo.store import Store

ALLOWED = 0.03  # calibration error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--backbone", help="an id; the advised one unless told")
    parser.add_argument("--miss", type=float, default=0.1)
    parser.add_argument(
        "--large", type=int, default=400, help="pictures of the test part that calibration is judged by"
    )
    parser.add_argument("--draws", type=int, default=5, help="such test parts, each drawn anew")
    parser.add_argument("--turns", type=int, default=8, help="splits in which each class is left out")
    parser.add_argument("--home", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench(asked, asked.home or Path(scratch))


def answered(data: Dataset, x: NDArray[np.float32], seed: int) -> tuple[Any, ...]:
    """Calibrated probabilities of one fit for calibration and test part; labels of test and calibration part."""
    parts = split(data, seed)
    learned, calibration, test = parts.of("train", "select"), parts.of("calibration"), parts.of("test")
    *_, head = fit_head(x[learned], data.y[learned], data.groups[learned], len(data.classes), seed)
    assert isinstance(head, Head)
    temperature = fit_temperature(head.logits(x[calibration]), data.y[calibration], head.unseen)
    held, tested = (softmax(head.logits(x[rows]) / temperature) for rows in (calibration, test))
    return held, tested, data.y[test], data.y[calibration]


def nearest(x: NDArray[np.float32], data: Dataset, known: NDArray[np.bool_]) -> float:
    """Mean AUROC over the left-out classes of the likeness to the second nearest learned picture (Sun et al. 2022).

    Square roots and "second" were chosen on the trash photographs: a figure of theirs is a little too good.
    """
    rows, found = unit(np.sqrt(np.maximum(x, 0))), []
    for label in range(len(data.classes)):
        learned, new = known & (data.y != label), data.y == label
        far = -np.sort(rows @ rows[learned].T, axis=1)[:, -2]
        found.append(auroc(far[new], far[~known & ~new]))
    return float(np.mean(found))


def enlarged(data: Dataset, least: int, draw: int) -> Dataset:
    """``data`` with ``least`` pictures or more, whole groups of all classes, given as its test part."""
    chosen: set[int] = set()
    seed = 10 * draw
    while len(chosen) < least:
        chosen |= {int(index) for index in split(data, seed).of("test")}
        seed += 1
    items = (replace(one, given="test" if index in chosen else "train") for index, one in enumerate(data.items))
    return replace(data, items=tuple(items))


def calibrated(asked: argparse.Namespace, data: Dataset, x: NDArray[np.float32]) -> None:
    """Print the calibration error of each draw, what chance alone would show, and what is left without it."""
    reached = 0
    for draw in range(asked.draws):
        _, tested, y, _ = answered(enlarged(data, asked.large, draw), x, 0)
        sure, hit = tested.max(axis=1), tested.argmax(axis=1) == y
        error, chance, less = (
            f"{value:.3f} ({low:.3f} to {high:.3f})"
            for value, (low, high) in (ece_with_interval(sure, hit), ece_by_chance(sure), ece_debiased(sure, hit))
        )
        reached += ece_debiased(sure, hit)[1][0] <= ALLOWED
        print(
            f"  calibration error {error} on {len(y)} test pictures, {len(data) - len(y)} left to learn and calibrate "
            f"from, accuracy {hit.mean():.3f}; by chance alone {chance}; less its bias {less}",
            flush=True,
        )
    print(f"  less its bias its interval reaches {ALLOWED:.0%} in {reached} of {asked.draws} draws")


def strangers(asked: argparse.Namespace, data: Dataset, x: NDArray[np.float32]) -> None:
    """Print how each detector tells a class that it never saw from familiar pictures."""
    learned = [np.isin(np.arange(len(data)), split(data, seed).of("train", "select")) for seed in range(asked.turns)]
    splits = [list(left_out(x, data.y, known, data.classes)) for known in learned]
    turns = [
        replace(each[0], auroc={name: float(np.mean([one.auroc[name] for one in each])) for name in each[0].auroc})
        for each in zip(*splits, strict=True)
    ]
    found = compared(turns)
    for name, one in found["detectors"].items():
        low, high = one["interval"]
        classes = ", ".join(f"{turn.label} {turn.auroc[name]:.2f}" for turn in turns)
        print(
            f"  a class never seen, {name}: AUROC {one['auroc']:.3f} ({low:.3f} to {high:.3f}); {classes}", flush=True
        )
    print(f"  {found['sentence']}")
    rival = np.mean([nearest(x, data, known) for known in learned])
    print(f"  rival, not in use, likeness to the second nearest picture by square roots of features: AUROC {rival:.3f}")


def bench(asked: argparse.Namespace, home: Path) -> None:
    settings, store = Settings(home=home, offline=True, threads=os.cpu_count() or 1), Store(home)
    data = intake(asked.data, store, settings)
    backbone = asked.backbone or advice(data, store, settings)[1]["backbone"]
    x = Extractor(sources.card(backbone, settings), data, store, settings).rows(np.arange(len(data))).head
    covered, right, sizes = [], [], []
    for seed in range(asked.splits):
        held, tested, y, known = answered(data, x, seed)
        told = coverage(tested, y, held, known, data.classes, asked.miss)
        covered.append(told["coverage"])
        sizes.append(told["mean_size"])
        right.append(tested.argmax(axis=1) == y)
    n = len(right[0])
    half = 1.96 * np.sqrt(asked.miss * (1 - asked.miss) / n)
    low, high = 1 - asked.miss - half, 1 - asked.miss + half
    inside = sum(low <= share <= high for share in covered)
    print(
        f"{Path(asked.data).name}: {len(data)} pictures, {asked.splits} splits, {n} test pictures in each, {backbone}"
    )
    print(f"  accuracy {np.mean(np.concatenate(right)):.3f}")
    print(
        f"  sets for {1 - asked.miss:.0%}: mean coverage {np.mean(covered):.3f}, {min(covered):.3f} to "
        f"{max(covered):.3f}, {np.mean(sizes):.2f} classes a set; band of one split {low:.3f} to {high:.3f}, "
        f"mean {'inside' if low <= np.mean(covered) <= high else 'outside'}, {inside} of {asked.splits} splits inside"
    )
    calibrated(asked, data, x)
    strangers(asked, data, x)


if __name__ == "__main__":
    main()
