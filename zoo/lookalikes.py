"""Pictures that look the same though they were resized, recompressed, cropped a little or mirrored; pixels alone.

Each picture is compared with its nearest neighbours among all pictures and all mirror images, as ``neighbours`` finds
them. What comes near is laid over it by a least-squares search for scale and shift (Lucas & Kanade 1981) and accepted
if the fine structure and the colours agree: objects on one board share the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from zoo.backbone import Picture
from zoo.duplicates import Linked, close_pairs, thumbnail
from zoo.neighbours import FLAT, candidates

if TYPE_CHECKING:
    from zoo.pictures import Pictures

Floats = NDArray[np.float32]
Pair = tuple[int, int]

COARSE, FINE = 16, 64  # sides of the gray thumbnails that are laid over each other
ONE_THREAD = 5000  # pictures, up to which products of matrices are small, and threads would spin while they wait
BLOCK = 512  # pairs laid over each other at once
NEAR = 0.8  # least correlation of coarse thumbnails for a closer look
SURE = 0.97  # one that needs no second start
PROMISING = 0.6  # least correlation of what a blur takes from them
# Measured on photographs, drawings and cells: copies have 0.95 and more, other pictures below 0.86 or other colours.
STRUCTURE = 0.88  # least correlation between blurs of 1 and 3 pixels of a fine thumbnail
BEGINNING = 0.55  # the same where the coarse thumbnails agreed, before a finer search; copies have 0.78 and more
BRIGHTER = 20.0  # most that one copy is brighter than another, in gray levels of 255
DETAILED = 0.5  # share of pixels with structure, below which a picture is plain: few shapes, which chance repeats
PLAIN = 0.95  # least correlation of plain ones
LOOSE = 0.03  # a pixel of a fine thumbnail, in half sides
MEAN_APART, MOST_APART = 8.0, 50.0  # what may differ besides, on a 16 × 16 grid
STARTS = ((0.0, 0.0), (-0.07, -0.07), (0.07, 0.07))  # scales across and down: the same cut, the other cropped, this one
FARTHEST = 0.16  # most that a scale or a shift may be, of half a side


def lookalikes(
    pictures: Pictures | Sequence[Picture],
    hashes: NDArray[np.uint8] | None = None,
    among: Sequence[int] | None = None,
    told: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Pair]:
    """Index pairs (i < j) of pictures that are one picture, mirrored or cropped by a tenth at most.

    Pictures that earlier pairs connect are not compared again. Memory is flat but for some hundred bytes a picture;
    time is that of N² / 2 products of 64 numbers.

    Args:
        hashes: (N, 32) difference hashes, which find copies in crowds of neighbours; not needed.
        among: look at these pictures only, ascending.
        told: called every second at least with how much is done; what it raises ends the search.
    """
    chosen = np.arange(len(pictures)) if among is None else np.asarray(among, dtype=np.int64)
    if len(chosen) < 2:
        return []
    with threadpool_limits(1 if len(chosen) <= ONE_THREAD else None, user_api="blas"):
        found = _searched(pictures, chosen, None if hashes is None else hashes[chosen], told)
    return sorted((int(chosen[i]), int(chosen[j])) for i, j in found)


def _searched(
    pictures: Pictures | Sequence[Picture],
    chosen: NDArray[np.int64],
    hashes: NDArray[np.uint8] | None,
    told: Callable[[int, int], None],
) -> set[Pair]:
    small = _small(pictures, chosen)
    search = _Search(small, lambda index: pictures[int(chosen[index])])
    if hashes is not None:
        search.add(
            np.array(close_pairs(hashes, told=lambda: told(0, len(chosen))), dtype=np.int64).reshape(-1, 2),
            mirrored=False,
        )
    done = 0
    for done, plain, mirrored in candidates(small):
        search.add(plain, mirrored=False)
        search.add(mirrored, mirrored=True)
        told(done, len(chosen))
        for _ in search.work(BLOCK):
            told(done, len(chosen))
    for _ in search.work(1):
        told(done, len(chosen))
    return search.found


def _small(pictures: Pictures | Sequence[Picture], chosen: NDArray[np.int64]) -> NDArray[np.uint8]:
    stored = getattr(pictures, "thumbnails", None)
    if stored is not None:
        return np.asarray(stored(chosen), dtype=np.uint8)
    return np.stack([thumbnail(pictures[int(index)]) for index in chosen])


class _Search:
    """Pairs that wait to be laid over each other, and what came of those that were."""

    def __init__(self, small: NDArray[np.uint8], picture: Callable[[int], Picture]) -> None:
        self._small, self._picture = small, picture
        self._linked = Linked(len(small))
        self._waiting: deque[tuple[int, int, bool]] = deque()
        self.found: set[Pair] = set()

    def add(self, pairs: NDArray[np.int64], mirrored: bool) -> None:
        """Let (P, 2) ``pairs`` wait; in those ``mirrored``, the second is a mirror image."""
        self._waiting.extend((one, other, mirrored) for one, other in pairs.tolist())

    def work(self, least: int) -> Iterator[None]:
        """Look at what waits, block by block, while there are ``least`` pairs."""
        while len(self._waiting) >= least:
            some = [self._waiting.popleft() for _ in range(min(BLOCK, len(self._waiting)))]
            left = sorted({one for one in some if not self._linked.together(*one[:2])})
            for one, other in self._verified(np.array(left).reshape(-1, 3)):
                self._linked.join(one, other)
                self.found.add((one, other))
            yield

    def _verified(self, pairs: NDArray[np.int64]) -> Iterator[Pair]:
        """Those of (P, 3) pairs that are copies."""
        one, other = self._small[pairs[:, 0]], _turned(self._small[pairs[:, 1]], pairs[:, 2])
        place, likeness = _coarse(one.astype(np.float32), other.astype(np.float32))
        flat = np.maximum(one.std(axis=(1, 2)), other.std(axis=(1, 2))) < FLAT
        near = np.flatnonzero((likeness >= NEAR) | flat)
        near = near[_promising(one[near], other[near], place[near])]
        for first in range(0, len(near), 64):
            part = near[first : first + 64]
            members, at = np.unique(pairs[part, :2], return_inverse=True)
            thumbs = np.stack([_thumbnail(self._picture(int(index)), FINE, "RGB") for index in members])
            first_at, second_at = at.reshape(-1, 2).T
            agreed = same(thumbs[first_at], _turned(thumbs[second_at], pairs[part, 2]), place[part])
            yield from map(tuple, pairs[part[agreed], :2].tolist())


def _turned(images: NDArray[Any], mirrored: NDArray[np.int64]) -> NDArray[Any]:
    """(P, side, side, …) with those that are to be mirrored so."""
    images[mirrored > 0] = images[mirrored > 0, :, ::-1]
    return images


def _coarse(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Where coarse thumbnails agree best, and how well; a second and third start where the first is not sure."""
    place, likeness = align(one, other, np.zeros((len(one), 4), dtype=np.float32), 6)
    for scale in STARTS[1:]:
        weak = np.flatnonzero((likeness < SURE) & (likeness > NEAR - 0.3))
        if len(weak):
            start = np.tile(np.array([scale[0], 0, scale[1], 0], dtype=np.float32), (len(weak), 1))
            again, better = align(one[weak], other[weak], start, 6)
            gained = better > likeness[weak]
            place[weak[gained]], likeness[weak[gained]] = again[gained], better[gained]
    return place, likeness


