"""The race: strategies against each other on the same pictures, and a verdict that takes a tie for a tie.

The pictures outside the test part are parted into folds that keep groups whole. In each heat an arm learns from the
other folds and is judged on one, so that in the end every picture was judged by a fit without it: ``RUNGS`` of folds,
after each of which arms that are surely behind, or that can no longer gain half a point on the cheapest, drop out
(a race as Maron and Moore 1997 run it, in the rungs of Jamieson and Talwalkar 2016). Arms that learn by steps try three
learning rates in the first heat; the one with the least loss on its own select part, not on the judged fold, goes on.
A costlier arm wins only by proof: both the paired resamples and McNemar's mid-p below 0.05. Where a budget runs out,
what does not fit into it any more is not run: further learning rates first, then the later folds of the costliest arms.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.heats import Course, Heat, Interrupted
from trainer.plan import Plan
from zoo.errors import StudioError
from zoo.probe import accuracy_interval
from zoo.quadrant import HALF_A_POINT
from zoo.resample import accuracies, difference, mid_p

RUNGS = ((0,), (1,), (2, 3))  # which folds each judges on
FOLDS = 4
RATES = (1.0, 1 / 3, 3.0)  # times the recipe's, at rung 0
HEATS = len(RATES) + FOLDS - 1  # an arm that is never dropped runs
LEVEL = 0.05
NO_TIME = "the budget had no time left for it"
FEWEST = 64  # pictures judged on, below which nobody is dropped: fewer decide nothing

Told = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Arm:
    """One strategy's way through the race.

    Attributes:
        plan: what each heat carries out; its learning rate is the chosen one after rung 0.
        right: (N,) 1 where it was right on a picture it had not seen, 0 where wrong, −1 where it was not judged.
        seconds: wall seconds of one fit, its frozen features included: the mean of its heats.
        spent: seconds of all its heats.
        rates: the learning rates it tried, where it learns by steps.
        dropped_at: the rung after which it went, from 0; None while it runs.
        why: why it went, or why it never ran.
    """

    plan: Plan
    right: NDArray[np.int8]
    seconds: float = 0.0
    spent: float = 0.0
    rates: tuple[float, ...] = ()
    dropped_at: int | None = None
    why: str = ""

    @property
    def strategy(self) -> str:
        return self.plan.strategy

    @property
    def judged(self) -> NDArray[np.bool_]:
        return self.right >= 0

    @property
    def accuracy(self) -> float | None:
        return float(self.right[self.judged].mean()) if self.judged.any() else None

    def as_json(self, groups: NDArray[np.int64]) -> dict[str, Any]:
        rows = self.judged
        interval = accuracy_interval(self.right[rows] == 1, groups[rows]) if rows.any() else None
        return {
            "strategy": self.strategy,
            "accuracy": self.accuracy,
            "interval": list(interval) if interval else None,
            "seconds": self.seconds,
            "spent": self.spent,
            "pictures": int(rows.sum()),
            "learning_rate": self.plan.learning_rate,
            "rates": list(self.rates),
            "epochs": self.plan.epochs,
            "dropped_at": self.dropped_at,
            "why": self.why,
        }


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Which arm is to be trained, and what is known of the difference that decided it.

    Attributes:
        gain: what ``over`` costs more and gains on the winner, or the winner on ``over`` where it was proven, in
            points of accuracy with their 95 % interval.
    """

    winner: str
    sentence: str
    mid_p: float | None = None
    over: str | None = None
    gain: tuple[float, float, float] | None = None

    def as_json(self) -> dict[str, Any]:
        gain = list(self.gain) if self.gain else None
        return {"winner": self.winner, "verdict": self.sentence, "mid_p": self.mid_p, "over": self.over, "gain": gain}


