"""Strategies raced: the verdict's arithmetic, and real heats on a tiny network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from tests.conftest import classes_of, random_weights
from trainer.auto import strategy_for
from trainer.heats import Course, Heat, Interrupted
from trainer.plan import Plan
from trainer.race import FOLDS, Arm, Verdict, _thinned, race, verdict
from trainer.races import Races, entrants
from trainer.ui.race_view import race_html
from zoo.dataset import split
from zoo.intake import intake
from zoo.resample import mid_p
from zoo.settings import Settings
from zoo.store import Store

NETWORK = "test_efficientnet.r160_in1k"
PICTURES = 200


def arm(strategy: str, wrong: int, seconds: float, first: int = 0) -> Arm:
    """Wrong on ``wrong`` of 200 pictures, from the ``first`` on."""
    right = np.ones(PICTURES, dtype=np.int8)
    right[first : first + wrong] = 0
    return Arm(Plan(dataset="d", backbone="a/b", strategy=strategy), right, seconds=seconds)


def decided(*arms: Arm) -> Verdict:
    return verdict(arms, np.arange(PICTURES))


def test_a_tie_goes_to_the_cheapest_and_the_sentence_says_by_how_much() -> None:
    found = decided(arm("full", 16, 400), arm("linear_head", 20, 10))
    assert found.winner == "linear_head"
    assert found.sentence.startswith("Full: +2.0 points (")
    assert "not proven" in found.sentence
    assert "the head is 40 times cheaper" in found.sentence
    assert found.gain is not None
    assert found.gain[1] <= 2.0 <= found.gain[2]


def test_a_costlier_arm_wins_only_by_proof() -> None:
    head, full = arm("linear_head", 40, 10), arm("full", 10, 400)
    found = decided(head, full)
    assert found.winner == "full"
    assert found.mid_p == pytest.approx(mid_p(full.right == 1, head.right == 1))
    assert found.mid_p is not None
    assert found.mid_p < 0.05
    behind = decided(arm("full", 40, 400), arm("linear_head", 10, 10))
    assert "surely behind" in behind.sentence, "a costlier arm that is proven worse is not called unproven"
    assert behind.winner == "linear_head"
    assert decided(head, full, arm("last_blocks", 11, 100)).winner == "last_blocks"  # as good, and cheaper


def test_arms_meet_only_on_pictures_that_both_were_judged_on() -> None:
    early = arm("full", 0, 400)
    early.right[50:] = -1
    late = arm("linear_head", 100, 10, first=50)
    assert decided(early, late).winner == "linear_head"  # right on all that the other was asked about


def test_who_cannot_gain_drops_out_but_nobody_does_on_few_pictures() -> None:
    arms = [arm("linear_head", 20, 10), arm("full", 60, 400, first=20), arm("last_blocks", 18, 100)]
    left = {one.strategy: one.why for one in _thinned(arms, 0, np.arange(PICTURES))}
    assert (left["linear_head"], left["last_blocks"]) == ("", "")
    assert left["full"] == "surely behind last blocks"
    for one in arms:
        one.right[32:] = -1
    assert _thinned(arms, 0, np.arange(PICTURES)) == arms


def test_a_race_is_shown_as_a_table_with_its_verdict() -> None:
    arms = [one.as_json(np.arange(PICTURES)) for one in (arm("linear_head", 20, 10), arm("full", 16, 400))]
    unable = [{"strategy": "lora", "why": "<b> has no attention."}]
    shown = race_html(
        {"state": "finished", "arms": arms, "winner": "linear_head", "verdict": "Full: +2.0", "unavailable": unable}
    )
    assert shown.count("<tr>") == 3
    assert shown.count("winner") == 1
    assert "Full: +2.0" in shown
    assert "Lora did not run: &lt;b&gt; has no attention." in shown


def test_theory_decides_without_a_race() -> None:
    def advised(cell: str, strategy: str) -> str:
        return strategy_for({"quadrant": {"cell": cell}, "plan": {"backbone": "a/b", "strategy": strategy}}, "a/b")

    assert advised("little, alike", "linear_head") == "linear_head"
    assert advised("little, unlike", "linear_head") == "earlier_layer"
    assert advised("much, unlike", "full") == "full"
    joined = {"plan": {"backbone": "a/b", "strategy": "earlier_layer", "taps": "x, y"}}
    assert (strategy_for(joined, "a/b"), strategy_for(joined, "c/d")) == ("earlier_layer", "linear_head")


def test_an_arm_that_outlives_the_cheapest_does_not_run_past_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    class Timed:
        """A course whose heats take as many seconds as their arm's plan allows, by a clock of the test's."""

        pool, y, groups = np.arange(PICTURES), np.zeros(PICTURES, dtype=np.int64), np.arange(PICTURES)
        fold = np.arange(PICTURES) % 2

        def heat(self, plan: Plan, fold: int) -> Heat:
            rows, seconds = np.flatnonzero(self.fold == fold), float(plan.budget_seconds or 0)
            clock[0] += seconds
            wrong = np.full(len(rows), int(plan.strategy == "linear_head"))
            return Heat(rows, wrong, seconds, 0.1, stepped=False)

    clock = [0.0]
    monkeypatch.setattr("trainer.race.time.perf_counter", lambda: clock[0])
    plans = [arm(name, 0, 0).plan for name in ("linear_head", "last_blocks", "full")]
    timed = [replace(plan, budget_seconds=cost) for plan, cost in zip(plans, (1, 300, 900), strict=True)]
    arms, found = list(race(timed, cast(Course, Timed()), budget=1250))[-1]
    assert found.winner == "last_blocks"
    assert {one.strategy: bool(one.why) for one in arms} == {"linear_head": True, "last_blocks": True, "full": True}
    assert clock[0] <= 1250


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """Thirty-six small pictures of three classes, and a tiny network with random weights."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), offline=True, threads=1)
    random_weights(settings.home, NETWORK)
    top = classes_of(tmp_path_factory.mktemp("pictures"), (12, 12, 12))
    store = Store(settings.home)
    return Course(intake(top, store, settings), store, settings, store.root / "races", lambda: False, FOLDS)


