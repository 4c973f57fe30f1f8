"""Runs from a person's side: real supervisor, real processes, a small worker."""

import json
import sys
from pathlib import Path

import pytest

from tests.trainer.conftest import small_plan, supervisors, until
from tests.trainer.small_worker import DEAF, LINGERING, SHORT_LIVED
from trainer.events import Finished, Step
from trainer.folder import RunFolder
from trainer.processes import tagged
from trainer.runs import Runs
from zoo.errors import BadPlan, NotFound
from zoo.store import write_json


def ended(runs: Runs, run_id: str) -> bool:
    return not runs.read(run_id).active


def at_step(runs: Runs, run_id: str, step: int) -> bool:
    run = runs.read(run_id)
    assert run.active, run.message
    return run.step >= step


def test_a_run_is_started_watched_to_its_end_and_leaves_no_process(runs: Runs) -> None:
    run_id = runs.start(small_plan(20))
    events = [event for _, event in runs.watch(run_id)]
    assert [event.step for event in events if isinstance(event, Step)] == list(range(1, 21))
    assert isinstance(events[-1], Finished)
    run = runs.read(run_id)
    assert run.state == "finished"
    assert run.test is not None
    assert run.test["n"] == 40
    assert runs.classifier(run_id).is_dir()
    until(lambda: not tagged(runs.folder(run_id)) and not supervisors(runs.store))


def test_runs_wait_for_their_turn_in_the_order_they_were_asked_for(runs: Runs) -> None:
    ids = [runs.start(small_plan(10, ms=20)) for _ in range(3)]
    assert [run.id for run in runs.list()] == ids[::-1]
    working: list[str] = []
    while any(run.active for run in runs.list()):
        now = [run.id for run in runs.list() if run.state == "running"]
        assert len(now) <= 1
        working += [run_id for run_id in now if run_id not in working]
    assert working == ids


def test_a_stopped_run_resumes_and_ends_equal_to_one_never_stopped(runs: Runs) -> None:
    whole, parted = runs.start(small_plan(60)), runs.start(small_plan(60, ms=20))
    until(lambda: ended(runs, whole) and at_step(runs, parted, 12))
    runs.stop(parted)
    until(lambda: ended(runs, parted))
    stopped = runs.read(parted)
    assert stopped.state == "stopped"
    assert stopped.message == f"Stopped after step {stopped.step}; it can be resumed from there."
    runs.resume(parted)
    assert runs.read(parted).active
    until(lambda: ended(runs, parted))
    assert runs.read(parted).state == "finished"
    assert runs.read(parted).first_step == stopped.step
    assert [step for step, _ in runs.read(parted).losses] == list(range(1, 61))
    assert runs.read(parted).test == runs.read(whole).test


def test_a_queued_run_can_be_stopped_and_resumed(runs: Runs) -> None:
    first, second = runs.start(small_plan(200, ms=100)), runs.start(small_plan(5))
    until(lambda: at_step(runs, first, 1))
    runs.stop(second)
    until(lambda: ended(runs, second))
    assert (runs.read(second).state, runs.read(second).message) == ("stopped", "Stopped before it began.")
    runs.resume(second)
    assert runs.read(second).state == "queued"
    runs.stop(first)
    until(lambda: ended(runs, second))
    assert runs.read(first).state == "stopped"
    assert runs.read(second).state == "finished"


@pytest.mark.slow
def test_a_worker_deaf_to_a_stop_is_ended_by_force(runs: Runs) -> None:
    run_id = runs.start(small_plan(200, ms=100, seed=DEAF))
    until(lambda: at_step(runs, run_id, 6))
    runs.stop(run_id)
    until(lambda: ended(runs, run_id))
    run = runs.read(run_id)
    assert run.state == "stopped"
    assert "by force" in run.message
    assert run.resumable
    assert not tagged(runs.folder(run_id))


def test_a_worker_that_dies_without_a_word_is_lost_and_its_last_line_is_shown(runs: Runs) -> None:
    run_id = runs.start(small_plan(seed=SHORT_LIVED))
    until(lambda: ended(runs, run_id))
    run = runs.read(run_id)
    assert run.state == "lost"
    assert run.message == "The worker ended unexpectedly, with status 1: I was short-lived."
    assert run.resumable


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ("Traceback:\n  x\nValueError: no such thing\n", "ValueError: no such thing."),
        ("[rank0]: torch.SomeError: too odd.\nlauncher.ChildFailedError:\n  rank: 0\n=====\n", "SomeError: too odd."),
        ("Killed by hand\n\n====\n", "Killed by hand."),
        (
            "RuntimeError: reset by peer\nRoot cause:\nSignal 9 (SIGKILL) received by PID 5\n",
            "Signal 9 (SIGKILL) received by PID 5.",
        ),
        ("", "it said nothing."),
    ],
)
def test_the_last_words_of_a_worker_are_its_error(tmp_path: Path, printed: str, words: str) -> None:
    (tmp_path / "log.txt").write_text(printed)
    assert RunFolder(tmp_path).last_words() == words


