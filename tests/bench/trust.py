"""Whether what is said of certainty holds: coverage over splits, calibration, and a class that was kept out.

A linear head is fitted, calibrated and judged as a run does it, on splits with other seeds; each split has its own
calibration and test part. Printed: coverage of the prediction sets against the binomial 95 % band around what was
promised, the expected calibration error over all test answers, and how both detectors find a class they never saw.

    python tests/bench/trust.py DATA [--splits N] [--backbone ID] [--miss SHARE] [--home DIR]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from trainer.conformal import coverage
from trainer.evaluation import ece_with_interval, fit_temperature
from trainer.head import Head, fit_head, softmax
from trainer.trust import compared, left_out
from zoo import sources
from zoo.dataset import split
from zoo.features import Extractor
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--backbone", default="embedded/tf_efficientnet_lite0")
    parser.add_argument("--miss", type=float, default=0.1)
    parser.add_argument("--home", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench(asked, asked.home or Path(scratch))


def bench(asked: argparse.Namespace, home: Path) -> None:
    settings, store = Settings(home=home, offline=True, threads=os.cpu_count() or 1), Store(home)
    data = intake(asked.data, store, settings)
    x = Extractor(sources.card(asked.backbone, settings), data, store, settings).rows(np.arange(len(data))).head
    covered, sure, right, sizes = [], [], [], []
    for seed in range(asked.splits):
        parts = split(data, seed)
        learned, calibration, test = parts.of("train", "select"), parts.of("calibration"), parts.of("test")
        y, groups = data.y[learned], data.groups[learned]
        *_, head = fit_head(x[learned], y, groups, len(data.classes), seed)
        assert isinstance(head, Head)
        temperature = fit_temperature(head.logits(x[calibration]), data.y[calibration])
        held, tested = (softmax(head.logits(x[rows]) / temperature) for rows in (calibration, test))
        told = coverage(tested, data.y[test], held, data.y[calibration], data.classes, asked.miss)
        covered.append(told["coverage"])
        sizes.append(told["mean_size"])
        sure.append(tested.max(axis=1))
        right.append(tested.argmax(axis=1) == data.y[test])
    n = len(right[0])
    half = 1.96 * np.sqrt(asked.miss * (1 - asked.miss) / n)
    low, high = 1 - asked.miss - half, 1 - asked.miss + half
    inside = sum(low <= share <= high for share in covered)
    print(f"{Path(asked.data).name}: {len(data)} pictures, {asked.splits} splits, {n} test pictures in each")
    print(f"  accuracy {np.mean(np.concatenate(right)):.3f}")
    print(
        f"  sets for {1 - asked.miss:.0%}: mean coverage {np.mean(covered):.3f}, {min(covered):.3f} to "
        f"{max(covered):.3f}, {np.mean(sizes):.2f} classes a set; band of one split {low:.3f} to {high:.3f}, "
        f"mean {'inside' if low <= np.mean(covered) <= high else 'outside'}, {inside} of {asked.splits} splits inside"
    )
    error, span = ece_with_interval(np.concatenate(sure), np.concatenate(right))
    print(
        f"  calibration error {error:.3f} ({span[0]:.3f} to {span[1]:.3f}) over {n * asked.splits} answers, pictures "
        "of several splits among them"
    )
    known = np.isin(np.arange(len(data)), split(data, 0).of("train", "select"))
    found = compared(list(left_out(x, data.y, known, data.classes)))
    for name, one in found["detectors"].items():
        print(f"  a class never seen, {name}: AUROC {one['auroc']:.3f} {one['interval']}")
    print(f"  {found['sentence']}")


if __name__ == "__main__":
    main()
