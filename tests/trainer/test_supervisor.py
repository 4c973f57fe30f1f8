"""The supervisor under kill -9, crashes between two steps, rivals, clocks and full disks; with a small worker."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.trainer.conftest import HERE, SUPERVISE, kill, small_plan, supervisors, until
from tests.trainer.small_worker import DEAF, PARENT, SHORT_LIVED
from trainer.engines.local import Local
from trainer.events import Finished
from trainer.folder import Record, RunFolder
from trainer.plan import Plan
from trainer.processes import Process, tagged
from trainer.runs import Runs
from trainer.supervisor import Supervisor
from zoo.settings import child_environment

pytestmark = pytest.mark.slow  # processes are started, killed and waited for

WORKER = (str(HERE / "small_worker.py"),)


def open_page(runs: Runs, *plans: Plan) -> tuple[psutil.Process, list[str]]:
    """A process that has called ``Runs.start`` for each plan, and the ids of the runs."""
    line = [str(HERE / "small_page.py"), str(runs.store.root), json.dumps(SUPERVISE)]
    page = subprocess.Popen(
        [sys.executable, *line, json.dumps([plan.as_json() for plan in plans])],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert page.stdout
    return psutil.Process(page.pid), json.loads(page.stdout.readline())


def worker(runs: Runs, run_id: str) -> psutil.Process:
    """The only process of a run, once it has begun to train."""
    until(lambda: runs.read(run_id).step > 5)
    (process,) = tagged(runs.folder(run_id))
    return psutil.Process(process.pid)


def finish(runs: Runs, run_id: str) -> str:
    """Wait for the end, resuming a lost run, and return the hash of the weights."""
    until(lambda: not runs.read(run_id).active)
    if runs.read(run_id).state == "lost":
        runs.resume(run_id)
        until(lambda: not runs.read(run_id).active)
    run = runs.read(run_id)
    assert run.state == "finished", run.message
    assert run.test is not None
    assert [step for step, _ in run.losses] == list(range(1, run.steps + 1))
    until(lambda: not tagged(runs.folder(run_id)))
    return str(run.test["hash"])


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash that an undisturbed worker of 80 steps ends with."""
    folder = RunFolder(tmp_path_factory.mktemp("undisturbed"))
    folder.write_plan(small_plan(80))
    environment = child_environment(PYTHONPATH=str(HERE.parents[1]))
    subprocess.run([sys.executable, *WORKER, str(folder.path)], check=True, env=environment)
    finished = [event for _, event in folder.tail().read()][-1]
    assert isinstance(finished, Finished)
    return str(finished.test["hash"])


def test_a_killed_page_does_not_take_its_run_along(runs: Runs, expected: str) -> None:
    page, (run_id,) = open_page(runs, small_plan(80, ms=12))
    at_work = worker(runs, run_id)
    kill(page)
    assert at_work.is_running()
    assert finish(runs, run_id) == expected
    assert runs.read(run_id).first_step == 0


def test_a_page_killed_at_once_leaves_a_run_that_is_done_nevertheless(runs: Runs, expected: str) -> None:
    page, (run_id,) = open_page(runs, small_plan(80))
    kill(page)
    until((runs.folder(run_id) / "classifier").is_dir)  # looks at files only: nothing here revives it
    assert finish(runs, run_id) == expected


def test_a_killed_supervisor_is_replaced_and_adopts_the_run(runs: Runs, expected: str) -> None:
    run_id = runs.start(small_plan(80, ms=12))
    at_work = worker(runs, run_id)
    (first,) = supervisors(runs.store)
    kill(first)
    assert at_work.is_running()
    until(lambda: runs.read(run_id).active and supervisors(runs.store))
    assert finish(runs, run_id) == expected
    assert runs.read(run_id).first_step == 0, "it was not started anew"


def test_a_killed_worker_is_lost_and_resumes_to_the_same_weights(runs: Runs, expected: str) -> None:
    run_id = runs.start(small_plan(80, ms=12))
    kill(worker(runs, run_id))
    until(lambda: not runs.read(run_id).active)
    run = runs.read(run_id)
    assert run.state == "lost"
    assert "ran out of memory" in run.message
    assert run.resumable
    assert finish(runs, run_id) == expected
    assert runs.read(run_id).first_step >= 5


def test_worker_and_supervisor_killed_together_leave_a_lost_run(runs: Runs, expected: str) -> None:
    run_id = runs.start(small_plan(80, ms=12))
    at_work = worker(runs, run_id)
    kill(supervisors(runs.store)[0])
    kill(at_work)
    until(lambda: not runs.read(run_id).active)
    assert runs.read(run_id).message.startswith("The worker vanished")
    assert finish(runs, run_id) == expected