def test_a_worker_that_lingers_after_its_last_word_makes_room_for_the_next(runs: Runs) -> None:
    first, second = runs.start(small_plan(3, seed=LINGERING)), runs.start(small_plan(3))
    until(lambda: ended(runs, second))
    assert runs.read(first).state == runs.read(second).state == "finished"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"dataset": "d", "backbone": "a/b", "epochs": 0}, "epochs is 0. Choose between 1 and 200."),
        ({"dataset": "d", "backbone": "a/b", "colour": 1}, "A plan has no 'colour'."),
        ({"dataset": "d", "backbone": "a/b", "engine": "abacus"}, "There is no engine 'abacus' here"),
        ([], "The plan of this run is missing or damaged."),
    ],
)
def test_a_bad_plan_fails_with_its_sentence(runs: Runs, value: object, sentence: str) -> None:
    folder = RunFolder(runs.store.runs / "bad")
    write_json(folder.path / "plan.json", value)
    folder.request("QUEUED", 1, at=0)
    until(lambda: ended(runs, "bad"))
    assert runs.read("bad").state == "failed"
    assert sentence in runs.read("bad").message
    assert [run.id for run in runs.list()] == ["bad"]


def test_a_run_at_work_is_not_deleted_and_an_ended_one_is(runs: Runs) -> None:
    run_id = runs.start(small_plan(200, ms=100))
    until(lambda: at_step(runs, run_id, 1))
    with pytest.raises(BadPlan, match="at work"):
        runs.delete(run_id)
    with pytest.raises(BadPlan, match="is running"):
        runs.resume(run_id)
    with pytest.raises(NotFound, match="no classifier yet"):
        runs.classifier(run_id)
    runs.stop(run_id)
    until(lambda: ended(runs, run_id))
    runs.delete(run_id)
    assert runs.list() == []
    with pytest.raises(NotFound):
        runs.read(run_id)
    assert [run.id for run in runs.trash()] == [run_id]
    runs.restore(run_id)
    assert (runs.read(run_id).state, runs.trash()) == ("stopped", [])
    runs.delete(run_id)
    runs.purge(run_id)
    assert not [path for path in runs.store.runs.iterdir() if path.is_dir()]
    with pytest.raises(NotFound, match="no deleted run"):
        runs.restore(run_id)


@pytest.mark.parametrize("name", ["nosuchrun", "../home", "", "a/b", "x" * 5000, "é", "a\0b"])
def test_an_id_that_is_none_is_not_found(runs: Runs, name: str) -> None:
    asks = (runs.read, runs.folder, runs.stop, runs.resume, runs.delete, runs.classifier, runs.restore, runs.purge)
    for ask in asks:
        with pytest.raises(NotFound):
            ask(name)


def test_reading_a_run_again_reads_its_new_events_only(runs: Runs) -> None:
    run_id = runs.start(small_plan(40, ms=10))
    other = Runs(runs.store, runs.settings)
    until(lambda: at_step(runs, run_id, 5))
    until(lambda: ended(runs, run_id))
    assert runs.read(run_id) == other.read(run_id)


def test_nothing_of_a_secret_reaches_worker_or_supervisor(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    run_id = runs.start(small_plan(200, ms=100))
    until(lambda: at_step(runs, run_id, 1))
    pids = [process.pid for process in (*tagged(runs.folder(run_id)), *supervisors(runs.store))]
    if not Path("/proc").is_dir():
        pytest.skip("reads /proc")
    assert len(pids) >= 2
    assert not any(b"hf_secret" in Path(f"/proc/{pid}/environ").read_bytes() for pid in pids)


def test_the_plan_on_disk_is_the_plan_given(runs: Runs) -> None:
    run_id = runs.start(small_plan(3))
    assert json.loads((runs.folder(run_id) / "plan.json").read_text()) == small_plan(3).as_json()
    assert runs.read(run_id).plan == small_plan(3)


def test_looking_at_runs_imports_neither_torch_nor_gradio() -> None:
    import subprocess

    heavy = "import sys, trainer.commands, trainer.supervisor, trainer.engines.local; "
    heavy += "print([name for name in ('torch', 'gradio', 'timm', 'transformers', 'sklearn') if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