def _promising(one: NDArray[np.uint8], other: NDArray[np.uint8], place: Floats) -> NDArray[np.bool_]:
    """Whether coarse thumbnails agree in what is not smooth, too; nine tenths of what is alike by chance do not."""
    first = one.astype(np.float32)
    over, mask = lay(other.astype(np.float32), place)
    sharp = [_standard(part - _blurred(part, mask, 1.0), mask) for part in (first, over)]
    flat = (_contrast(first, mask) < FLAT) & (_contrast(over, mask) < FLAT)
    return np.asarray(flat | ((sharp[0] * sharp[1]).sum(axis=(1, 2)) >= PROMISING))


def same(one: Floats, other: Floats, place: Floats) -> NDArray[np.bool_]:
    """(P,) whether (P, side, side, 3) thumbnails show one picture, laid over each other from ``place`` on."""
    gray, laid = one.mean(axis=3), other.mean(axis=3)
    agreed = np.zeros(len(one), dtype=bool)
    structure, _, flat = _structure(gray, laid, place)
    some = np.flatnonzero(flat | (structure >= BEGINNING))
    if not len(some):
        return agreed
    one, other, gray, laid = one[some], other[some], gray[some], laid[some]
    place, _ = align(gray, laid, place[some], 5)
    structure, detailed, flat = _structure(gray, laid, place)
    shift, mean, most = _apart(one, other, place)
    close = (shift <= BRIGHTER) & (mean <= MEAN_APART) & (most <= MOST_APART)
    plain = (shift <= BRIGHTER / 4) & (most <= MOST_APART / 2) & (structure >= PLAIN) & _is_a_cut(place)
    agreed[some] = close & (flat | (structure >= STRUCTURE) & (detailed >= DETAILED) | plain)
    return agreed


