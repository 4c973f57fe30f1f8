"""Pictures that may show the same thing although their pixels differ, by what two backbones see of them.

Pure arithmetic. It needs features, so it belongs to a thorough look and never to an intake.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zoo.duplicates import grouped
from zoo.probe import Floats, Ints, even, unit

SAME = 0.65  # least cosine, in the view of the backbone that doubts it more
APART = 0.55  # least share of the way from what surrounds the two to equality that their cosine goes
AROUND = 10  # the neighbour that says how close pictures lie where no two show one thing
MOST = 20_000  # pictures; every pair is looked at
BLOCK = 1024

Rows = NDArray[np.float32]


def twins(seen: Sequence[Floats], groups: Ints) -> list[tuple[int, ...]]:
    """Sets of two pictures or more that may show the same thing and are not in one group already.

    Cosines are taken between rows of length 1 after a signed square root, less their mean over the dataset: what all
    pictures share, such as a white ground, makes no two of them alike. Where many lie close (a class of dots), only
    who stands out from the ten nearest of both is a twin, as in local scaling (Zelnik-Manor and Perona 2004). The two
    thresholds were set on drawings, photographs and cells so that all pairs found there were right.

    Args:
        seen: (N, D) features of each backbone.
        groups: (N,) group numbers; pictures of one group are known to belong together.
    """
    count = len(groups)
    if not seen or not 4 <= count <= MOST:
        return []
    members: dict[int, list[int]] = defaultdict(list)
    for index, number in enumerate(grouped(count, _pairs([_centred(x) for x in seen], groups))):
        members[number].append(index)
    return [tuple(one) for one in members.values() if len(one) > 1]


def _centred(x: Floats) -> Rows:
    rows = even(x)
    return np.asarray(unit(rows - rows.mean(axis=0)), dtype=np.float32)


def _pairs(seen: Sequence[Rows], groups: Ints) -> list[tuple[int, int]]:
    """Pairs of different groups that every backbone finds alike, and nearer than what is around them."""
    around = [_around(rows, groups) for rows in seen]
    found: list[tuple[int, int]] = []
    for start in range(0, len(groups), BLOCK):
        block = slice(start, start + BLOCK)
        alike = np.triu(groups[block, None] != groups[None, start:], 1)
        for rows, near in zip(seen, around, strict=True):
            cosine, usual = rows[block] @ rows[start:].T, np.maximum(near[block, None], near[None, start:])
            alike &= (cosine >= SAME) & (cosine - usual >= APART * (1 - usual))
        found += [(start + int(a), start + int(b)) for a, b in zip(*np.nonzero(alike), strict=True)]
    return found


def _around(rows: Rows, groups: Ints) -> Rows:
    """(N,) cosine to the tenth nearest picture of another group, a nearer one where there are few."""
    count = len(rows)
    place = min(AROUND, max(1, count // 4)) - 1
    found = np.empty(count, dtype=np.float32)
    for start in range(0, count, BLOCK):
        cosine = rows[start : start + BLOCK] @ rows.T
        cosine[groups[start : start + BLOCK, None] == groups[None, :]] = -1
        found[start : start + BLOCK] = -np.partition(-cosine, place, axis=1)[:, place]
    return found
