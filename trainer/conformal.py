"""Sets of answers that hold the truth as often as a person asks, whatever the network is like: split-conformal.

A picture's score is the probability of all classes likelier than its true one (adaptive prediction sets, Romano, Sesia
and Candès, NeurIPS 2020, without their coin toss, so that a picture always gets the same set). The quantile of the
scores of calibration pictures is the threshold; a set takes classes, likeliest first, while what is likelier than them
has no more than that. It holds the truth in 1 − ``miss`` of pictures like the calibration's, or more: it is never
empty, so a classifier that is right more often than asked covers more than asked. Pure arithmetic.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.errors import BadPlan
from zoo.probe import wilson

MISS = 0.1  # how often a set may lack the truth, unless a person says otherwise
LEVELS = (0.3, 0.2, 0.1, 0.05, 0.02, 0.01)  # what a saved classifier keeps thresholds for

Rows = NDArray[np.float64]


def least(miss: float) -> int:
    """Calibration pictures without which no set can promise ``miss``: ⌈1/miss⌉ − 1."""
    return math.ceil(round(1 / miss, 9)) - 1


def set_threshold(probabilities: Rows, y: NDArray[np.int64], miss: float = MISS) -> float | None:
    """The likelier classes' probability beyond which a class is left out; None below ``least(miss)`` pictures.

    Args:
        probabilities: (M, C) of calibration pictures; y: (M,) their labels.
    """
    m = len(y)
    if m < least(miss):
        return None
    rank = math.ceil(round((m + 1) * (1 - miss), 9))
    return float(np.sort(likelier(probabilities)[np.arange(m), y])[rank - 1])


def prediction_set(probabilities: NDArray[np.float64], threshold: float) -> list[int]:
    """Classes of one picture (C,), likeliest first; all of them where ``threshold`` is 1."""
    order = np.argsort(-probabilities, kind="stable")
    before = np.cumsum(probabilities[order]) - probabilities[order]
    before[0] = 0.0
    return [int(index) for index in order[: int(np.searchsorted(before, threshold + 1e-9, side="right"))]]


def likelier(probabilities: Rows) -> Rows:
    """(N, C): for each class the probability of all classes before it, likeliest first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    before = np.cumsum(ranked, axis=1) - ranked
    before[:, 0] = 0.0
    found = np.empty_like(before)
    np.put_along_axis(found, order, before, axis=1)
    return found


def thresholds(probabilities: Rows, y: NDArray[np.int64]) -> dict[str, float]:
    """A threshold for each of ``LEVELS`` that the calibration pictures are enough for."""
    found = {f"{miss:g}": set_threshold(probabilities, y, miss) for miss in LEVELS}
    return {miss: threshold for miss, threshold in found.items() if threshold is not None}


def coverage(
    probabilities: Rows, y: NDArray[np.int64], calibration: Rows, labels: NDArray[np.int64], classes: tuple[str, ...],
    miss: float = MISS,
) -> dict[str, Any]:  # fmt: skip
    """How often the sets hold the truth on pictures that calibrated nothing, overall and class by class.

    Args:
        probabilities: (N, C) of the pictures judged; y: (N,) their labels.
        calibration: (M, C); labels: (M,).

    Returns:
        miss, threshold, n, coverage and its 95 % interval (Wilson), mean_size, alone (share of sets of one class),
        calibration (M), and per_class with n, coverage and interval.

    Raises:
        BadPlan: there are too few calibration pictures for ``miss``.
    """
    threshold = set_threshold(calibration, labels, miss)
    if threshold is None:
        raise BadPlan(
            f"{len(labels)} calibration pictures cannot promise {1 - miss:.0%}: that takes {least(miss)}.",
            f"Ask for {1 - 1 / (len(labels) + 1):.0%} or less, or add pictures.",
        )
    inside = likelier(probabilities) <= threshold + 1e-9
    held, size = inside[np.arange(len(y)), y], inside.sum(axis=1)
    return {
        "miss": miss,
        "threshold": threshold,
        "calibration": len(labels),
        "mean_size": float(size.mean()) if len(y) else None,
        "alone": float((size == 1).mean()) if len(y) else None,
        **_share(held),
        "per_class": [{"label": label, **_share(held[y == index])} for index, label in enumerate(classes)],
    }


def _share(held: NDArray[np.bool_]) -> dict[str, Any]:
    if not len(held):
        return {"n": 0, "coverage": None, "interval": [0.0, 1.0]}
    share = float(held.mean())
    return {"n": len(held), "coverage": share, "interval": list(wilson(share, len(held)))}