@pytest.mark.slow
def test_everything_killed_at_any_moment_ends_with_the_same_weights(runs: Runs, expected: str) -> None:
    run_id = runs.start(small_plan(80, ms=12))
    for pause in (0.05, 0.2, 0.4, 0.7):
        time.sleep(pause)
        for process in (*supervisors(runs.store), *tagged(runs.folder(run_id))):
            kill(psutil.Process(process.pid))
        if runs.read(run_id).resumable:
            runs.resume(run_id)
    assert finish(runs, run_id) == expected


def test_a_second_supervisor_leaves_at_once(runs: Runs) -> None:
    run_id = runs.start(small_plan(200, ms=500))
    at_work = worker(runs, run_id)
    rival = subprocess.run([*SUPERVISE, "--home", str(runs.store.root)], check=False)
    assert rival.returncode == 3
    assert [process.pid for process in tagged(runs.folder(run_id))] == [at_work.pid], "it had not waited for the run"


def test_many_pages_that_look_at_once_start_one_supervisor(runs: Runs) -> None:
    run_id = runs.start(small_plan(200, ms=100))
    pages = [Runs(runs.store, runs.settings, SUPERVISE) for _ in range(5)]
    for page in pages:
        page.read(run_id)
    worker(runs, run_id)
    until(lambda: len(supervisors(runs.store)) == 1)


def test_two_workers_for_one_run_become_one(runs: Runs) -> None:
    run_id = runs.start(small_plan(200, ms=100))
    at_work = worker(runs, run_id)
    assert Local(WORKER).submit(runs.folder(run_id), small_plan()).pid == at_work.pid
    assert len(tagged(runs.folder(run_id))) == 1


def crashed_between_spawn_and_commit(runs: Runs, plan: Plan) -> tuple[RunFolder, Process]:
    """A run whose worker was started by a supervisor that died before it wrote down which process it is."""
    folder = RunFolder(runs.store.runs / "crashed")
    folder.write_plan(plan)
    folder.request("QUEUED", 1, at=0)
    folder.write_record(Record(phase="launching", ticket=1, offset=0, at=0))
    return folder, Local(WORKER).submit(folder.path, plan)


def test_a_worker_nobody_wrote_down_is_adopted(runs: Runs, expected: str) -> None:
    folder, process = crashed_between_spawn_and_commit(runs, small_plan(80, ms=12))
    until(lambda: runs.read("crashed").step)
    until(lambda: (record := folder.record()) and record.process == process)
    assert finish(runs, "crashed") == expected


def test_a_launch_that_came_to_nothing_is_made_again(runs: Runs, expected: str) -> None:
    folder = RunFolder(runs.store.runs / "crashed")
    folder.write_plan(small_plan(80))
    folder.request("QUEUED", 1, at=0)
    folder.write_record(Record(phase="launching", ticket=1, offset=0, at=0))
    assert finish(runs, "crashed") == expected


def test_what_a_worker_nobody_wrote_down_said_last_is_believed(runs: Runs) -> None:
    folder, process = crashed_between_spawn_and_commit(runs, small_plan(5))
    until(lambda: not process.alive)
    said = folder.size()
    until(lambda: (runs.read("crashed"), (record := folder.record()) and record.phase == "ended")[1])
    assert runs.read("crashed").state == "finished"
    assert folder.size() == said, "it was not trained a second time"


def test_a_stop_reaches_a_deaf_worker_nobody_wrote_down(runs: Runs) -> None:
    folder, process = crashed_between_spawn_and_commit(runs, small_plan(200, ms=100, seed=DEAF))
    until(folder.size)
    folder.stop.touch()
    until(lambda: not runs.read("crashed").active)
    assert runs.read("crashed").state == "stopped"
    assert not process.alive


def test_an_interrupt_of_the_page_or_the_supervisor_does_not_reach_the_worker(runs: Runs, expected: str) -> None:
    page, (run_id,) = open_page(runs, small_plan(80, ms=12))
    at_work = worker(runs, run_id)
    until(lambda: len(supervisors(runs.store)) == 1)  # who found the lock taken is gone
    for process in (page, *supervisors(runs.store)):
        os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C in a terminal does
        until(lambda process=process: Process.of(process.pid) is None)  # type: ignore[misc]
    assert at_work.is_running()
    assert finish(runs, run_id) == expected
    assert runs.read(run_id).first_step == 0


