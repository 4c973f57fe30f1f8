"""Which of many pictures may be copies of which, from gray thumbnails alone: all pairs are asked, few are left.

First the cosine of two short descriptors, in blocks of matrix products, for all pairs, plain and with one mirrored. Of
each picture's nearest, those stay whose fine structure lies in the plane that small changes of scale and shift span
around it (the tangent distance of Simard, LeCun and Denker 1993): a search for the true place is worth its time there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Small = NDArray[np.uint8]
Rows = NDArray[np.int64]

NEIGHBOURS = 24
ALIKE = 0.6  # least cosine of two descriptors; copies measured, cut by a twentieth and recompressed, have 0.72 and more
TANGENT = 0.9  # least share of a copy's structure in the plane of the other; copies measured have 0.92 and more
FAINT = 1.0  # structure, in gray levels, below which the plane says nothing
FLAT = 2.0  # contrast, in gray levels, below which a picture is one colour
DIMENSIONS = 64
SAMPLE = 4096  # pictures from which the descriptor is learned
ROWS, COLUMNS = 512, 2048
FEW = 48  # pictures, up to which each is compared with each


def candidates(small: Small) -> Iterator[tuple[int, Rows, Rows]]:
    """Pairs (i < j), as (P, 2) rows, that may be copies, and that may be mirrored ones, block by block.

    A block has those of some pictures with all after them, the likeliest of each picture first. The first number says
    how many of the pictures' worth of work is done.

    Args:
        small: (N, 16, 16) gray thumbnails.
    """
    n = len(small)
    if n <= FEW:
        every = np.array([(i, j) for i in range(n) for j in range(i + 1, n)], dtype=np.int64).reshape(-1, 2)
        yield n, every, every
        return
    even, odd = descriptors(small)
    tangents = Tangents(small)
    for first in range(0, n, ROWS):
        hits = _hits(even, odd, first, min(first + ROWS, n))
        plain, mirrored = (tangents.kept(rows, turned) for rows, turned in zip(hits, (False, True), strict=True))
        left = (n - min(first + ROWS, n)) / n
        yield round(n * (1 - left * left)), plain, mirrored


def _hits(even: NDArray[np.float16], odd: NDArray[np.float16], first: int, last: int) -> tuple[Rows, Rows]:
    """For pictures ``first`` to ``last``: their nearest among those after them, and among their mirror images."""
    n, mine = len(even), (even[first:last].astype(np.float32), odd[first:last].astype(np.float32))
    places: list[tuple[Rows, Floats, NDArray[np.bool_]]] = []
    for start in range(first, n, COLUMNS):
        part = slice(start, min(start + COLUMNS, n))
        likeness = mine[0] @ even[part].astype(np.float32).T
        turning = mine[1] @ odd[part].astype(np.float32).T
        either = likeness + np.abs(turning)  # the better of likeness to a picture and to its mirror image
        at = np.flatnonzero(either >= ALIKE)
        row, column = np.divmod(at, either.shape[1])
        pairs = np.stack([row + first, column + start], axis=1)
        for sign in (1, -1):
            value = likeness.ravel()[at] + sign * turning.ravel()[at]
            places.append((pairs, value, (value >= ALIKE) & (pairs[:, 0] < pairs[:, 1])))
    return _nearest(places[::2]), _nearest(places[1::2])


def _nearest(places: list[tuple[Rows, Floats, NDArray[np.bool_]]]) -> Rows:
    """The ``NEIGHBOURS`` likeliest pairs of each first picture: everyone's likeliest, then everyone's second, …"""
    pairs = np.concatenate([pairs[good] for pairs, _, good in places])
    value = np.concatenate([value[good] for _, value, good in places])
    order = np.lexsort((-value, pairs[:, 0]))
    pairs = pairs[order]
    rank = np.arange(len(pairs)) - np.searchsorted(pairs[:, 0], pairs[:, 0])
    kept = np.flatnonzero(rank < NEIGHBOURS)
    return pairs[kept[np.argsort(rank[kept], kind="stable")]]


def descriptors(small: Small) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """What of a picture stays when it is mirrored, and what changes its sign; together a unit row for each.

    Principal components with their spread evened out halfway, so that a board or a round shape that all pictures
    share does not decide what is near.
    """
    sample = _halves(small[:: max(1, len(small) // SAMPLE)])
    mean = sample[0].mean(axis=0), np.zeros(1, dtype=np.float32)
    found = [np.linalg.eigh((part - m).T @ (part - m) / len(part)) for part, m in zip(sample, mean, strict=True)]
    least = np.sort(np.concatenate([spread for spread, _ in found]))[-DIMENSIONS]
    chosen = [(axes / np.maximum(spread, 1e-8) ** 0.2)[:, spread >= least] for spread, axes in found]
    made = [np.empty((len(small), axes.shape[1]), dtype=np.float16) for axes in chosen]
    for first in range(0, len(small), SAMPLE):
        part = slice(first, first + SAMPLE)
        rows = [(half - m) @ axes for half, m, axes in zip(_halves(small[part]), mean, chosen, strict=True)]
        length = np.sqrt(sum((one**2).sum(axis=1, keepdims=True) for one in rows))
        for whole, one in zip(made, rows, strict=True):
            whole[part] = one / np.maximum(length, 1e-9)
    return made[0], made[1]


def _halves(small: Small) -> tuple[Floats, Floats]:
    """Sums and differences of pixels and their mirror images, of mean 0 and, together, length 1; a rotation."""
    rows = small.astype(np.float32)
    rows -= rows.mean(axis=(1, 2), keepdims=True)
    rows /= np.maximum(np.sqrt((rows**2).sum(axis=(1, 2), keepdims=True)), 1e-3)
    half = rows.shape[2] // 2
    left, right = rows[:, :, :half], rows[:, :, ::-1][:, :, :half]
    n, root = len(rows), np.float32(np.sqrt(0.5))
    return ((left + right) * root).reshape(n, -1), ((left - right) * root).reshape(n, -1)


class Tangents:
    """Tells the pairs apart that could be one picture moved a little from those that could not."""

    def __init__(self, small: Small) -> None:
        self._small = small
        self._length = np.empty(len(small), dtype=np.float32)  # of what each has of structure
        self._flat = np.empty(len(small), dtype=bool)
        for first in range(0, len(small), SAMPLE):
            part = small[first : first + SAMPLE].reshape(-1, small[0].size).astype(np.float32)
            self._length[first : first + SAMPLE] = np.linalg.norm(part @ _operators()[0].T, axis=1)
            self._flat[first : first + SAMPLE] = part.std(axis=1) < FLAT

    def kept(self, pairs: Rows, turned: bool) -> Rows:
        """Those of ``pairs`` that may be copies, the second ``turned`` to its mirror image or not."""
        good = [self._good(pairs[first : first + SAMPLE], turned) for first in range(0, len(pairs), SAMPLE)]
        return pairs[np.concatenate(good)] if good else pairs

    def _good(self, pairs: Rows, turned: bool) -> NDArray[np.bool_]:
        ones, place = np.unique(pairs[:, 0], return_inverse=True)
        planes, inverse = self._planes(ones)
        other = self._small[pairs[:, 1]]
        seen = (other[:, :, ::-1] if turned else other).reshape(len(pairs), -1).astype(np.float32)
        along = np.einsum("pkd,pd->pk", planes[place], seen)
        share = np.einsum("pk,pkl,pl->p", along, inverse[place], along)
        length = self._length[pairs]
        flat, faint = self._flat[pairs].all(axis=1), length.min(axis=1) < FAINT * np.sqrt(seen.shape[1])
        like = (along[:, 0] > 0) & (share >= (TANGENT * length[:, 1]) ** 2)
        return np.asarray(like | flat | faint)

    def _planes(self, chosen: Rows) -> tuple[Floats, Floats]:
        """(P, 5, D) what to multiply pixels with, and the (P, 5, 5) inverse of how these depend on each other."""
        pixels = self._small[chosen].reshape(len(chosen), -1).astype(np.float32)
        spans = np.stack([pixels @ operator.T for operator in _operators()], axis=1)
        spans /= np.maximum(np.linalg.norm(spans, axis=2, keepdims=True), 1e-3)
        among = spans @ spans.transpose(0, 2, 1) + 1e-3 * np.eye(spans.shape[1], dtype=np.float32)
        return spans @ _operators()[0], np.linalg.inv(among)


@cache
def _operators(side: int = 16) -> tuple[Floats, ...]:
    """(D, D) each: the structure of a thumbnail, and how that changes with scale and shift, across and down."""
    every = np.eye(side * side, dtype=np.float32).reshape(-1, side, side)
    line = np.linspace(-1, 1, side, dtype=np.float32)
    across, down = np.gradient(every, axis=2), np.gradient(every, axis=1)
    fine, coarse = (_blur(side, radius) for radius in (1.0, 3.0))
    made = []
    for images in (every, across * line, across, down * line[:, None], down):
        band = fine @ images @ fine.T - coarse @ images @ coarse.T
        band -= band.mean(axis=(1, 2), keepdims=True)
        made.append(np.ascontiguousarray(band.reshape(len(every), -1).T, dtype=np.float32))
    return tuple(made)


def _blur(side: int, radius: float) -> Floats:
    steps = np.arange(side)
    kernel = np.exp(-0.5 * ((steps[:, None] - steps) / radius) ** 2)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True), dtype=np.float32)
