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

SAME = 0.75  # cosine from which two pictures count as one thing, in the view of the backbone that doubts it more
MOST = 20_000  # pictures; every pair is looked at
BLOCK = 1024


def twins(seen: Sequence[Floats], groups: Ints) -> list[tuple[int, ...]]:
    """Sets of two pictures or more that may show the same thing and are not in one group already.

    Cosines are taken between rows of length 1 after a signed square root, less their mean over the dataset: what all
    pictures share, such as a white ground, makes no two of them alike.

    Args:
        seen: (N, D) features of each backbone.
        groups: (N,) group numbers; pictures of one group are known to belong together.
    """
    count = len(groups)
    if not seen or count < 3 or count > MOST:
        return []
    pairs = _pairs([_centred(x) for x in seen], groups)
    members: dict[int, list[int]] = defaultdict(list)
    for index, number in enumerate(grouped(count, pairs)):
        members[number].append(index)
    return [tuple(one) for one in members.values() if len(one) > 1]


def _centred(x: Floats) -> NDArray[np.float32]:
    rows = even(x)
    return np.asarray(unit(rows - rows.mean(axis=0)), dtype=np.float32)


def _pairs(rows: Sequence[NDArray[np.float32]], groups: Ints) -> list[tuple[int, int]]:
    """Pairs of different groups that every backbone finds alike."""
    found: list[tuple[int, int]] = []
    for start in range(0, len(groups), BLOCK):
        least = np.min([one[start : start + BLOCK] @ one[start:].T for one in rows], axis=0)
        alike = np.triu(least >= SAME, 1) & (groups[start : start + BLOCK, None] != groups[None, start:])
        found += [(start + int(a), start + int(b)) for a, b in zip(*np.nonzero(alike), strict=True)]
    return found