def _structure(gray: Floats, laid: Floats, place: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """(P,) how far structure agrees at ``place``, what share of the pixels has any, whether both are one colour."""
    over, mask = lay(laid, place)
    bands = _band(gray, mask), _band(over, mask)
    agreeing = (_standard(bands[0], mask) * _standard(bands[1], mask)).sum(axis=(1, 2))
    detailed = np.minimum(*(_mean((abs(band) > 0.5).astype(np.float32), mask)[:, 0, 0] for band in bands))
    return agreeing, detailed, (_contrast(gray, mask) < FLAT) & (_contrast(over, mask) < FLAT)


def _apart(one: Floats, other: Floats, place: Floats) -> tuple[Floats, Floats, Floats]:
    """(P,) how much brighter one is in a channel, and how far they are apart besides, in the mean and at most."""
    _, mask = lay(other[..., 0], place)
    apart = np.stack([(one[..., c] - lay(other[..., c], place)[0]) * mask for c in range(3)], axis=3)
    shift = apart.sum(axis=(1, 2)) / mask.sum(axis=(1, 2))[:, None]
    rest = np.abs(_boxes((apart - shift[:, None, None, :]) * mask[..., None]))
    return np.abs(shift).max(axis=1), rest.mean(axis=(1, 2, 3)) / mask.mean(axis=(1, 2)), rest.max(axis=(1, 2, 3))


def _is_a_cut(place: Floats) -> NDArray[np.bool_]:
    """Whether one picture would lie inside the other; a shape moved on a plain ground does not."""
    scale, shift = place[:, (0, 2)], place[:, (1, 3)]
    inside = (np.abs(shift) <= np.abs(scale) + LOOSE).all(axis=1)
    return np.asarray(inside & ((scale <= LOOSE).all(axis=1) | (scale >= -LOOSE).all(axis=1)))


def align(one: Floats, other: Floats, place: Floats, steps: int) -> tuple[Floats, Floats]:
    """Scale and shift of ``other``, (P, n, n), that fit it to ``one`` best, and the correlation then.

    ``place`` is (P, 4): scale and shift across, scale and shift down, in half sides and from 0. Gauss-Newton with
    brightness and contrast projected out; the best of its steps is kept.
    """
    count, n, _ = one.shape
    line = np.linspace(-1, 1, n, dtype=np.float32)
    best, kept = np.full(count, -2, dtype=np.float32), place.copy()
    for step in range(steps + 1):
        over, mask = lay(other, place)
        target, fitted = _standard(one, mask), _standard(over, mask)
        likeness = (target * fitted).sum(axis=(1, 2))
        better = likeness > best
        best[better], kept[better] = likeness[better], place[better]
        if step < steps:
            slope = [np.gradient(over, axis=axis) * mask * ((n - 1) / 2) for axis in (2, 1)]
            length = np.sqrt(((over - _mean(over, mask)) ** 2 * mask).sum(axis=(1, 2)))
            parts = [slope[0] * line[None, None, :], slope[0], slope[1] * line[None, :, None], slope[1]]
            jacobian = np.stack(parts, axis=1).reshape(count, 4, -1) / np.maximum(length, 1e-3)[:, None, None]
            place = _moved(place, jacobian, target - fitted, fitted, mask)
    return kept, best


def _moved(place: Floats, jacobian: Floats, residual: Floats, fitted: Floats, mask: Floats) -> Floats:
    count = len(place)
    level = mask / np.sqrt(mask.sum(axis=(1, 2), keepdims=True))
    for known in (fitted.reshape(count, 1, -1), level.reshape(count, 1, -1)):
        jacobian = jacobian - (jacobian * known).sum(axis=2, keepdims=True) * known
    square = jacobian @ jacobian.transpose(0, 2, 1)
    size = np.trace(square, axis1=1, axis2=2)[:, None, None]
    square = square + (2.5e-4 * size + 1e-6) * np.eye(4, dtype=np.float32)
    step = np.linalg.solve(square, jacobian @ residual.reshape(count, -1, 1))[:, :, 0]
    moved = np.clip(place + np.clip(step, -0.15, 0.15), -FARTHEST, FARTHEST)
    return np.asarray(moved, dtype=np.float32)


def lay(pictures: Floats, place: Floats) -> tuple[Floats, Floats]:
    """(P, n, n) pictures sampled where ``place`` says, and a mask that is 1 where there was something to sample."""
    n = pictures.shape[1]
    line = np.linspace(-1, 1, n, dtype=np.float32)

    def weights(scale: Floats, shift: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        at = ((1 + scale[:, None]) * line + shift[:, None] + 1) * np.float32((n - 1) / 2)
        near = np.maximum(0, 1 - np.abs(at[:, :, None] - np.arange(n, dtype=np.float32)))
        return near.astype(np.float32), (at >= -0.01) & (at <= n - 0.99)

    across, columns = weights(place[:, 0], place[:, 1])
    down, rows = weights(place[:, 2], place[:, 3])
    mask = (rows[:, :, None] & columns[:, None, :]).astype(np.float32)
    return np.asarray(down @ pictures @ across.transpose(0, 2, 1), dtype=np.float32), mask


def _standard(values: Floats, mask: Floats) -> Floats:
    """Mean 0 and length 1 inside ``mask``, 0 outside."""
    centred = (values - _mean(values, mask)) * mask
    length = np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True))
    return np.asarray(centred / np.maximum(length, 1e-3), dtype=np.float32)


