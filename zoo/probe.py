"""Classifiers on frozen features that need no training loop: closed-form ridge with exact leave-one-out, and kNN.

Pure arithmetic: arrays in, values out.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]

Z = 1.959964  # standard deviations of a 95 % interval
FEW_GROUPS = 10
IN_MEMORY = 8_192  # rows; a probe of more reads its features block by block
BLOCK = 4_096
ROUNDING = 1e-12  # variance a row, of rows of length 1, below which it is that of rounding
LAMBDAS = 10.0 ** np.linspace(-3, 6, 20)  # times tr(FᵀF)/D


@dataclass(frozen=True)
class Probe:
    """What a ridge classifier gets right on pictures it was not fitted to.

    Attributes:
        predicted: (N,) class of each picture by the fit without it, where how common the classes are counts as known.
        scores: (N, C) left-out regression scores.
        accuracy: share of ``predicted`` that is right.
        interval: 95 % interval of ``accuracy``.
        penalty: the ridge penalty chosen, relative to the mean variance of a feature.
    """

    predicted: Ints
    scores: NDArray[np.float64]
    accuracy: float
    interval: tuple[float, float]
    penalty: float


def ridge(x: Floats, y: Ints, groups: Ints | None = None, classes: int | None = None) -> Probe:
    """Ridge regression on one-hot labels, each picture (each group) predicted by the fit without it.

    With centred F = U S Vᵀ the hat matrix is H = 11ᵀ/N + U diag(s²/(s²+λ)) Uᵀ. Leave-one-out predictions are
    (ŷᵢ − hᵢᵢ yᵢ) / (1 − hᵢᵢ); a left-out group G has Y_G − (I − H_GG)⁻¹ (Y − HY)_G. Both are exact, without a refit
    (Cook & Weisberg 1982, section 2.2). The penalty is the one of 20 with the least squared left-out error.

    Args:
        x: (N, D) features; each row gets the square root of its sizes and length 1 here, as ``even`` does.
        y: (N,) labels in 0…C−1.
        groups: (N,) group numbers; pictures of one group are left out together.
        classes: C, where ``y`` may lack the last classes.

    Raises:
        ValueError: fewer than two pictures, or lengths that differ.
    """
    if len(x) != len(y) or len(y) < 2:
        raise ValueError(f"a probe needs two or more labelled rows, not {len(x)} rows and {len(y)} labels")
    if len(x) > max(IN_MEMORY, x.shape[1]):
        return streamed(x, y, groups, classes)
    targets = np.eye(classes or int(y.max()) + 1)[y]
    u, variance = _basis(even(x))
    mean_variance = variance.sum() / x.shape[1] or 1.0
    projected = u.T @ targets
    crowds = _crowds(groups)
    share = targets.mean(axis=0)
    best: tuple[float, float, NDArray[np.float64]] | None = None
    for penalty in LAMBDAS:
        weight = variance / (variance + penalty * mean_variance)
        left_out = _left_out(u, weight, projected, targets, crowds, share, len(x))
        error = float(np.mean((left_out - targets) ** 2))
        if best is None or error < best[0]:
            best = error, float(penalty), left_out
    assert best is not None
    return _probe(best[2], best[1], y, groups)


def streamed(x: Floats, y: Ints, groups: Ints | None = None, classes: int | None = None, block: int = BLOCK) -> Probe:
    """What ``ridge`` gives, to 1e-8, with memory for ``block`` rows instead of all: ``x`` may be mapped from a file.

    The first pass adds up FᵀF and FᵀY, the second the left-out errors of every penalty, the third gives the scores of
    the best one. All sums are of 64 bits. Meant for N well above D.
    """
    n, d = x.shape
    count = classes or int(y.max()) + 1
    hot = np.eye(count)
    total, gram, cross = np.zeros(d), np.zeros((d, d)), np.zeros((d, count))
    for first in range(0, n, block):
        f = even(x[first : first + block])
        total += f.sum(axis=0)
        gram += f.T @ f
        cross += f.T @ hot[y[first : first + block]]
        _forget(x)
    mean, share = total / n, np.bincount(y, minlength=count) / n
    variance, v = np.linalg.eigh(gram - n * np.outer(mean, mean))
    keep = variance > max(variance[-1] * 1e-10, n * ROUNDING)
    variance, v = variance[keep], v[:, keep] / np.sqrt(variance[keep])
    projected = v.T @ (cross - n * np.outer(mean, share))
    weights = [variance / (variance + penalty * (variance.sum() / d or 1.0)) for penalty in LAMBDAS]
    pieces = list(_pieces(n, _crowds(groups), block))
    errors = np.zeros(len(weights))
    for rows, crowds in pieces:
        u, targets = (even(x[rows]) - mean) @ v, hot[y[rows]]
        for index, weight in enumerate(weights):
            errors[index] += ((_left_out(u, weight, projected, targets, crowds, share, n) - targets) ** 2).sum()
        _forget(x)
    best = int(errors.argmin())
    scores = np.empty((n, count))
    for rows, crowds in pieces:
        u = (even(x[rows]) - mean) @ v
        scores[rows] = _left_out(u, weights[best], projected, hot[y[rows]], crowds, share, n)
        _forget(x)
    return _probe(scores, float(LAMBDAS[best]), y, groups)


def _probe(scores: NDArray[np.float64], penalty: float, y: Ints, groups: Ints | None) -> Probe:
    predicted = fair(scores, y, groups).argmax(axis=1).astype(np.int64)
    right = predicted == y
    return Probe(predicted, scores, float(right.mean()), left_out_interval(right, y, groups), penalty)


def fair(scores: NDArray[np.float64], y: Ints, groups: Ints | None) -> NDArray[np.float64]:
    """(N, C) left-out ``scores`` that start from the class shares of all pictures, rounded so that ties are ties.

    Without a picture its class is rarer among the others, so that leaving out is right less often than chance where
    there is nothing to learn.
    """
    return np.asarray((scores + _rarer(y, groups, scores.shape[1])).round(9))


def _rarer(y: Ints, groups: Ints | None, classes: int) -> NDArray[np.float64]:
    """(N, C) share of each class among all pictures, less its share among those left when the row is left out."""
    n, share = len(y), np.bincount(y, minlength=classes) / len(y)
    member = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    size = np.bincount(member)
    out = np.zeros((len(size), classes))
    np.add.at(out, (member, y), 1)
    left = np.maximum(n - size, 1)[:, None]
    less: NDArray[np.float64] = share - (n * share - out) / left
    return less[member]


def _pieces(n: int, crowds: list[Ints], block: int) -> Iterator[tuple[Ints, list[Ints]]]:
    """Every row once, about ``block`` at a time, with the crowds among them as places in the piece."""
    alone = np.ones(n, dtype=bool)
    for rows in crowds:
        alone[rows] = False
    for first in range(0, n, block):
        yield first + np.flatnonzero(alone[first : first + block]), []
    waiting: list[Ints] = []
    for index, rows in enumerate(crowds):
        waiting.append(rows)
        if sum(map(len, waiting)) >= block or index == len(crowds) - 1:
            starts = np.cumsum([0, *map(len, waiting)])
            places = [np.arange(start, end) for start, end in pairwise(starts)]
            yield np.concatenate(waiting), places
            waiting = []


def _forget(x: Floats) -> None:
    """Let the kernel have the memory of rows that were read from a mapped file."""
    file: object = x.base if isinstance(x, np.memmap) else None
    if isinstance(file, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_DONTNEED)


def unit(x: Floats) -> NDArray[np.float64]:
    """Rows of length 1; a row of zeros stays as it is."""
    wide = np.asarray(x, dtype=np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(length == 0, 1, length)


def even(x: Floats) -> NDArray[np.float64]:
    """Rows of length 1 after a signed square root, so that a few large features do not drown the others.

    Power normalisation (Perronnin et al., ECCV 2010). It has no parameter and sees one row at a time.
    """
    wide = np.asarray(x, dtype=np.float64)
    return unit(np.sign(wide) * np.sqrt(np.abs(wide)))


def left_out_interval(
    right: NDArray[np.bool_], y: Ints, groups: Ints | None = None, z: float = Z
) -> tuple[float, float]:
    """``accuracy_interval`` of pictures that were each predicted by a fit to all the others.

    Such predictions lean on each other's labels. Where there is nothing to learn every pair of pictures counts twice,
    once in each prediction (a degenerate U-statistic of order 2), which doubles the variance; where all is learned
    no label of another matters. In between, the way left from guessing by the classes' shares to certainty is taken.
    As in Wilson's interval, the variance is that of the share supposed, not of the one seen: a share is in the interval
    where what was seen is within ``z`` standard deviations of it.
    """
    if len(right) == 0:
        return 0.0, 1.0
    p, n = float(right.mean()), _effective(right, groups)
    chance = float((np.bincount(y) ** 2).sum()) / len(y) ** 2

    def beyond(share: float) -> bool:
        learned = min(max((share - chance) / max(1 - chance, 1e-9), 0.0), 1.0)
        return abs(p - share) > z * float(np.sqrt(share * (1 - share) * (2 - learned) / n))

    return _edge(beyond, 0.0, p), _edge(beyond, 1.0, p)


def _edge(beyond: Callable[[float], bool], out: float, inside: float) -> float:
    """Where ``beyond`` turns between ``out``, where it may hold, and ``inside``, where it does not."""
    if not beyond(out):
        return out
    for _ in range(50):
        middle = (out + inside) / 2
        out, inside = (middle, inside) if beyond(middle) else (out, middle)
    return inside


def accuracy_interval(right: NDArray[np.bool_], groups: Ints | None = None) -> tuple[float, float]:
    """Wilson's 95 % interval (Wilson 1927) for the share of ``right``, of as many pictures as count."""
    return wilson(float(right.mean()), _effective(right, groups)) if len(right) else (0.0, 1.0)


