"""What follows from a tournament once it is over: honest intervals, ties, the map, and one sentence of advice.

Pure: reports and labels in, reports and words out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.probe import left_out_interval
from zoo.quadrant import Quadrant, place
from zoo.report import Comparison, ProbeReport, advise, alike_timed
from zoo.resample import accuracies, at_once, balanced, behind, difference, mid_p

Ints = NDArray[np.int64]


def concluded(
    state: Comparison,
    y: Ints,
    groups: Ints,
    counts: Ints,
    halfway: Mapping[str, float],
    d2: dict[str, Any] | None,
) -> Comparison:
    """``state`` with probabilities, ties, the quadrant and the advice.

    Args:
        y: (N,) labels of the pictures of the last round, of which earlier rounds saw the first ones.
        groups: (N,) groups that are resampled whole.
        counts: (C,) pictures of each class in the whole dataset.
        halfway: accuracy by backbone in the round before the last, NaN where there was none.
        d2: what the thermometer says.
    """
    reports = {one.card.id: one for one in _together(alike_timed(state.reports), y, groups, state.seed)}
    finalists = sorted((one for one in reports.values() if one.dropped_at is None), key=lambda one: -one.accuracy)
    shares = accuracies(np.stack([one.right[-1] for one in finalists]), groups, state.seed)
    finalists = _against_best(_likely(finalists, shares), y, groups, state.seed)
    ties = _ties(finalists, shares)
    quadrant = _placed(finalists, groups, counts, halfway[finalists[0].card.id], state.seed, d2)
    plan = advise(finalists, ties, quadrant)
    chosen = next(one for one in finalists if one.card.id == plan["backbone"])
    if state.baseline is not None and state.baseline.interval[1] >= finalists[0].accuracy:
        plan["why"] += " Beware: shrunken pixels alone may do as well, so colour or layout may give the classes away."
    reports |= {one.card.id: one for one in finalists}
    accuracy = chosen.joined.tap.accuracy if plan["taps"] and chosen.joined else chosen.accuracy
    return replace(
        state,
        reports=tuple(reports.values()),
        ties=tuple(one.card.id for one in ties),
        quadrant=quadrant,
        plan=plan | {"cut": None, "accuracy": accuracy},
        sentence=plan["why"],
    )


def _together(reports: list[ProbeReport], y: Ints, groups: Ints, seed: int) -> list[ProbeReport]:
    """``reports`` with intervals that hold for all of them at once, so that the best one's does as well.

    Whoever dropped out counts too: it took part in what the best was picked from.
    """
    z = at_once([one.right[-1] for one in reports], groups, seed)
    return [
        replace(one, together=left_out_interval(one.right[-1], y[: one.pictures], groups[: one.pictures], z))
        for one in reports
    ]


def _likely(finalists: list[ProbeReport], shares: NDArray[np.float64]) -> list[ProbeReport]:
    """``finalists``, each with the share of resamples in which it is the best."""
    wins = np.bincount(shares.argmax(axis=1), minlength=len(finalists)) / len(shares)
    return [replace(one, p_best=float(win)) for one, win in zip(finalists, wins, strict=True)]


def _against_best(finalists: list[ProbeReport], y: Ints, groups: Ints, seed: int) -> list[ProbeReport]:
    """``finalists``, best first, each but the best with how it compares to the best."""
    shares = balanced(np.stack([one.right[-1] for one in finalists]), y, groups, seed)
    return finalists[:1] + [
        replace(
            one,
            versus_best={
                "mid_p": mid_p(one.right[-1], finalists[0].right[-1]),
                "difference": difference(shares[:, index], shares[:, 0]),
            },
        )
        for index, one in enumerate(finalists[1:], start=1)
    ]


def _ties(finalists: list[ProbeReport], shares: NDArray[np.float64]) -> list[ProbeReport]:
    """Those that are not surely behind the best, the fastest first."""
    sure = behind(np.array([(one.versus_best or {"mid_p": 1.0})["mid_p"] for one in finalists]), shares)
    near = (one for one, late in zip(finalists, sure, strict=True) if not late)
    return sorted(near, key=lambda one: one.ms_per_picture)


def _placed(
    finalists: list[ProbeReport], groups: Ints, counts: Ints, half: float, seed: int, d2: dict[str, Any] | None
) -> Quadrant:
    """Where the pictures stand, by the best finalist's taps; the thermometers stand beside it."""
    best = finalists[0]
    found = place(best.right, groups, counts, None if np.isnan(half) else best.accuracy - half, seed)
    told = next((one for one in finalists if one.pretrained), None)
    return replace(found, d2=d2, d3={"backbone": told.card.id} | (told.pretrained or {}) if told else None)
