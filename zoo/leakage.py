"""The price of leakage: how much better a random split looks than one that keeps pictures of one group together.

Pure arithmetic on features that are known already.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from zoo.probe import Floats, Ints, ridge
from zoo.resample import accuracies


@dataclass(frozen=True)
class Leakage:
    """Two accuracies of one probe on the same pictures.

    Attributes:
        random: each picture left out alone, what belongs to it kept.
        honest: each picture left out with its whole group.
        gap: their difference; ``interval`` is the paired bootstrap's, 95 %.
        grouped: share of pictures that have company in their group.
    """

    random: float
    honest: float
    gap: float
    interval: tuple[float, float]
    grouped: float

    @property
    def sentence(self) -> str:
        low, high = self.interval
        if low <= 0:
            return (
                f"A random split would say {self.random:.0%}, an honest one says {self.honest:.0%}: "
                "no difference that these pictures can tell."
            )
        return (
            f"A random split would say {self.random:.0%}, an honest one says {self.honest:.0%}: leakage is worth "
            f"{100 * self.gap:.1f} points ({100 * low:.1f} to {100 * high:.1f}) that new pictures would not give."
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"sentence": self.sentence}


def leakage(x: Floats, y: Ints, groups: Ints, classes: int | None = None) -> Leakage | None:
    """What leaving pictures out alone instead of by group would add to the accuracy; None where no two share a group.

    Args:
        x: (N, D) features of a frozen backbone, or any others.
        y: (N,) labels.
        groups: (N,) group numbers: copies, bursts, one person's pictures.
    """
    _, member, size = np.unique(groups, return_inverse=True, return_counts=True)
    if len(size) < 2 or size.max() < 2:
        return None
    right = np.stack([ridge(x, y, kept, classes).predicted == y for kept in (None, groups)])
    drawn = accuracies(right, groups)
    low, high = np.percentile(drawn[:, 0] - drawn[:, 1], [2.5, 97.5])
    random, honest = (float(share) for share in right.mean(axis=1))
    return Leakage(random, honest, random - honest, (float(low), float(high)), float((size[member] > 1).mean()))
