"""The command line as a shell sees it."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.conftest import small_plan, until
from trainer.exhausted import exhausted
from trainer.plan import Plan
from trainer.runs import Runs


def trainer(runs: Runs, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "trainer", *words, "--home", str(runs.store.root)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_runs_are_listed_stopped_and_resumed_from_a_shell(runs: Runs) -> None:
    assert json.loads(trainer(runs, "runs", "--json").stdout) == []
    assert "No run yet" in trainer(runs, "runs").stdout
    run_id = runs.start(small_plan(200, ms=100))
    until(lambda: runs.read(run_id).step > 2)
    (row,) = json.loads(trainer(runs, "runs", "--json").stdout)
    assert (row["id"], row["state"], row["resumable"], row["plan"]["epochs"]) == (run_id, "running", False, 200)
    refused = trainer(runs, "resume", run_id)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == f"Run {run_id!r} is running. Only a stopped, failed or lost run can be resumed.\n"
    stopped = trainer(runs, "stop", run_id, "--json")
    assert stopped.returncode == 0
    until(lambda: not runs.read(run_id).active)
    assert f"{run_id}  stopped" in trainer(runs, "runs").stdout
    assert json.loads(trainer(runs, "resume", run_id, "--json").stdout)["state"] in ("queued", "running")


def test_an_unknown_run_is_one_line_and_status_2(runs: Runs) -> None:
    answer = trainer(runs, "stop", "../../etc")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "There is no run '../../etc'. Choose a run from the list.\n"


@pytest.mark.slow
def test_a_supervisor_with_nothing_to_do_leaves_by_itself(runs: Runs) -> None:
    assert trainer(runs, "supervise").returncode == 0


def test_a_worker_without_a_readable_plan_fails_with_a_sentence(runs: Runs) -> None:
    folder = runs.store.runs / "odd"
    folder.mkdir()
    (folder / "plan.json").write_text('{"dataset": "d", "backbone": "no slash"}')
    answer = trainer(runs, "work", str(folder))
    assert answer.returncode == 2
    assert answer.stderr == "'no slash' is not a backbone's id. Write it as source/name.\n"
    assert '"event": "failed"' in (folder / "events.jsonl").read_text()


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (MemoryError(), "memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "memory"),
        (caused(RuntimeError("unexpected pos 704 vs 598"), OSError(errno.ENOSPC, "No space left on device")), "disk"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"), "GPU"),
    ],
)
def test_a_machine_that_ran_out_of_something_says_what(error: Exception, word: str) -> None:
    told = exhausted(error)
    assert told is not None
    assert word in told.problem


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no disk here that is always full")
def test_a_checkpoint_on_a_full_disk_says_that_the_disk_is_full() -> None:
    import torch

    with pytest.raises((RuntimeError, OSError)) as failed, Path("/dev/full").open("wb") as file:
        torch.save({"weights": torch.zeros(1_000_000)}, file)
    told = exhausted(failed.value)
    assert told is not None
    assert told.problem == "The disk is full."


@pytest.mark.parametrize("bug", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), FileNotFoundError(2, "x")])
def test_a_bug_is_not_blamed_on_the_machine(bug: Exception) -> None:
    assert exhausted(bug) is None


@pytest.mark.slow
def test_a_real_run_goes_from_queue_to_its_end_without_this_process(runs: Runs) -> None:
    """The real supervisor and the real worker; a dataset that is not there is a sentence, not a traceback."""
    real = Runs(runs.store, runs.settings)
    run_id = real.start(Plan(dataset="nothere", backbone="pixels/8x8"))
    until(lambda: not real.read(run_id).active, 60)
    assert real.read(run_id).state == "failed"
    assert "nothere" in real.read(run_id).message
