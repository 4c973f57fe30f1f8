"""Pictures that are the same, or nearly: one hash a picture, neighbours found by sorting, groups by union-find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.backbone import Picture

CLOSE = 24  # most bits, of 256, in which two hashes of one picture differ
NEIGHBOURS = 24
SMALL = 16  # side of a thumbnail and of a hash's grid
FEW = 1000  # hashes that are all compared
BLOCK = 4096  # hashes compared at once


def difference_hash(picture: Picture | Image.Image) -> bytes:
    """256 bits: for each cell of a 16 × 16 grid, whether it is brighter than its right neighbour.

    Krawetz, "Kind of Like That" (2013). It survives recompression and resizing, not mirroring, turning or cropping.
    """
    small = _grays(picture, SMALL + 1)
    return np.packbits(small[:, :-1] > small[:, 1:]).tobytes()


def thumbnail(picture: Picture | Image.Image) -> NDArray[np.uint8]:
    """(16, 16) mean grays."""
    return _grays(picture, SMALL)


def _grays(picture: Picture | Image.Image, width: int) -> NDArray[np.uint8]:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return np.asarray(image.convert("L").resize((width, SMALL), Image.Resampling.BOX))


def close_pairs(
    hashes: NDArray[np.uint8], most: int = CLOSE, told: Callable[[], None] = lambda: None
) -> list[tuple[int, int]]:
    """Index pairs (i < j) whose hashes, (N, 32) bytes, differ in at most ``most`` bits.

    Each hash is compared with its next ``NEIGHBOURS`` when sorted from its first byte on, from its second, and so on:
    32 orders, linear in N. Hashes that differ in fewer than 32 bits agree in one byte at least and, as a rule, in
    several in a row, which brings them together in one order, except in a crowd of hashes that share those bytes.
    A few hashes are simply all compared. ``told`` is called after each order.
    """
    if len(hashes) < 2:
        return []
    words = np.ascontiguousarray(hashes).view(np.uint64)
    if len(hashes) <= FEW:
        apart = sum(np.bitwise_count(word[:, None] ^ word).astype(np.int16) for word in words.T)
        return [(i, j) for i, j in np.argwhere(apart <= most).tolist() if i < j]
    pairs: set[tuple[int, int]] = set()
    for byte in range(hashes.shape[1]):
        told()
        start = np.ascontiguousarray(np.roll(hashes, -byte, axis=1)[:, :8]).view(">u8").ravel()
        order = np.argsort(start, kind="stable")
        for first in range(0, len(order), BLOCK):
            ones = np.arange(first, min(first + BLOCK, len(order)))
            others = np.minimum(ones[:, None] + np.arange(1, NEIGHBOURS + 1), len(order) - 1)
            apart = np.bitwise_count(words[order[ones], None] ^ words[order[others]]).sum(axis=2, dtype=np.int16)
            place, next_ = np.nonzero((apart <= most) & (others > ones[:, None]))
            one, other = order[ones[place]], order[others[place, next_]]
            pairs.update(zip(np.minimum(one, other).tolist(), np.maximum(one, other).tolist(), strict=True))
    return sorted(pairs)


class Linked:
    """``count`` things, those that were joined, directly or through others, being together."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, thing: int) -> int:
        """The first of those that ``thing`` is together with."""
        parent = self._parent
        while parent[thing] != thing:
            parent[thing] = parent[parent[thing]]
            thing = parent[thing]
        return thing

    def together(self, one: int, other: int) -> bool:
        return self.root(one) == self.root(other)

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low


def grouped(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Group numbers of ``count`` things, 0 upwards in order of first appearance; paired things share one."""
    linked = Linked(count)
    for one, other in pairs:
        linked.join(one, other)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(linked.root(thing), len(numbers)) for thing in range(count)]


def same_rows(rows: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """As ``same``, of (N, 32) bytes."""
    keys = np.ascontiguousarray(rows).view(f"S{rows.shape[1]}").ravel()  # zeros at the end of a key make it no other
    _, first, member = np.unique(keys, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[member] != np.arange(len(keys)))
    return list(zip(first[member[again]].tolist(), again.tolist(), strict=True))


def same(keys: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of an index and the first index that has the same key."""
    first: dict[str, int] = {}
    for index, key in enumerate(keys):
        first.setdefault(key, index)
    return [(first[key], index) for index, key in enumerate(keys) if first[key] != index]
