"""The tournament: frozen backbones against each other on the person's own pictures, before anything is trained.

Each round doubles the pictures, as prefixes of one shuffled order. Every backbone left is read at every depth, a
closed-form probe is fitted to each tap and judged by leave-one-out, and who is surely behind drops out. The test part
of the dataset is never looked at here: it has to stay unseen until a run has finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zoo import sources
from zoo.dataset import Dataset, split
from zoo.errors import BackboneUnavailable, BadUpload
from zoo.features import Extractor
from zoo.judging import few_threads, judged
from zoo.quadrant import place
from zoo.report import Comparison, ProbeReport, advise, alike_timed
from zoo.resample import accuracies, balanced, behind, difference, mid_p
from zoo.settings import Settings
from zoo.store import Store

EMBEDDED = tuple(f"embedded/tf_efficientnet_lite{number}" for number in range(3))
BASELINE = "pixels/8x8"
FIRST_ROUND = 64  # fewer pictures than this decide nothing
FINALISTS = 3
SLACK = 0.93  # of what is left of a budget is planned for

Told = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be compared on what.

    Attributes:
        budget: wall seconds it may take; fewer pictures are looked at where all would take longer.
        limit: most pictures to look at.
        fresh: compute features anew even where they are known.
    """

    backbones: tuple[str, ...] = EMBEDDED
    budget: float | None = None
    limit: int | None = None
    seed: int = 0
    fresh: bool = False


def compare(
    dataset: Dataset,
    question: Question,
    store: Store,
    settings: Settings,
    told: Told = lambda *_: None,
    before: float = 0.0,
) -> Iterator[Comparison]:
    """Yield the comparison each time a backbone was measured; the last one carries ties, quadrant and advice.

    ``before`` are the seconds of the budget that were spent before this call.

    Raises:
        BadUpload: too few pictures to leave one out.
        BackboneUnavailable: none of the backbones can be had.
    """
    clock = _Clock()
    pool = _shuffled(dataset, question.seed)
    order = pool[: question.limit]
    if len(order) < 4:
        raise BadUpload(f"{len(order)} pictures are left to compare on.", "Add pictures; ten a class is a start.")
    entrants, unavailable = _entrants(dataset, question, store, settings, len(order))
    _some_left(entrants, unavailable)
    counts = np.array(list(dataset.counts.values()))
    state = Comparison(
        dataset=dataset.id,
        seed=question.seed,
        pictures=len(order),
        held_back=len(dataset) - len(pool),
        chance=float(counts.max() / counts.sum()),
    )
    baseline = Extractor(sources.card(BASELINE, settings), dataset, store, settings, question.fresh)
    state = replace(state, baseline=_measure(baseline, dataset, order, clock, fresh=question.fresh))
    yield state
    reports: dict[str, ProbeReport] = {}
    halfway: dict[str, float] = {}
    rounds, number = _rounds(len(order)), 0
    while rounds:
        number, before_round = rounds.pop(0), clock.read()
        part, last = order[:number], not rounds
        for entrant in [one for one in entrants if not _out(reports, one)]:
            seen, every = sum(report.pictures for report in reports.values()), len(order) * len(entrants)
            try:
                report = _measure(entrant, dataset, part, clock, _from(seen, every, told), last, question.fresh)
            except BackboneUnavailable as error:
                entrants.remove(entrant)
                unavailable.append(_why(entrant.card.id, error))
                _some_left(entrants, unavailable)
                continue
            report = replace(report, seconds=report.seconds + _spent(reports, entrant))
            halfway[entrant.card.id] = reports[entrant.card.id].accuracy if entrant.card.id in reports else np.nan
            reports[entrant.card.id] = report
            state = replace(state, reports=tuple(reports.values()), seconds=clock.read(), pictures=number)
            yield replace(state, unavailable=tuple(unavailable))
        if not last:
            reports |= {report.card.id: report for report in _dropped(list(reports.values()), part, dataset, question)}
        if question.budget and not last:
            probing = clock.read()["probe"] - before_round["probe"]
            left = question.budget - before - clock.read()["total"]
            rounds = _affordable(rounds, number, list(reports.values()), probing, left)
    with few_threads(number):
        yield _concluded(
            replace(state, unavailable=tuple(unavailable)), reports, halfway, order[:number], dataset, question, clock
        )


