"""Pictures that look the same though they were resized, recompressed, cropped a little or mirrored; pixels alone.

Each picture is compared with its nearest neighbours among all pictures and all mirror images, found by a small
descriptor in blocks of matrix products. What comes near is laid over it by a least-squares search for scale and shift
(Lucas & Kanade 1981) and accepted if the fine structure and the colours agree: objects on one board share the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.backbone import Picture
from zoo.duplicates import close_pairs

if TYPE_CHECKING:
    from zoo.pictures import Pictures

Floats = NDArray[np.float32]
Pair = tuple[int, int]

COARSE, FINE = 16, 64  # sides of the gray thumbnails that are laid over each other
NEIGHBOURS = 12
ALIKE = 0.6  # least cosine of two descriptors; copies measured, cut by a twentieth and recompressed, have 0.72 and more
DIMENSIONS = 64
BLOCK = 512
MOST_LIKENESSES = 4_000_000  # numbers held at once
FEW = 48  # pictures, up to which each is compared with each
NEAR = 0.8  # least correlation of coarse thumbnails for a closer look
SURE = 0.97  # one that needs no second start
PROMISING = 0.6  # least correlation of what a blur takes from them
FLAT = 2.0  # contrast, in gray levels, below which a picture is one colour
# Measured on photographs, drawings and cells: copies have 0.95 and more, other pictures below 0.86 or other colours.
STRUCTURE = 0.88  # least correlation between blurs of 1 and 3 pixels of a fine thumbnail
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
) -> list[Pair]:
    """Index pairs (i < j) of pictures that are one picture, mirrored or cropped by a tenth at most.

    Memory is flat but for some hundred bytes a picture; time is that of N² products of 64 numbers, minutes for 100,000.

    Args:
        hashes: (N, 32) difference hashes, which find copies in crowds of neighbours; not needed.
        among: look at these pictures only, ascending.
    """
    chosen = np.arange(len(pictures)) if among is None else np.asarray(among, dtype=np.int64)
    if len(chosen) < 2:
        return []
    small = np.stack([_thumbnail(pictures[int(index)], COARSE, "L").astype(np.uint8) for index in chosen])
    plain, mirror = candidates(small)
    if hashes is not None:
        plain |= set(close_pairs(hashes[chosen]))
    found: set[Pair] = set()
    for pairs, mirrored in ((plain, False), (mirror, True)):
        for part in _parts(sorted(pairs - found), BLOCK):
            found |= _verified(lambda index: pictures[int(chosen[index])], small, part, mirrored)
    return sorted((int(chosen[i]), int(chosen[j])) for i, j in found)


def candidates(small: NDArray[np.uint8]) -> tuple[set[Pair], set[Pair]]:
    """Index pairs (i < j) of (N, side, side) gray thumbnails that may be copies, and those that may be mirrored ones.

    They are the nearest neighbours whose descriptors are alike; of few pictures, all.
    """
    n = len(small)
    if n <= FEW:
        every = {(i, j) for i in range(n) for j in range(i + 1, n)}
        return every, set(every)
    plain, mirrored = _descriptors(small)
    pairs: tuple[set[Pair], set[Pair]] = (set(), set())
    rows = max(8, min(BLOCK, MOST_LIKENESSES // n))
    for first in range(0, n, rows):
        block = plain[first : first + rows]
        for found, others in zip(pairs, (plain, mirrored), strict=True):
            likeness = block @ others.T
            likeness[np.arange(len(block)), first + np.arange(len(block))] = -np.inf
            nearest = np.argpartition(-likeness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
            alike = np.take_along_axis(likeness, nearest, axis=1) >= ALIKE
            ones, others_at = first + np.nonzero(alike)[0], nearest[alike]
            low, high = np.minimum(ones, others_at), np.maximum(ones, others_at)
            found.update(zip(low.tolist(), high.tolist(), strict=True))
    return pairs


def _descriptors(small: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """(N, 64) unit rows for the pictures and for their mirror images.

    Principal components with their spread evened out halfway, so that a board or a round shape that all pictures
    share does not decide what is near.
    """
    n, flipped = len(small), small[:, :, ::-1]
    chosen = np.arange(0, 2 * n, max(1, n // 4096))
    sample = np.concatenate([_evened(small[chosen[chosen < n]]), _evened(flipped[chosen[chosen >= n] - n])])
    mean = sample.mean(axis=0)
    spread, axes = np.linalg.eigh(np.cov((sample - mean).T))
    axes = axes[:, ::-1][:, :DIMENSIONS] / np.maximum(spread[::-1][:DIMENSIONS], 1e-8) ** 0.2

    def described(part: NDArray[np.uint8]) -> Floats:
        one = (_evened(part) - mean) @ axes
        return np.asarray(one / np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-9), dtype=np.float32)

    plain, mirrored = (
        np.concatenate([described(side[first : first + BLOCK]) for first in range(0, n, BLOCK)])
        for side in (small, flipped)
    )
    return plain, mirrored


def _evened(small: NDArray[np.uint8]) -> Floats:
    rows = small.reshape(len(small), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-3), dtype=np.float32)


def _verified(
    picture: Callable[[int], Picture], small: NDArray[np.uint8], pairs: list[Pair], mirrored: bool
) -> set[Pair]:
    """Those of ``pairs`` that are copies; the second is mirrored before it is compared."""
    one, other = (np.array(side) for side in zip(*pairs, strict=True))
    turn = slice(None, None, -1 if mirrored else 1)
    place, likeness = _coarse(small[one].astype(np.float32), small[other][:, :, turn].astype(np.float32))
    flat = np.maximum(small[one].std(axis=(1, 2)), small[other].std(axis=(1, 2))) < FLAT
    near = np.flatnonzero((likeness >= NEAR) | flat)
    near = near[_promising(small[one[near]], small[other[near]][:, :, turn], place[near])]
    found: set[Pair] = set()
    for part in _parts(near.tolist(), 64):
        thumbs = [
            np.stack([_thumbnail(picture(int(index)), FINE, "RGB") for index in side[part]]) for side in (one, other)
        ]
        agreed = same(thumbs[0], thumbs[1][:, :, turn], place[part])
        found |= {pairs[index] for index, good in zip(part, agreed.tolist(), strict=True) if good}
    return found


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
    place, _ = align(gray, laid, place, 5)
    over, mask = lay(laid, place)
    bands = _band(gray, mask), _band(over, mask)
    structure = (_standard(bands[0], mask) * _standard(bands[1], mask)).sum(axis=(1, 2))
    flat = (_contrast(gray, mask) < FLAT) & (_contrast(over, mask) < FLAT)
    detailed = np.minimum(*(_mean((abs(band) > 0.5).astype(np.float32), mask)[:, 0, 0] for band in bands))
    shift, mean, most = _apart(one, other, place, mask)
    close = (shift <= BRIGHTER) & (mean <= MEAN_APART) & (most <= MOST_APART)
    plain = (shift <= BRIGHTER / 4) & (most <= MOST_APART / 2) & (structure >= PLAIN) & _is_a_cut(place)
    return np.asarray(close & (flat | (structure >= STRUCTURE) & (detailed >= DETAILED) | plain))


def _apart(one: Floats, other: Floats, place: Floats, mask: Floats) -> tuple[Floats, Floats, Floats]:
    """(P,) how much brighter one is in a channel, and how far they are apart besides, in the mean and at most."""
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


def _parts(things: list[Any], size: int) -> Iterator[list[Any]]:
    return (things[first : first + size] for first in range(0, len(things), size))
