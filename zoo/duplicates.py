"""Pictures that are the same, or nearly: one hash a picture, neighbours found by sorting, groups by union-find."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.backbone import Picture

CLOSE = 24  # most bits, of 256, in which two hashes of one picture differ
NEIGHBOURS = 24


def difference_hash(picture: Picture | Image.Image) -> bytes:
    """256 bits: for each cell of a 16 × 16 grid, whether it is brighter than its right neighbour.

    Krawetz, "Kind of Like That" (2013). It survives recompression and resizing, not mirroring, turning or cropping.
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    small = np.asarray(image.convert("L").resize((17, 16), Image.Resampling.BOX))
    return np.packbits(small[:, :-1] > small[:, 1:]).tobytes()


def close_pairs(hashes: NDArray[np.uint8], most: int = CLOSE) -> list[tuple[int, int]]:
    """Index pairs (i < j) whose hashes, (N, 32) bytes, differ in at most ``most`` bits.

    Each hash is compared with its next ``NEIGHBOURS`` when sorted from its first byte on, from its second, and so on:
    32 orders, linear in N. Hashes that differ in fewer than 32 bits agree in one byte at least and, as a rule, in
    several in a row, which brings them together in one order, except in a crowd of hashes that share those bytes.
    """
    words = np.ascontiguousarray(hashes).view(np.uint64)
    pairs: set[tuple[int, int]] = set()
    for byte in range(hashes.shape[1]):
        turned = np.ascontiguousarray(np.roll(hashes, -byte, axis=1))
        order = np.argsort(turned.view(f"S{turned.shape[1]}").ravel(), kind="stable")
        for shift in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
            one, other = order[:-shift], order[shift:]
            near = np.bitwise_count(words[one] ^ words[other]).sum(axis=1) <= most
            pairs.update(zip(np.minimum(one, other)[near].tolist(), np.maximum(one, other)[near].tolist(), strict=True))
    return sorted(pairs)


def grouped(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Group numbers of ``count`` things, 0 upwards in order of first appearance; paired things share one."""
    parent = list(range(count))

    def root(thing: int) -> int:
        while parent[thing] != thing:
            parent[thing] = parent[parent[thing]]
            thing = parent[thing]
        return thing

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(thing), len(numbers)) for thing in range(count)]


def same(keys: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of an index and the first index that has the same key."""
    first: dict[str, int] = {}
    for index, key in enumerate(keys):
        first.setdefault(key, index)
    return [(first[key], index) for index, key in enumerate(keys) if first[key] != index]