class _Clock:
    """Wall seconds by stage."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.stages = {"decode": 0.0, "forward": 0.0, "probe": 0.0}

    def read(self) -> dict[str, float]:
        return {**self.stages, "total": time.perf_counter() - self.start}


def _entrants(
    dataset: Dataset, question: Question, store: Store, settings: Settings, expected: int
) -> tuple[list[Extractor], list[dict[str, str]]]:
    """The backbones whose names are known; for the others, why not. The baseline is no entrant."""
    entrants, unavailable = [], []
    for name in dict.fromkeys(name for name in question.backbones if not name.startswith("pixels/")):
        try:
            card = sources.card(name, settings)
            entrants.append(Extractor(card, dataset, store, settings, question.fresh, expected))
        except BackboneUnavailable as error:
            unavailable.append(_why(name, error))
    return entrants, unavailable


def _why(name: str, error: BackboneUnavailable) -> dict[str, str]:
    return {"id": name, "problem": error.problem, "remedy": error.remedy}


def _some_left(entrants: Sequence[Extractor], unavailable: Sequence[dict[str, str]]) -> None:
    """Raise the first reason where no backbone is left to compare."""
    if not entrants:
        first = unavailable[0] if unavailable else {"problem": "No backbone was named.", "remedy": "Choose one."}
        raise BackboneUnavailable(first["problem"], first["remedy"])


def _shuffled(dataset: Dataset, seed: int) -> NDArray[np.int64]:
    """Every picture but the test part's, in an order whose prefixes keep the classes' shares."""
    pool = split(dataset, seed).of("train", "select", "calibration")
    rng = np.random.default_rng(seed)
    position = np.empty(len(pool))
    for label in np.unique(dataset.y[pool]):
        rows = np.flatnonzero(dataset.y[pool] == label)
        position[rows] = (rng.permutation(len(rows)) + rng.random()) / len(rows)
    return pool[np.argsort(position, kind="stable")]


def _rounds(pictures: int) -> list[int]:
    """N/8, N/4, N/2 and N, without those too small to decide anything."""
    return [pictures // part for part in (8, 4, 2) if pictures // part >= FIRST_ROUND] + [pictures]


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
    begun = time.perf_counter()
    report = judged(extractor, dataset, part, scores, lambda done, total: told(extractor.card.id, done, total), fresh)
    spent = time.perf_counter() - begun
    clock.stages["forward"] += report.seconds
    clock.stages["probe"] += spent - report.seconds
    return replace(report, seconds=spent)


def _from(seen: int, every: int, told: Told) -> Told:
    """``told``, counting from ``seen`` of ``every`` forward passes that the whole comparison may take."""
    return lambda stage, done, _: told(stage, min(seen + done, every), every)


def _out(reports: dict[str, ProbeReport], entrant: Extractor) -> bool:
    report = reports.get(entrant.card.id)
    return report is not None and report.dropped_at is not None


def _spent(reports: dict[str, ProbeReport], entrant: Extractor) -> float:
    report = reports.get(entrant.card.id)
    return report.seconds if report else 0.0


def _affordable(
    rounds: list[int], number: int, reports: Sequence[ProbeReport], probing: float, left: float
) -> list[int]:
    """The rounds still to come within ``left`` seconds; the last of them has fewer pictures where time is short.

    Args:
        number: pictures seen so far.
        probing: seconds that their probes took in the last round; they grow faster than the pictures.
    """
    each = sum(one.ms_per_picture for one in reports if one.dropped_at is None) / 1000

    def costs(pictures: int) -> float:
        return float((pictures - number) * each + probing * (pictures / number) ** 1.5)

    if costs(rounds[0]) <= left * SLACK:
        return rounds
    few = next((few for few in np.geomspace(rounds[0], number * 1.1, 40) if costs(int(few)) <= left * SLACK), 0)
    return [int(few)] if few else []


def _dropped(
    reports: Sequence[ProbeReport], part: NDArray[np.int64], dataset: Dataset, question: Question
) -> list[ProbeReport]:
    """Those surely behind the best, marked; three stay in any case, one of them of another family than the best."""
    alive = sorted((one for one in reports if one.dropped_at is None), key=lambda one: one.accuracy, reverse=True)
    shares = accuracies(np.stack([one.right[-1] for one in alive]), dataset.groups[part], question.seed)
    kept = {one.card.id for one in alive[:FINALISTS]}
    stranger = next((one for one in alive if one.card.family != alive[0].card.family), None)
    if stranger is not None and all(one.card.family == alive[0].card.family for one in alive[:FINALISTS]):
        kept = {one.card.id for one in alive[: FINALISTS - 1]} | {stranger.card.id}
    return [
        replace(one, dropped_at=len(part))
        for index, one in enumerate(alive)
        if one.card.id not in kept and difference(shares[:, index], shares[:, 0])[1] < 0
    ]


def _concluded(
    state: Comparison,
    reports: dict[str, ProbeReport],
    halfway: dict[str, float],
    part: NDArray[np.int64],
    dataset: Dataset,
    question: Question,
    clock: _Clock,
) -> Comparison:
    """``state`` with probabilities, ties, the quadrant and the advice."""
    groups = dataset.groups[part]
    reports = {one.card.id: one for one in alike_timed(list(reports.values()))}
    finalists = sorted((one for one in reports.values() if one.dropped_at is None), key=lambda one: -one.accuracy)
    shares = accuracies(np.stack([one.right[-1] for one in finalists]), groups, question.seed)
    wins = np.bincount(shares.argmax(axis=1), minlength=len(finalists)) / len(shares)
    finalists = [replace(one, p_best=float(win)) for one, win in zip(finalists, wins, strict=True)]
    finalists = _against_best(finalists, dataset.y[part], groups, question.seed)
    sure = behind(np.stack([one.right[-1] for one in finalists]), shares)
    ties = sorted((one for one, late in zip(finalists, sure, strict=True) if not late), key=lambda o: o.ms_per_picture)
    best = finalists[0]
    half = halfway[best.card.id]
    counts = np.array(list(dataset.counts.values()))
    quadrant = place(best.right, groups, counts, None if np.isnan(half) else best.accuracy - half, question.seed)
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
