import math
from itertools import pairwise
from pathlib import Path

import pytest

from trainer.anatomy import EMBEDDED
from trainer.cost import Sizes, Speed, cost
from trainer.events import Epoch, Event, Failed, Finished, Progress, Started, Step, Stopped
from trainer.folder import RunFolder
from trainer.parcel import result
from trainer.plan import Plan
from trainer.run import POINTS, Run, replay
from trainer.ui.contrast_view import megabytes
from zoo.backbone import Card, Preprocessing

BLANK = Run(id="r", plan=Plan(dataset="d", backbone="a/b", predicted_seconds=60.0))


def started(step: int = 0, steps: int = 100) -> Started:
    return Started(step=step, steps=steps, epochs=10, device="cpu", processes=1, precision="no", pid=1)


def step(number: int, loss: float = 1.0) -> Step:
    return Step(step=number, epoch=1, loss=loss, learning_rate=0.1)


def epoch(number: int, at_step: int, accuracy: float = 0.5, best: bool = False) -> Epoch:
    return Epoch(
        epoch=number, step=at_step, train_loss=1, train_accuracy=0.5, loss=1, accuracy=accuracy,
        interval=(0.4, 0.6), seconds=1, best=best,
    )  # fmt: skip


def told(*events: Event, seconds_each: float = 1.0) -> Run:
    return replay(BLANK, ((1000 + i * seconds_each, event) for i, event in enumerate(events)))


def test_a_run_without_events_waits() -> None:
    assert BLANK.state == "queued"
    assert BLANK.active
    assert not BLANK.resumable


def test_a_finished_run_says_how_often_it_was_right() -> None:
    run = told(started(), Finished(test={"n": 200, "accuracy": 0.832}, seconds=9, forward_seconds=3, peak_rss_mb=700))
    assert run.state == "finished"
    assert run.message == "Right on 83.2% of 200 test pictures it had never seen."
    assert (run.started, run.ended, run.seconds) == (1000, 1001, 9)
    assert not run.active
    assert not run.resumable


def test_a_megabyte_is_a_million_bytes_in_what_is_foretold_measured_and_taken_away(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(bytes(3_000_000))
    assert RunFolder(tmp_path).disk_mb() == 3.0
    assert result(tmp_path, {})["size_mb"] == 3.0
    card = Card(
        id="a/b", family="x", dim=8, taps=("head",), params=25, gmacs=1, licence="mit", ready="cached",
        preprocessing=Preprocessing(size=64),
    )  # fmt: skip
    plan, sizes = Plan(dataset="d", backbone="a/b"), Sizes(every=9, train=9, select=9, known=9)
    told = cost(plan, card, sizes, Speed(frozen=1, torch=1), next(iter(EMBEDDED.values())))
    assert told.disk_mb == pytest.approx(100, abs=0.01)  # 25 million weights of four bytes
    assert megabytes(2100.0) == "2.1 GB"


def test_a_run_that_fails_keeps_what_it_learned() -> None:
    run = told(started(), step(1), epoch(1, 1), Failed(problem="The disk is full.", remedy="Make room."))
    assert run.state == "failed"
    assert run.message == "The disk is full. Make room."
    assert run.losses == ((1, 1.0),)
    assert len(run.epochs) == 1
    assert run.resumable


def test_a_resumed_run_forgets_what_came_after_its_checkpoint() -> None:
    before: list[Event] = [
        started(),
        *(step(i, loss=5.0) for i in range(1, 8)),
        epoch(1, 5),
        epoch(2, 7),
        Stopped(step=7),
    ]
    run = told(*before, started(step=5), step(6, loss=2.0))
    assert run.state == "running"
    assert run.ended is None
    assert run.losses == (*((i, 5.0) for i in range(1, 6)), (6, 2.0))
    assert [each.epoch for each in run.epochs] == [1]


def test_an_epoch_that_fewer_processes_do_again_counts_once() -> None:
    before: list[Event] = [started(), *(epoch(number, at_step=10 * number) for number in (1, 2, 3))]
    run = told(*before, started(step=40), epoch(3, at_step=60, accuracy=0.9))  # one process takes twice the steps
    assert [one.epoch for one in run.epochs] == [1, 2, 3]
    assert run.epochs[-1].accuracy == 0.9


def test_a_stopped_run_can_be_resumed() -> None:
    run = told(started(), step(1), Stopped(step=1))
    assert run.state == "stopped"
    assert run.resumable


def test_a_long_curve_is_thinned_evenly_and_keeps_its_newest_point() -> None:
    run = told(started(steps=20_001), *(step(i, loss=1 / i) for i in range(1, 20_002)))
    steps = [point[0] for point in run.losses]
    assert POINTS / 3 < len(steps) <= POINTS
    assert steps[-1] == 20_001
    gaps = {b - a for a, b in pairwise(steps[:-1])}
    assert len(gaps) == 1
    assert all(loss == 1 / number for number, loss in run.losses)


def test_what_is_left_follows_the_pace_of_this_attempt() -> None:
    run = told(started(step=50), step(51), step(52), seconds_each=3)
    assert run.eta_seconds is not None
    assert math.isclose(run.eta_seconds, 3 * 48)


def test_before_the_first_step_what_is_left_is_what_was_predicted() -> None:
    assert told(started()).eta_seconds == 60


def test_a_stage_without_steps_tells_what_is_left_by_its_own_pace() -> None:
    stages = [Progress(stage="features", done=done, total=100) for done in (0, 10, 20)]
    run = told(*stages, seconds_each=5)
    assert run.message == "Features: 20 of 100."
    assert run.eta_seconds == 40


def test_a_clock_set_back_leaves_no_nonsense() -> None:
    run = replay(BLANK, [(5000.0, started()), (10.0, step(1)), (9.0, epoch(1, 1))])
    assert run.state == "running"
    assert run.eta_seconds is None


def test_the_kept_epoch_is_the_last_that_was_best() -> None:
    run = told(started(), epoch(1, 10, 0.6, best=True), epoch(2, 20, 0.7, best=True), epoch(3, 30, 0.6))
    assert run.best is not None
    assert run.best.epoch == 2