def race(
    plans: Sequence[Plan], course: Course, told: Told = lambda *_: None, budget: float | None = None
) -> Iterator[tuple[list[Arm], Verdict]]:
    """Run ``plans`` against each other; yield the arms, best first, and the verdict so far after every heat.

    Args:
        budget: wall seconds that it may take; each arm's first heat is run even so while any are left, and the first
            of the arms that can run is judged in any case. None for no end.

    Raises:
        Interrupted: a person stopped it; heats that were run are kept.
        BadPlan: none of the plans could be carried out.
    """
    arms = [Arm(plan, np.full(len(course.pool), -1, dtype=np.int8)) for plan in plans]
    planned, done, begun = len(arms) * HEATS, 0, time.perf_counter()

    def fits(seconds: float) -> bool:
        """Whether a heat of so many seconds is over before the budget is."""
        return budget is None or time.perf_counter() - begun + seconds <= budget

    for rung, folds in enumerate(RUNGS):
        for fold in [one for one in folds if (course.fold == one).any()]:
            for place, arm in enumerate(arms):
                if arm.dropped_at is not None:
                    continue
                leads = not any(one.judged.any() for one in arms[:place])
                if not fits(arm.seconds) and not leads:
                    arms[place] = replace(arm, dropped_at=rung, why=NO_TIME)
                    continue
                told(arm.strategy, done, planned)
                try:
                    arms[place] = _ridden(arm, fold, course, fits if rung == 0 else None)
                except Interrupted:
                    raise
                except StudioError as error:
                    arms[place] = replace(arm, dropped_at=rung, why=str(error))
                    if not any(one.dropped_at is None for one in arms):
                        raise
                done += len(RATES) if rung == 0 else 1
                if any(one.judged.any() for one in arms):  # the first may fail, and leave the race to others
                    yield _ranked(arms), verdict(arms, course.groups)
        arms = _thinned(arms, rung, course.groups) if rung + 1 < len(RUNGS) else arms
        if sum(one.dropped_at is None for one in arms) < 2:
            break
    told("done", planned, planned)
    yield _ranked(arms), verdict(arms, course.groups)


def _ridden(arm: Arm, fold: int, course: Course, fits: Callable[[float], bool] | None) -> Arm:
    """``arm`` after one more fold; in its first heat, where ``fits`` is told, with the learning rate that suits it."""
    heats = [course.heat(arm.plan, fold)]
    plans = [arm.plan]
    if fits and heats[0].stepped:
        for factor in RATES[1:]:
            if not fits(heats[0].seconds):
                break
            plans.append(replace(arm.plan, learning_rate=arm.plan.learning_rate * factor))
            heats.append(course.heat(plans[-1], fold))
        arm = replace(arm, rates=tuple(plan.learning_rate for plan in plans))
    best = min(range(len(heats)), key=lambda index: heats[index].loss)
    return _judged(arm, plans[best], heats[best], sum(heat.seconds for heat in heats), course)


def _judged(arm: Arm, plan: Plan, heat: Heat, spent: float, course: Course) -> Arm:
    right = arm.right.copy()
    right[heat.rows] = heat.predicted == course.y[heat.rows]
    before = int(arm.judged.sum())
    share = before / max(int((right >= 0).sum()), 1)
    seconds = arm.seconds * share + heat.seconds * (1 - share)
    return replace(arm, plan=plan, right=right, seconds=seconds, spent=arm.spent + spent)


def _ranked(arms: Sequence[Arm]) -> list[Arm]:
    """Those judged longest first, by accuracy."""
    return sorted(arms, key=lambda arm: (int(arm.judged.sum()), arm.accuracy or 0.0), reverse=True)