def _mean(values: Floats, mask: Floats) -> Floats:
    return np.asarray((values * mask).sum(axis=(1, 2), keepdims=True) / mask.sum(axis=(1, 2), keepdims=True))


def _contrast(values: Floats, mask: Floats) -> Floats:
    return np.asarray(np.sqrt(_mean((values - _mean(values, mask)) ** 2, mask))[:, 0, 0])


def _band(values: Floats, mask: Floats) -> Floats:
    return _blurred(values, mask, 1.0) - _blurred(values, mask, 3.0)


def _blurred(values: Floats, mask: Floats, radius: float) -> Floats:
    steps = np.arange(values.shape[1])
    kernel = np.exp(-0.5 * ((steps[:, None] - steps) / radius) ** 2).astype(np.float32)
    return np.asarray(kernel @ (values * mask) @ kernel / np.maximum(kernel @ mask @ kernel, 1e-6))


def _boxes(values: Floats) -> Floats:
    """(P, side, side, 3) averaged to a 16 × 16 grid."""
    count, side = values.shape[:2]
    box = side // COARSE
    return np.asarray(values.reshape(count, COARSE, box, COARSE, box, 3).mean(axis=(2, 4)))


def _thumbnail(picture: Picture, side: int, mode: str) -> Floats:
    image = Image.fromarray(picture).convert(mode).resize((side, side), Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float32)
