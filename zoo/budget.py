"""How many pictures a comparison can look at in the time it was given. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FIRST_ROUND = 64  # fewer pictures than this decide nothing
SLACK = 0.97  # of what is left of a budget is planned for
CONCLUSION = 1.0  # seconds for the bootstrap, the map, and writing it down
SCORES = 0.6  # what the transfer scores of the last round take, of its probes
GROWTH = 1.5  # the power of the number of pictures that a probe's time grows with
BUSIEST = 5.0  # times slower than alone, at most, that a machine is taken to be
TORCH, NETWORK, FIRST = 2.5, 0.5, 2.0  # seconds to load torch, to load a network, and to look at the first pictures


def rounds(pictures: int, budget: float | None = None) -> list[int]:
    """N/8, N/4, N/2 and N, without those too small to decide anything; with a budget smaller ones come first.

    The first round tells how long the others would take, so it must not be long itself.
    """
    parts = [pictures // part for part in (8, 4, 2) if pictures // part >= FIRST_ROUND] + [pictures]
    while budget is not None and parts[0] >= 2 * FIRST_ROUND:
        parts.insert(0, parts[0] // 2)
    return parts


@dataclass(frozen=True)
class Pace:
    """Seconds that the last round took.

    Attributes:
        pictures: how many it looked at, those of earlier rounds included.
        forward: for one new picture through every backbone that is left.
        probing: for the probes, which look at all pictures again.
    """

    pictures: int
    forward: float
    probing: float

    def costs(self, pictures: int) -> float:
        """Seconds of a last round of so many pictures, conclusion included."""
        probing = self.probing * (pictures / self.pictures) ** GROWTH
        return float((pictures - self.pictures) * self.forward + probing * (1 + SCORES) + CONCLUSION)


def worth_export(upcoming: float, torch_seconds: float, saved: float, cost: float, left: float) -> bool:
    """Whether exporting a network is better than going on with torch, which takes ``torch_seconds`` a picture.

    The export takes ``cost`` seconds and saves the share ``saved`` of torch's time from then on. Where ``left`` seconds
    do not suffice for all ``upcoming`` pictures, it is better if more of them can be looked at; otherwise if it is
    over sooner.
    """
    plain, exported = upcoming * torch_seconds, cost + upcoming * torch_seconds * (1 - saved)
    if max(plain, exported) <= left or not upcoming:
        return exported < plain
    looked_at = left / max(torch_seconds, 1e-9)
    return (left - cost) / max(torch_seconds * (1 - saved), 1e-9) > looked_at


def busyness(wall: float, cpu: float) -> float:
    """How many times slower than alone a process was that got ``cpu`` seconds in ``wall``; 1 where nothing shows it."""
    return float(np.clip(wall / max(cpu, 1e-3), 1.0, BUSIEST)) if wall > 0 else 1.0


def start(torch_there: bool, known: bool, busy: float = 1.0) -> float:
    """Seconds, at least, from before the first backbone to a comparison of the fewest pictures by it alone."""
    loading = 0.0 if known else NETWORK + FIRST + (0.0 if torch_there else TORCH)
    return (loading + CONCLUSION) * busy


def affordable(to_come: list[int], pace: Pace, left: float) -> list[int]:
    """The rounds of ``to_come`` within ``left`` seconds; the last has fewer pictures where time is short."""
    if pace.costs(to_come[0]) <= left * SLACK:
        return to_come
    sizes = np.geomspace(to_come[0], pace.pictures * 1.05, 60).astype(int)
    few = next((int(few) for few in sizes if pace.costs(int(few)) <= left * SLACK), 0)
    return [few] if few else []
