"""Which sets of taps a linear layer is tried on: the one that a plan names, else those that a probe makes promising."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.errors import BadPlan


def asked(names: str, taps: tuple[str, ...]) -> list[tuple[int, ...]]:
    """The set of taps that a plan names, alone in a list; an empty list where it names none.

    Raises:
        BadPlan: the backbone has no tap of that name.
    """
    given = [name.strip() for name in names.split(",") if name.strip()]
    strange = [name for name in given if name not in taps]
    if strange:
        raise BadPlan(f"This backbone has no tap {strange[0][:60]!r}.", f"Choose among: {', '.join(taps)}.")
    return [tuple(sorted({taps.index(name) for name in given}))] if given else []


def sets_worth(right: Sequence[float], pictures: int) -> list[tuple[int, ...]]:
    """Sets of taps by number, shallow ones first: the earliest good one, the best, triples that end there or at last.

    Args:
        right: a probe's accuracy on ``pictures`` at each tap but the last.
    """
    earlier, best = len(right), int(np.argmax(right))
    error = float(np.sqrt(right[best] * (1 - right[best]) / pictures))
    first = next(index for index, share in enumerate(right) if share >= right[best] - error)
    deepest = max(best, min(2, earlier - 1))
    spread = tuple(sorted({deepest // 3, 2 * deepest // 3, deepest}))
    runs = {tuple(range(max(0, end - 2), end + 1)) for end in (deepest, earlier)}
    return sorted({(first,), (best,), spread, *runs}, key=lambda taps: (taps[-1], len(taps)))
