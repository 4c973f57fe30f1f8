"""The tournament: frozen backbones against each other on the person's own pictures, before anything is trained.

Each round doubles the pictures, as prefixes of one shuffled order. Every backbone left is read at every depth, a
closed-form probe is fitted to each tap and judged by leave-one-out, and who is surely behind drops out. The test part
of the dataset is never looked at here: it has to stay unseen until a run has finished.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo import sources
from zoo.budget import CONCLUSION, TORCH, Pace, affordable, busyness, rounds, start
from zoo.dataset import Dataset, split
from zoo.errors import BackboneUnavailable, BadUpload, TooShort
from zoo.features import Extractor
from zoo.judging import few_threads, judged
from zoo.nodes import Nodes
from zoo.quadrant import place
from zoo.report import Comparison, ProbeReport, advise, alike_timed
from zoo.resample import accuracies, balanced, behind, difference, mid_p
from zoo.settings import Settings
from zoo.store import Store
from zoo.thermometer import divergence

EMBEDDED = tuple(f"embedded/tf_efficientnet_lite{number}" for number in range(3))
BASELINE = "pixels/8x8"
FINALISTS = 3
THERMOMETER = 8.0  # seconds that a network's loading for it may take; with less left it is not asked

Told = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be compared on what.

    Attributes:
        budget: wall seconds it may take; fewer pictures are looked at where all would take longer.
        limit: most pictures to look at.
        fresh: compute features anew even where they are known.
        thermometer: measure how like the pretraining data the pictures are, which the page shows and advice leaves out.
    """

    backbones: tuple[str, ...] = EMBEDDED
    budget: float | None = None
    limit: int | None = None
    seed: int = 0
    fresh: bool = False
    thermometer: bool = True


def compare(
    dataset: Dataset,
    question: Question,
    store: Store,
    settings: Settings,
    told: Told = lambda *_: None,
    before: float = 0.0,
    nodes: Nodes | None = None,
) -> Iterator[Comparison]:
    """Yield the comparison each time a backbone was measured; the last one carries ties, quadrant and advice.

    ``before`` are the seconds of the budget that were spent before this call; ``nodes`` look at the pictures, if given.

    Raises:
        BadUpload: too few pictures to leave one out.
        BackboneUnavailable: none of the backbones can be had.
        TooShort: the budget was as good as spent before this call.
    """
    clock = _Clock()
    pool = _shuffled(dataset, question.seed)
    order = pool[: question.limit]
    if len(order) < 4:
        raise BadUpload(f"{len(order)} pictures are left to compare on.", "Add pictures; ten a class is a start.")
    field = _entrants(dataset, question, store, settings, len(order), nodes)
    field.ends = (question.budget or np.inf) - before
    field.conclusion = CONCLUSION * _start(field, question, before)
    counts = np.array(list(dataset.counts.values()))
    state = Comparison(
        dataset=dataset.id,
        seed=question.seed,
        pictures=len(order),
        held_back=len(dataset) - len(pool),
        chance=float(counts.max() / counts.sum()),
    )
    baseline = Extractor(sources.card(BASELINE, settings), dataset, store, settings, question.fresh)
    to_come, number = rounds(len(order), question.budget), 0
    state = replace(state, baseline=_measure(baseline, dataset, order[: to_come[0]], clock, fresh=question.fresh))
    yield state
    while to_come:
        earlier, begun, number = number, clock.read(), to_come.pop(0)
        for _ in _round(field, dataset, order[:number], clock, question, told, not to_come):
            state = replace(state, reports=tuple(field.reports.values()), seconds=clock.read(), pictures=number)
            yield replace(state, unavailable=tuple(field.unavailable))
        left = field.ends - clock.read()["total"]
        if to_come:
            share = _drop(field, order[:number], dataset, question)
            if question.budget:
                spare = left - field.conclusion + CONCLUSION
                to_come = affordable(to_come, _pace(earlier, number, begun, clock.read(), share), spare)
    part = order[:number]
    state = replace(state, baseline=_measure(baseline, dataset, part, clock), unavailable=tuple(field.unavailable))
    d2 = divergence(dataset, order, store, settings) if question.thermometer and left > THERMOMETER else None
    with few_threads(number):
        yield _concluded(state, field, part, dataset, question, clock, d2)


