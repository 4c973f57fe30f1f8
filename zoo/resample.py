"""Paired comparisons by bootstrap: every backbone is judged on the same resamples of the same pictures.

Pure arithmetic. Groups are resampled whole, because their pictures rise and fall together (Davison & Hinkley 1997,
section 3.8).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000


def accuracies(right: NDArray[np.bool_], groups: NDArray[np.int64], seed: int = 0) -> NDArray[np.float64]:
    """(RESAMPLES, B) accuracy of each of B classifiers on each resample; ``right`` is (B, N)."""
    _, member = np.unique(groups, return_inverse=True)
    size = np.bincount(member)
    hits = np.stack([np.bincount(member, weights=row, minlength=len(size)) for row in right], axis=1)  # (G, B)
    times = np.random.default_rng(seed).multinomial(len(size), np.full(len(size), 1 / len(size)), RESAMPLES)
    shares: NDArray[np.float64] = (times @ hits) / (times @ size)[:, None]
    return shares


def difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile interval of ``a - b`` over paired resamples."""
    low, high = np.percentile(a - b, [2.5, 97.5])
    return float(low), float(high)


def gain_of_best(right: NDArray[np.bool_], groups: NDArray[np.int64], seed: int = 0) -> NDArray[np.float64]:
    """(R,) gain of the best row of ``right`` (T, N) over its last row, cleared of having picked the best.

    On each resample the best row is picked from the groups drawn and judged on those not drawn, so that a row that is
    best by luck gains nothing. About a third of the pictures judge at a time, which makes the spread too wide rather
    than too narrow.
    """
    _, member = np.unique(groups, return_inverse=True)
    size = np.bincount(member)
    hits = np.stack([np.bincount(member, weights=row, minlength=len(size)) for row in right], axis=1)  # (G, T)
    times = np.random.default_rng(seed).multinomial(len(size), np.full(len(size), 1 / len(size)), RESAMPLES // 4)
    out = times == 0
    enough = out.any(axis=1)
    times, out = times[enough], out[enough]
    inside = times @ hits
    picked = len(right) - 1 - inside[:, ::-1].argmax(axis=1)  # a tie goes to the deeper tap
    outside = (out @ hits) / (out @ size)[:, None]
    gain: NDArray[np.float64] = outside[np.arange(len(picked)), picked] - outside[:, -1]
    return gain
