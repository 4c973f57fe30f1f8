"""Paired comparisons by bootstrap: every backbone is judged on the same resamples of the same pictures.

Pure arithmetic. Groups are resampled whole, because their pictures rise and fall together (Davison & Hinkley 1997,
section 3.8).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from zoo.probe import Z

RESAMPLES = 2000
AT_ONCE = 4_000_000  # drawn counts held in memory
DRAWN = 200_000_000  # drawn counts in all: of very many groups fewer resamples are taken, for they differ less


def accuracies(right: NDArray[np.bool_], groups: NDArray[np.int64], seed: int = 0) -> NDArray[np.float64]:
    """(R, B) accuracy of each of B classifiers on each of R resamples, 2000 of them unless there are very many groups.

    Args:
        right: (B, N) whether each is right on each picture.
        groups: (N,) groups that are resampled whole.
    """
    size, hits = _by_group(right, groups)
    return np.concatenate([(times @ hits) / (times @ size)[:, None] for times in _draws(len(size), RESAMPLES, seed)])


def balanced(
    right: NDArray[np.bool_], y: NDArray[np.int64], groups: NDArray[np.int64], seed: int = 0
) -> NDArray[np.float64]:
    """(R, B) balanced accuracy, the mean over the classes drawn, on the resamples that ``accuracies`` takes.

    Args:
        right: (B, N) whether each is right on each picture.
        y: (N,) labels.
        groups: (N,) groups that are resampled whole.
    """
    _, member = np.unique(groups, return_inverse=True)
    count = int(member.max()) + 1
    classes = [(y == label).nonzero()[0] for label in np.unique(y)]
    shares = []
    for times in _draws(count, RESAMPLES, seed):
        total, drawn = np.zeros((len(times), len(right))), np.zeros((len(times), 1))
        for rows in classes:
            weight = times[:, member[rows]]
            size = weight.sum(axis=1, keepdims=True)
            total += (weight @ right[:, rows].T) / np.maximum(size, 1)
            drawn += size > 0
        shares.append(total / drawn)
    return np.concatenate(shares)


def mid_p(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Exact McNemar test with mid-p, two-sided, of two classifiers on the same pictures (Fagerland et al. 2013).

    Only pictures on which one is right and the other is not tell them apart: 2 P(X ≤ k) − P(X = k), X binomial with
    n such pictures and ½, k the fewer. Pictures count as independent, whatever their groups.
    """
    a, b = int((one & ~other).sum()), int((other & ~one).sum())
    n, k = a + b, min(a, b)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])  # ln i!
    upto = np.arange(k + 1)
    chance = np.exp(logs[n] - logs[upto] - logs[n - upto] - n * np.log(2))
    return float(min(1.0, 2 * chance.sum() - chance[-1]))


def behind(chances: NDArray[np.float64], shares: NDArray[np.float64], level: float = 0.05) -> NDArray[np.bool_]:
    """(B,) whether each classifier is surely behind the first, which is the best; the others tie with it.

    Both must say so: the paired resamples, which know groups, and the exact test, which stays honest where few
    pictures tell two classifiers apart.

    Args:
        chances: (B,) ``mid_p`` of each against the first.
        shares: (R, B) as ``accuracies`` gives them.
    """
    ends = [difference(shares[:, index], shares[:, 0])[1] for index in range(len(chances))]
    return (np.array(ends) < 0) & (chances < level)


def at_once(rights: Sequence[NDArray[np.bool_]], groups: NDArray[np.int64], seed: int = 0) -> float:
    """Half the width, in standard deviations, of intervals that hold for all classifiers together 95 times in 100.

    The best of many was picked because it did well, so an interval for one alone is too hopeful for it. This is the
    95 % quantile, over paired resamples, of the largest deviation among the classifiers, each in standard deviations of
    its own (Romano and Wolf 2005). Copies of one classifier deviate together and widen nothing.

    Args:
        rights: of each classifier whether it is right on the first pictures, not of all the same number.
        groups: (N,) groups that are resampled whole.
    """
    if len(rights) < 2:
        return Z
    _, member = np.unique(groups, return_inverse=True)
    count = int(member.max()) + 1
    size = np.stack([np.bincount(member[: len(row)], minlength=count) for row in rights], axis=1)
    hits = np.stack([np.bincount(member[: len(row)], weights=row, minlength=count) for row in rights], axis=1)
    shares = np.concatenate([times @ hits / np.maximum(times @ size, 1) for times in _draws(count, RESAMPLES, seed)])
    spread = shares.std(axis=0)
    away = np.abs(shares - hits.sum(axis=0) / size.sum(axis=0)) / np.where(spread > 0, spread, np.inf)
    return max(Z, float(np.quantile(away.max(axis=1), 0.95)))


def _by_group(right: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(G,) pictures of each group and (G, B) how many of them each classifier gets right."""
    _, member = np.unique(groups, return_inverse=True)
    size = np.bincount(member)
    return size, np.stack([np.bincount(member, weights=row, minlength=len(size)) for row in right], axis=1)


def _draws(groups: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each group is drawn, some resamples at a time."""
    rng, left = np.random.default_rng(seed), max(200, min(resamples, DRAWN // groups))
    even = np.full(groups, 1 / groups)
    while left > 0:
        several = min(left, max(1, AT_ONCE // groups))
        left -= several
        yield rng.multinomial(groups, even, several)


def difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile interval of ``a - b`` over paired resamples."""
    low, high = np.percentile(a - b, [2.5, 97.5])
    return float(low), float(high)


def mean_interval(values: NDArray[np.float64], groups: NDArray[np.int64]) -> tuple[float, float, float]:
    """Mean of (N,) ``values`` and the ends of its 95 % interval, groups counting as one draw each."""
    mean = float(values.mean())
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=values - mean)
    error = Z * float(np.sqrt((sums**2).sum() * len(sums) / max(1, len(sums) - 1))) / len(values)
    return mean, mean - error, mean + error


def gain_of_best(right: NDArray[np.bool_], groups: NDArray[np.int64], seed: int = 0) -> NDArray[np.float64]:
    """(R,) gain of the best row of ``right`` (T, N) over its last row, cleared of having picked the best.

    On each resample the best row is picked from the groups drawn and judged on those not drawn, so that a row that is
    best by luck gains nothing. About a third of the pictures judge at a time, which makes the spread too wide rather
    than too narrow.
    """
    size, hits = _by_group(right, groups)
    return np.concatenate([_gains(times, size, hits) for times in _draws(len(size), RESAMPLES // 4, seed)])


def _gains(times: NDArray[np.int64], size: NDArray[np.int64], hits: NDArray[np.float64]) -> NDArray[np.float64]:
    out = times == 0
    enough = out.any(axis=1)
    times, out = times[enough], out[enough]
    inside = times @ hits
    picked = hits.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)  # a tie goes to the deeper tap
    outside = (out @ hits) / (out @ size)[:, None]
    gain: NDArray[np.float64] = outside[np.arange(len(picked)), picked] - outside[:, -1]
    return gain