def _thinned(arms: Sequence[Arm], rung: int, groups: NDArray[np.int64]) -> list[Arm]:
    """``arms``, those marked that need not run on."""
    alive = [arm for arm in arms if arm.dropped_at is None]
    if not alive or alive[0].judged.sum() < FEWEST:
        return list(arms)
    best = max(alive, key=lambda arm: arm.accuracy or 0.0)
    cheapest = min(alive, key=lambda arm: arm.seconds)
    left = []
    for arm in arms:
        why = ""
        if arm.dropped_at is None and arm is not best and proven(best, arm, groups):
            why = f"surely behind {_name(best)}"
        elif arm.dropped_at is None and arm is not cheapest and _gain(arm, cheapest, groups)[2] < HALF_A_POINT:
            why = f"costs more than {_name(cheapest)} and cannot gain half a point on it"
        left.append(replace(arm, dropped_at=rung, why=why) if why else arm)
    return left


def proven(one: Arm, other: Arm, groups: NDArray[np.int64]) -> bool:
    """Whether ``one`` is surely more often right than ``other``, on the pictures that both were judged on."""
    both = one.judged & other.judged
    if not both.any():
        return False
    mine, theirs = one.right[both] == 1, other.right[both] == 1
    return bool(_gain(one, other, groups)[1] > 0 and mid_p(mine, theirs) < LEVEL)


def _gain(one: Arm, other: Arm, groups: NDArray[np.int64]) -> tuple[float, float, float]:
    """Accuracy of ``one`` above ``other`` with its 95 % interval, on the pictures that both were judged on."""
    both = one.judged & other.judged
    right = np.stack([one.right[both], other.right[both]]) == 1
    low, high = difference(*accuracies(right, groups[both]).T)
    return float(right[0].mean() - right[1].mean()), low, high


def verdict(arms: Sequence[Arm], groups: NDArray[np.int64]) -> Verdict:
    """The cheapest arm wins unless a costlier one is proven better; that one in turn yields only to proof.

    Raises:
        ValueError: no arm was judged.
    """
    climbed = sorted((arm for arm in arms if arm.judged.any()), key=lambda arm: arm.seconds)
    if not climbed:
        raise ValueError("a race has no verdict before its first heat")
    champion, beaten = climbed[0], None
    for arm in climbed[1:]:
        if proven(arm, champion, groups):
            champion, beaten = arm, champion
    rivals = [arm for arm in climbed if arm is not champion and (arm.judged & champion.judged).any()]
    if beaten is not None:
        return _said(champion, beaten, champion, beaten, groups)
    if not rivals:
        return Verdict(winner=champion.strategy, sentence=f"{_name(champion).capitalize()} ran alone so far.")
    rival = max(rivals, key=lambda arm: _gain(arm, champion, groups)[0])
    return _said(rival, champion, champion, rival, groups)


def _said(one: Arm, other: Arm, winner: Arm, loser: Arm, groups: NDArray[np.int64]) -> Verdict:
    """The verdict on the costlier ``one`` against the cheaper ``other``."""
    gain = tuple(100 * value for value in _gain(one, other, groups))
    both = one.judged & other.judged
    p = mid_p(one.right[both] == 1, other.right[both] == 1)
    found = f"{_name(one).capitalize()}: {gain[0]:+.1f} points ({gain[1]:+.1f} … {gain[2]:+.1f}) over {_name(other)}: "
    times = one.seconds / max(other.seconds, 1e-9)
    dearer = f"{times:.0f} times" if times >= 10 else f"{times:.1f} times"
    chance = f"{p:.3f}" if p >= 0.001 else "< 0.001"
    if winner is one:
        found += f"proven (mid-p {chance}), at {dearer} the cost. Train {_name(one)}."
    elif proven(other, one, groups):
        found += f"surely behind (mid-p {chance}), at {dearer} the cost. Train {_name(other)}."
    else:
        found += f"not proven (mid-p {chance}); {_name(other)} is {dearer} cheaper. Train {_name(other)}."
    return Verdict(
        winner=winner.strategy, sentence=found, mid_p=p, over=loser.strategy, gain=(gain[0], gain[1], gain[2])
    )


def _name(arm: Arm) -> str:
    return "the head" if arm.strategy == "linear_head" else arm.strategy.replace("_", " ")