@dataclass
class _Field:
    """Who takes part, and what was found of each.

    ``expected`` is the number of pictures of the last round, ``halfway`` the last tap's accuracy in the round before.
    The budget ``ends`` at so many seconds of the clock; ``longest`` is what one backbone took of them at most.
    """

    expected: int
    entrants: list[Extractor]
    unavailable: list[dict[str, str]]
    reports: dict[str, ProbeReport] = field(default_factory=dict)
    halfway: dict[str, float] = field(default_factory=dict)
    ends: float = float("inf")
    longest: float = 0.0
    conclusion: float = CONCLUSION

    def late(self, now: float) -> bool:
        """Whether one more backbone would take the budget past its end; the first is looked at in any case."""
        return bool(self.reports) and now + self.longest + self.conclusion > self.ends

    def share(self, now: float) -> float:
        """Seconds, of those left, for each backbone that was not looked at yet."""
        return (self.ends - self.conclusion - now) / max(1, len(self.entrants) - len(self.reports))

    def left(self) -> list[Extractor]:
        """Those that have not dropped out."""
        gone = {name for name, report in self.reports.items() if report.dropped_at is not None}
        return [one for one in self.entrants if one.card.id not in gone]

    def out(self, name: str, error: BackboneUnavailable) -> None:
        self.unavailable.append({"id": name, "problem": error.problem, "remedy": error.remedy})

    def check(self) -> None:
        """Raise the first reason where no backbone is left to compare."""
        if not self.entrants:
            first = (self.unavailable or [{"problem": "No backbone was named.", "remedy": "Choose one."}])[0]
            raise BackboneUnavailable(first["problem"], first["remedy"])


def _round(
    field: _Field,
    dataset: Dataset,
    part: NDArray[np.int64],
    clock: _Clock,
    question: Question,
    told: Told,
    last: bool,
) -> Iterator[None]:
    """Measure everyone who is left on ``part``; yields after each."""
    for entrant in field.left():
        name, known = entrant.card.id, field.reports.get(entrant.card.id)
        seen = sum(report.pictures for report in field.reports.values())
        counted = _from(seen, field.expected * len(field.entrants), told)
        begun, torch_there = clock.read()["total"], "torch" in sys.modules
        if known is None and field.late(begun):
            field.entrants.remove(entrant)
            remedy = "Give more seconds, or compare fewer backbones."
            field.out(name, BackboneUnavailable(f"{question.budget:g} seconds left no time for it.", remedy))
            continue
        try:
            if known is None:
                entrant.left = field.share(begun)
            report = _measure(entrant, dataset, part, clock, counted, last, question.fresh)
        except BackboneUnavailable as error:
            field.entrants.remove(entrant)
            field.out(name, error)
            field.check()
            continue
        field.halfway[name] = known.accuracy if known else np.nan
        field.reports[name] = replace(report, seconds=report.seconds + (known.seconds if known else 0.0))
        loading = 0.0 if torch_there or "torch" not in sys.modules else TORCH  # which none after it has to do
        field.longest = max(field.longest, clock.read()["total"] - begun - loading)
        yield