@pytest.fixture(scope="module")
def plans(course: Course) -> list[Plan]:
    every = entrants(course.dataset, course.settings, None, f"timm/{NETWORK}", budget=60)
    assert {"linear_head", "earlier_layer", "full"} <= {plan.strategy for plan in every}
    assert len({plan.budget_seconds for plan in every}) == 1  # at equal cost
    return [replace(plan, epochs=1) for plan in every if plan.strategy in ("linear_head", "full")]


@pytest.mark.slow
def test_a_race_judges_every_arm_on_the_same_pictures_and_never_on_the_test_part(
    course: Course, plans: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list(race(plans, course))
    arms, found = seen[-1]
    assert {one.strategy for one in arms} == {"linear_head", "full"}
    assert all(one.accuracy is not None and one.seconds > 0 for one in arms)
    assert found.winner in ("linear_head", "full")
    assert not set(course.pool) & set(split(course.dataset).of("test"))
    alive = [one for one in arms if one.dropped_at is None]
    assert all((one.judged == alive[0].judged).all() for one in alive)
    full = next(one for one in arms if one.strategy == "full")
    assert full.spent > full.seconds * 2  # three learning rates were tried
    monkeypatch.setattr(Course, "_run", lambda *_: pytest.fail("a heat that is known was run again"))
    assert [one.accuracy for one in list(race(plans, course))[-1][0]] == [one.accuracy for one in arms]
    assert len(full.rates) == 3
    hasty = {one.strategy: one for one in list(race(plans, course, budget=1e-6))[-1][0]}
    assert hasty["linear_head"].judged.any(), "the cheapest is judged once, however little time there is"
    assert not hasty["full"].judged.any()
    assert hasty["full"].why == "the budget had no time left for it"
    monkeypatch.undo()
    unable = replace(plans[0], strategy="earlier_layer", taps="no such tap")
    left, found = list(race([unable, *plans], course, budget=1e-6))[-1]
    assert found.winner == "linear_head", "of those that can run, the cheapest"
    assert {one.strategy for one in left if one.judged.any()} == {"linear_head"}


def test_a_stopped_race_keeps_what_it_ran(course: Course, plans: list[Plan]) -> None:
    asked = iter(range(1000))
    stopped = replace(course, seed=1, stop=lambda: next(asked) > 1)
    with pytest.raises(Interrupted):
        list(race(plans, stopped))


def test_a_race_whose_process_died_says_so(course: Course, plans: list[Plan], tmp_path: Path) -> None:
    from zoo.store import write_json

    races = Races(course.store, course.settings)
    asked = {"dataset": course.dataset.id, "at": 0.0, "plans": [plan.as_json() for plan in plans]}
    write_json(races.root / "0" / "question.json", asked)
    found = races.read("0")
    assert (found["state"], found["arms"], found["entrants"]) == ("failed", [], ["linear_head", "full"])
    assert "Race again" in found["message"]