def test_a_run_asked_for_while_the_supervisor_leaves_is_not_forgotten(runs: Runs) -> None:
    quiet = Runs(runs.store, runs.settings, (sys.executable, "-c", ""))

    class Leaving(Supervisor):
        def _work(self) -> None:
            super()._work()
            if not quiet.list():
                quiet.start(small_plan(3))  # it has looked for the last time, and still holds the lock

    assert Leaving(runs.store, {"local": Local(WORKER)}, idle=0).serve()
    assert [run.state for run in quiet.list()] == ["finished"]


def test_a_process_number_used_again_is_not_taken_for_the_worker(runs: Runs) -> None:
    folder = RunFolder(runs.store.runs / "old")
    folder.write_plan(small_plan())
    folder.request("QUEUED", 1, at=0)
    mine = psutil.Process()
    folder.write_record(Record(phase="running", ticket=1, offset=0, at=0, pid=mine.pid, birth="1"))
    until(lambda: not runs.read("old").active)
    assert runs.read("old").state == "lost"
    assert mine.is_running()


@pytest.mark.parametrize("jump", [-(10**9), 10**9])
def test_a_clock_that_jumps_decides_nothing(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, jump: int, expected: str
) -> None:
    run_id = runs.start(small_plan(80, ms=12))
    worker(runs, run_id)
    kill(supervisors(runs.store)[0])
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump)  # for the supervisor, which runs in this process now
    supervisor = Supervisor(runs.store, {"local": Local(WORKER)}, idle=0.1)
    assert supervisor.serve()
    run = runs.read(run_id)
    assert (run.state, run.first_step) == ("finished", 0), run.message
    assert run.test is not None
    assert run.test["hash"] == expected


def test_a_disk_too_full_for_a_record_delays_it_and_loses_nothing(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, expected: str
) -> None:
    full = OSError(28, "No space left on device")
    supervisor = Supervisor(runs.store, {"local": Local(WORKER)})
    quiet = Runs(runs.store, runs.settings, (sys.executable, "-c", ""))
    run_id = quiet.start(small_plan(80))
    folder = RunFolder(quiet.folder(run_id))

    def fails(*_: object) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr("trainer.folder.write_json", fails)
        supervisor.tick()
        assert not tagged(folder.path), "what cannot be written down is not started"
    supervisor.tick()
    assert supervisor.attempts
    with monkeypatch.context() as patch:
        patch.setattr("trainer.folder.write_json", fails)
        until(lambda: folder.classifier.is_dir() and not tagged(folder.path))
        supervisor.tick()
        supervisor.tick()
        assert folder.record() == supervisor.attempts[run_id].record, "the old record stands"

    def settled() -> bool:
        supervisor.tick()
        return not supervisor.attempts

    until(settled)
    assert finish(quiet, run_id) == expected


def test_a_lost_run_leaves_no_stray_that_hid_from_its_parent(runs: Runs) -> None:
    run_id = runs.start(small_plan(200, ms=100, seed=PARENT))
    until(lambda: len(tagged(runs.folder(run_id))) == 2)  # the worker and a child in a session of its own
    until(lambda: runs.read(run_id).step > 5)
    kill(psutil.Process(tagged(runs.folder(run_id))[0].pid))
    until(lambda: not runs.read(run_id).active)
    assert runs.read(run_id).state == "lost"
    assert not tagged(runs.folder(run_id))


def test_strays_of_another_home_are_left_alone(runs: Runs, tmp_path: Path) -> None:
    elsewhere = RunFolder(tmp_path / "other" / "runs" / "same")
    elsewhere.write_plan(small_plan(200, ms=100))
    other = Local(WORKER).submit(elsewhere.path, small_plan())
    folder = RunFolder(runs.store.runs / "same")
    folder.write_plan(small_plan(seed=SHORT_LIVED))
    folder.request("QUEUED", 1, at=0)
    until(lambda: not runs.read("same").active)
    assert other.alive
    kill(psutil.Process(other.pid))


@pytest.mark.slow
def test_a_killed_launcher_leaves_no_worker(runs: Runs) -> None:
    run_id = runs.start(small_plan(200, ms=100, processes=2))
    until(lambda: runs.read(run_id).step > 3, 60)
    family = tagged(runs.folder(run_id))
    assert len(family) >= 3
    kill(supervisors(runs.store)[0])  # so that only the workers' own tie can end them
    launcher = psutil.Process(family[0].pid)
    assert any("torch.distributed.run" in word for word in launcher.cmdline())
    kill(launcher)
    until(lambda: not any(process.alive for process in family), 10)
    until(lambda: not runs.read(run_id).active)
    assert runs.read(run_id).state == "lost"
