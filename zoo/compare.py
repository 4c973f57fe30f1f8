"""The tournament: frozen backbones against each other on the person's own pictures, before anything is trained.

Each round doubles the pictures, as prefixes of one shuffled order. Every backbone left is read at every depth, a
closed-form probe is fitted to each tap and judged by leave-one-out, and who is surely behind drops out. The test part
of the dataset is never looked at here: it has to stay unseen until a run has finished.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from zoo import sources
from zoo.budget import CONCLUSION, TORCH, Pace, affordable, busyness, rounds, start
from zoo.crew import Company
from zoo.dataset import Dataset, split
from zoo.errors import BackboneUnavailable, BadUpload, TooShort
from zoo.features import Extractor
from zoo.judging import few_threads, judged
from zoo.report import Comparison, ProbeReport
from zoo.resample import accuracies, difference
from zoo.settings import Settings
from zoo.store import Store
from zoo.thermometer import divergence
from zoo.verdict import concluded

EMBEDDED = tuple(f"embedded/tf_efficientnet_lite{number}" for number in range(3))
BASELINE = "pixels/8x8"
FINALISTS = 3
THERMOMETER = 8.0  # seconds that a network's loading for it may take; with less left it is not asked
SPUN = 0.05  # seconds by which it is measured how busy the machine is

Told = Callable[[str, int, int], None]
Ints = NDArray[np.int64]


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
    nodes: Company | None = None,
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
    contest = _entered(dataset, question, store, settings, len(order), nodes, clock)
    contest.begin(before)
    baseline = Extractor(sources.card(BASELINE, settings), dataset, store, settings, question.fresh)
    to_come, number = rounds(len(order), question.budget), 0
    counts = np.array(list(dataset.counts.values()))
    state = Comparison(
        dataset=dataset.id,
        seed=question.seed,
        pictures=len(order),
        held_back=len(dataset) - len(pool),
        chance=float(counts.max() / counts.sum()),
        baseline=contest.measured(baseline, order[: to_come[0]]),
    )
    yield state
    while to_come:
        earlier, number, begun = number, to_come.pop(0), clock.read()
        for _ in contest.round(order[:number], told, last=not to_come):
            state = replace(state, reports=tuple(contest.reports.values()), seconds=clock.read(), pictures=number)
            yield replace(state, unavailable=tuple(contest.unavailable))
        left = contest.ends - clock.read()["total"]
        if to_come:
            share = contest.drop(order[:number])
            if question.budget:
                spare = left - contest.conclusion + CONCLUSION
                to_come = affordable(to_come, _pace(earlier, number, begun, clock.read(), share), spare)
    part = order[:number]
    state = replace(
        state,
        baseline=contest.measured(baseline, part),
        reports=tuple(contest.reports.values()),
        unavailable=tuple(contest.unavailable),
    )
    d2 = divergence(dataset, order, store, settings) if question.thermometer and left > THERMOMETER else None
    with few_threads(number):
        state = concluded(state, dataset.y[part], dataset.groups[part], counts, contest.halfway, d2)
    yield replace(state, seconds=clock.read())


class _Clock:
    """Wall seconds by stage."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.stages = {"decode": 0.0, "forward": 0.0, "probe": 0.0}

    def read(self) -> dict[str, float]:
        return {**self.stages, "total": time.perf_counter() - self.start}