def _effective(right: NDArray[np.bool_], groups: Ints | None) -> float:
    """How many independent pictures tell as much as these.

    Pictures of one group rise and fall together, so N is divided by the design effect, the ratio of the clustered to
    the independent variance (Kish 1965). Where nothing varies, or there are fewer than ten groups, which is too few to
    estimate that ratio, it is the number of groups.
    """
    n, p = len(right), float(right.mean())
    effective = float(n)
    if groups is not None:
        _, member = np.unique(groups, return_inverse=True)
        several = int(member.max()) + 1
        clustered = float((np.bincount(member, weights=right - p) ** 2).sum()) / n**2 * several / max(several - 1, 1)
        independent = p * (1 - p) / n
        if several < n:
            effective = n * min(1.0, independent / clustered) if clustered > 1e-12 else float(several)
        if several < FEW_GROUPS:
            effective = min(effective, float(several))
    return effective


def wilson(p: float, n: float, z: float = Z) -> tuple[float, float]:
    """Wilson's interval for a share ``p`` of ``n`` trials at ``z`` standard deviations (95 % unless told)."""
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    return max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half))


def knn(x: Floats, y: Ints, groups: Ints | None = None, k: int = 5) -> NDArray[np.int64]:
    """(N,) class that the ``k`` nearest other pictures (of other groups) vote for.

    Distance is cosine; equal votes go to the smaller class index; ``k`` is lowered on tiny datasets.
    """
    rows = unit(x).astype(np.float32)
    names = np.arange(len(y)) if groups is None else groups
    k = max(1, min(k, len(y) - 1))
    chosen = np.empty(len(y), dtype=np.int64)
    for first in range(0, len(y), 1024):
        part = slice(first, first + 1024)
        likeness = rows[part] @ rows.T
        likeness[names[part, None] == names[None, :]] = -np.inf
        nearest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
        allowed = np.isfinite(np.take_along_axis(likeness, nearest, axis=1))
        votes = np.zeros((len(nearest), int(y.max()) + 1))
        np.add.at(votes, (np.arange(len(nearest))[:, None], y[nearest]), allowed)
        chosen[part] = votes.argmax(axis=1)
    return chosen