class _Clock:
    """Wall seconds by stage."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.stages = {"decode": 0.0, "forward": 0.0, "probe": 0.0}

    def read(self) -> dict[str, float]:
        return {**self.stages, "total": time.perf_counter() - self.start}


def _entrants(
    dataset: Dataset, question: Question, store: Store, settings: Settings, expected: int, nodes: Nodes | None
) -> _Field:
    """The backbones whose names are known; for the others, why not. The baseline is no entrant."""
    found = _Field(expected, [], [])
    for name in dict.fromkeys(name for name in question.backbones if not name.startswith("pixels/")):
        try:
            card = sources.card(name, settings)
            found.entrants.append(Extractor(card, dataset, store, settings, question.fresh, expected, nodes))
        except BackboneUnavailable as error:
            found.out(name, error)
    found.check()
    return found


def _start(field: _Field, question: Question, before: float) -> float:
    """How many times slower than alone this process is; refuses a budget of which too little is left to begin."""
    if question.budget is None or not before:
        return 1.0
    busy = busyness(before, sum(os.times()[:4]))
    least = before + start("torch" in sys.modules, any(one.at_hand for one in field.entrants), busy)
    if question.budget < least:
        raise TooShort(
            f"{question.budget:g} seconds are not enough: {before:.0f} went before any backbone was looked at.",
            f"Give {np.ceil(least * 1.1):.0f} seconds at least; again it takes less, for the pictures are read now.",
        )
    return busy


def _shuffled(dataset: Dataset, seed: int) -> NDArray[np.int64]:
    """Every picture but the test part's, in an order whose prefixes keep the classes' shares."""
    pool = split(dataset, seed).of("train", "select", "calibration")
    rng = np.random.default_rng(seed)
    position = np.empty(len(pool))
    for label in np.unique(dataset.y[pool]):
        rows = np.flatnonzero(dataset.y[pool] == label)
        position[rows] = (rng.permutation(len(rows)) + rng.random()) / len(rows)
    return pool[np.argsort(position, kind="stable")]


def _measure(
    extractor: Extractor,
    dataset: Dataset,
    part: NDArray[np.int64],
    clock: _Clock,
    told: Told = lambda *_: None,
    scores: bool = True,
    fresh: bool = False,
) -> ProbeReport:
    """Features of ``part`` and a probe on each tap of them; transfer ``scores`` too, which cost more than a probe."""
    features = extractor.rows(part, lambda done, total: told(extractor.card.id, done, total))
    begun = time.perf_counter()
    report = judged(features, extractor.folder, dataset, part, scores, fresh)
    spent = time.perf_counter() - begun
    clock.stages["forward"] += features.seconds
    clock.stages["probe"] += spent
    return replace(report, seconds=features.seconds + spent)


def _from(seen: int, every: int, told: Told) -> Told:
    """``told``, counting from ``seen`` of ``every`` forward passes that the whole comparison may take."""
    return lambda stage, done, _: told(stage, min(seen + done, every), every)


def _pace(earlier: int, number: int, start: dict[str, float], now: dict[str, float], share: float) -> Pace:
    """What the round from ``earlier`` pictures to ``number`` took, of the ``share`` of backbones that are left."""
    forward, probing = (share * (now[stage] - start[stage]) for stage in ("forward", "probe"))
    return Pace(number, forward / (number - earlier), probing)


def _drop(field: _Field, part: NDArray[np.int64], dataset: Dataset, question: Question) -> float:
    """Mark those surely behind the best; the share of who took part that is left.

    Three stay in any case, one of them of another family than the best.
    """
    alive = sorted((field.reports[one.card.id] for one in field.left()), key=lambda one: one.accuracy, reverse=True)
    shares = accuracies(np.stack([one.right[-1] for one in alive]), dataset.groups[part], question.seed)
    kept = {one.card.id for one in alive[:FINALISTS]}
    stranger = next((one for one in alive if one.card.family != alive[0].card.family), None)
    if stranger is not None and all(one.card.family == alive[0].card.family for one in alive[:FINALISTS]):
        kept = {one.card.id for one in alive[: FINALISTS - 1]} | {stranger.card.id}
    for index, one in enumerate(alive):
        if one.card.id not in kept and difference(shares[:, index], shares[:, 0])[1] < 0:
            field.reports[one.card.id] = replace(one, dropped_at=len(part))
    return len(field.left()) / len(alive)


def _concluded(
    state: Comparison,
    field: _Field,
    part: NDArray[np.int64],
    dataset: Dataset,
    question: Question,
    clock: _Clock,
    d2: dict[str, Any] | None,
) -> Comparison:
    """``state`` with probabilities, ties, the quadrant and the advice."""
    groups = dataset.groups[part]
    reports = {one.card.id: one for one in alike_timed(list(field.reports.values()))}
    finalists = sorted((one for one in reports.values() if one.dropped_at is None), key=lambda one: -one.accuracy)
    shares = accuracies(np.stack([one.right[-1] for one in finalists]), groups, question.seed)
    wins = np.bincount(shares.argmax(axis=1), minlength=len(finalists)) / len(shares)
    finalists = [replace(one, p_best=float(win)) for one, win in zip(finalists, wins, strict=True)]
    finalists = _against_best(finalists, dataset.y[part], groups, question.seed)
    sure = behind(np.stack([one.right[-1] for one in finalists]), shares)
    ties = sorted((one for one, late in zip(finalists, sure, strict=True) if not late), key=lambda o: o.ms_per_picture)
    best = finalists[0]
    half = field.halfway[best.card.id]
    counts = np.array(list(dataset.counts.values()))
    quadrant = place(best.right, groups, counts, None if np.isnan(half) else best.accuracy - half, question.seed)
    told = next((one for one in finalists if one.pretrained), None)
    quadrant = replace(quadrant, d2=d2, d3={"backbone": told.card.id} | (told.pretrained or {}) if told else None)
    backbone, strategy, sentence = advise(finalists, ties, quadrant)
    if state.baseline is not None and state.baseline.interval[1] >= best.accuracy:
        sentence += " Beware: shrunken pixels alone may do as well, so colour or layout may give the classes away."
    reports = reports | {one.card.id: one for one in finalists}
    chosen = reports[backbone]
    return replace(
        state,
        reports=tuple(reports.values()),
        ties=tuple(one.card.id for one in ties),
        quadrant=quadrant,
        plan={"backbone": backbone, "strategy": strategy, "cut": None, "accuracy": chosen.accuracy, "why": sentence},
        sentence=sentence,
        seconds=clock.read(),
    )


def _against_best(
    finalists: list[ProbeReport], y: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> list[ProbeReport]:
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