@dataclass
class _Contest:
    """Who takes part, and what was found of each.

    ``expected`` is the number of pictures of the last round, ``halfway`` the last tap's accuracy in the round before.
    The budget ``ends`` at so many seconds of the clock; ``longest`` is what one backbone took of them at most, and
    ``conclusion`` what has to be left of them at the end.
    """

    dataset: Dataset
    question: Question
    expected: int
    clock: _Clock
    entrants: list[Extractor] = field(default_factory=list)
    unavailable: list[dict[str, str]] = field(default_factory=list)
    reports: dict[str, ProbeReport] = field(default_factory=dict)
    halfway: dict[str, float] = field(default_factory=dict)
    ends: float = float("inf")
    longest: float = 0.0
    conclusion: float = CONCLUSION

    def begin(self, before: float) -> None:
        """Set the end of the budget, of which ``before`` seconds went; refuses one of which too little is left."""
        budget = self.question.budget
        if budget is None:
            return
        busy = busyness(*_spun()) if before else 1.0
        least = before + start("torch" in sys.modules, any(one.at_hand for one in self.entrants), busy)
        if before and budget < least:
            needed = max(2.0, 1 + 1.1 * least)
            raise TooShort(
                f"{budget:g} {'second is' if budget == 1 else 'seconds are'} not enough: "
                f"{before:.0f} went before any backbone was looked at.",
                f"Give {needed:.0f} seconds at least; again it takes less, for the pictures are read now.",
            )
        self.ends, self.conclusion = budget - before, CONCLUSION * busy

    def round(self, part: Ints, told: Told, last: bool) -> Iterator[None]:
        """Measure everyone who is left on ``part``; yields after each."""
        for entrant in self._left():
            name, known = entrant.card.id, self.reports.get(entrant.card.id)
            begun, torch_there = self.clock.read()["total"], "torch" in sys.modules
            try:
                if known is None:
                    self._admit(entrant, begun)
                report = self.measured(entrant, part, self._counted(told), last)
            except BackboneUnavailable as error:
                self.entrants.remove(entrant)
                self.out(name, error)
                self.check()
                continue
            self.halfway[name] = known.accuracy if known else np.nan
            self.reports[name] = replace(report, seconds=report.seconds + (known.seconds if known else 0.0))
            loading = 0.0 if torch_there or "torch" not in sys.modules else TORCH  # which none after it has to do
            self.longest = max(self.longest, self.clock.read()["total"] - begun - loading)
            yield

    def measured(
        self, extractor: Extractor, part: Ints, told: Told = lambda *_: None, scores: bool = True
    ) -> ProbeReport:
        """Features of ``part`` and a probe on each tap; transfer ``scores`` too, which cost more than a probe."""
        features = extractor.rows(part, lambda done, total: told(extractor.card.id, done, total))
        begun = time.perf_counter()
        report = judged(features, extractor.folder, self.dataset, part, scores, self.question.fresh)
        spent = time.perf_counter() - begun
        self.clock.stages["forward"] += features.seconds
        self.clock.stages["probe"] += spent
        return replace(report, seconds=features.seconds + spent)

    def drop(self, part: Ints) -> float:
        """Mark those surely behind the best; the share of who took part that is left.

        Three stay in any case, one of them of another family than the best.
        """
        alive = sorted((self.reports[one.card.id] for one in self._left()), key=lambda one: -one.accuracy)
        rights = np.stack([one.right[-1] for one in alive])
        shares = accuracies(rights, self.dataset.groups[part], self.question.seed)
        kept = _kept(alive)
        for index, one in enumerate(alive):
            if one.card.id not in kept and difference(shares[:, index], shares[:, 0])[1] < 0:
                self.reports[one.card.id] = replace(one, dropped_at=len(part))
        return len(self._left()) / len(alive)

    def out(self, name: str, error: BackboneUnavailable) -> None:
        self.unavailable.append({"id": name, "problem": error.problem, "remedy": error.remedy})

    def check(self) -> None:
        """Raise the first reason where no backbone is left to compare."""
        if not self.entrants:
            first = (self.unavailable or [{"problem": "No backbone was named.", "remedy": "Choose one."}])[0]
            raise BackboneUnavailable(first["problem"], first["remedy"])

    def _left(self) -> list[Extractor]:
        """Those that have not dropped out."""
        gone = {name for name, report in self.reports.items() if report.dropped_at is not None}
        return [one for one in self.entrants if one.card.id not in gone]

    def _admit(self, entrant: Extractor, now: float) -> None:
        """Tell a backbone that was not looked at yet how many seconds it may take; the first has to be in any case.

        Raises:
            BackboneUnavailable: it would take the budget past its end.
        """
        if self.reports and now + self.longest + self.conclusion > self.ends:
            problem = f"{self.question.budget:g} seconds left no time for it."
            raise BackboneUnavailable(problem, "Give more seconds, or compare fewer backbones.")
        entrant.left = (self.ends - self.conclusion - now) / max(1, len(self.entrants) - len(self.reports))

    def _counted(self, told: Told) -> Told:
        """``told``, counting on from what was seen, of all forward passes that the whole comparison may take."""
        seen = sum(report.pictures for report in self.reports.values())
        every = self.expected * len(self.entrants)
        return lambda stage, done, _: told(stage, min(seen + done, every), every)


def _entered(
    dataset: Dataset,
    question: Question,
    store: Store,
    settings: Settings,
    expected: int,
    nodes: Company | None,
    clock: _Clock,
) -> _Contest:
    """The backbones whose names are known; for the others, why not. The baseline is no entrant."""
    found = _Contest(dataset, question, expected, clock)
    for name in dict.fromkeys(name for name in question.backbones if not name.startswith("pixels/")):
        try:
            card = sources.card(name, settings)
            found.entrants.append(Extractor(card, dataset, store, settings, question.fresh, expected, nodes))
        except BackboneUnavailable as error:
            found.out(name, error)
    found.check()
    return found


def _shuffled(dataset: Dataset, seed: int) -> Ints:
    """Every picture but the test part's, in an order whose prefixes keep the classes' shares."""
    pool = split(dataset, seed).of("train", "select", "calibration")
    rng = np.random.default_rng(seed)
    position = np.empty(len(pool))
    for label in np.unique(dataset.y[pool]):
        rows = np.flatnonzero(dataset.y[pool] == label)
        position[rows] = (rng.permutation(len(rows)) + rng.random()) / len(rows)
    return pool[np.argsort(position, kind="stable")]


def _spun() -> tuple[float, float]:
    """Wall and CPU seconds of a little computing, which waits for nothing but the processor."""
    wall, cpu = time.perf_counter(), time.thread_time()
    while time.perf_counter() - wall < SPUN:
        pass
    return time.perf_counter() - wall, time.thread_time() - cpu


def _pace(earlier: int, number: int, start: dict[str, float], now: dict[str, float], share: float) -> Pace:
    """What the round from ``earlier`` pictures to ``number`` took, of the ``share`` of backbones that are left."""
    forward, probing = (share * (now[stage] - start[stage]) for stage in ("forward", "probe"))
    return Pace(number, forward / (number - earlier), probing)


def _kept(alive: list[ProbeReport]) -> set[str]:
    """Who stays whatever was measured: the three best, one of them of another family than the best if there is one."""
    best = alive[:FINALISTS]
    stranger = next((one for one in alive if one.card.family != alive[0].card.family), None)
    if stranger is not None and all(one.card.family == alive[0].card.family for one in best):
        best = [*best[:-1], stranger]
    return {one.card.id for one in best}