def _basis(f: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``spectrum`` of the centred rows."""
    return spectrum(f - f.mean(axis=0), len(f) * ROUNDING)


def spectrum(f: NDArray[np.float64], least: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Left singular vectors (N, k) and squared singular values (k,) above ``least``, by the smaller Gram matrix."""
    if len(f) <= f.shape[1]:
        variance, u = np.linalg.eigh(f @ f.T)
    else:
        variance, v = np.linalg.eigh(f.T @ f)
        u = f @ v
    keep = variance > max(variance[-1] * 1e-10, least)
    u, variance = u[:, keep], variance[keep]
    return u if len(f) <= f.shape[1] else u / np.sqrt(variance), variance


def principal(f: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(N, k), (k,) and (k, D), largest first, whose product is ``f`` (N, D): its singular vectors and values.

    By ``spectrum``, without those below a hundred thousandth of the largest. LAPACK's ``gesdd``, behind numpy's
    ``svd``, takes longer, and with two threads it was seen not to converge on centred features.
    """
    u, squares = spectrum(f)
    if not len(squares):  # all rows are zero
        return np.zeros((len(f), 1)), np.zeros(1), np.zeros((1, f.shape[1]))
    u, s = u[:, ::-1], np.sqrt(squares[::-1])
    return u, s, u.T @ f / s[:, None]


def _crowds(groups: Ints | None) -> list[Ints]:
    """Row indices of every group of two or more."""
    if groups is None:
        return []
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    return [rows for rows in np.split(order, starts) if len(rows) > 1]


def _left_out(
    u: NDArray[np.float64],
    weight: NDArray[np.float64],
    projected: NDArray[np.float64],
    targets: NDArray[np.float64],
    crowds: list[Ints],
    share: NDArray[np.float64],
    n: int,
) -> NDArray[np.float64]:
    """Predictions of rows, of a fit to ``n`` with ``share`` of each class, by the fit without the row (its crowd)."""
    fitted = share + u @ (weight[:, None] * projected)
    leverage = 1 / n + (u**2) @ weight
    slack = np.maximum(1 - leverage, 1e-9)[:, None]
    left_out: NDArray[np.float64] = targets - (targets - fitted) / slack
    for rows in crowds:
        hat = 1 / n + (u[rows] * weight) @ u[rows].T
        residual = (targets - fitted)[rows]
        left_out[rows] = targets[rows] - np.linalg.solve((1 + 1e-12) * np.eye(len(rows)) - hat, residual)
    return left_out
