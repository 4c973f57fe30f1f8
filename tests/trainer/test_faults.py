"""Kills before every write, a disk that is really full, memory that ran out, a reboot: what is left is whole."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.trainer.conftest import HERE, small_plan, ticking
from trainer import processes, supervisor
from trainer.engines import Exit
from trainer.engines.local import Local
from trainer.folder import Record, RunFolder
from trainer.processes import Process, tagged
from trainer.runs import Runs
from trainer.supervisor import Supervisor
from zoo.settings import child_environment

SMALL = (str(HERE / "small_worker.py"),)


@pytest.mark.slow
def test_a_kill_before_any_write_of_page_or_supervisor_leaves_every_run_whole(tmp_path: Path) -> None:
    line = [sys.executable, str(HERE / "small_faults.py"), str(tmp_path)]
    done = subprocess.run(
        line, check=True, capture_output=True, text=True, env=child_environment(PYTHONPATH=str(HERE.parents[1]))
    )
    writes, wrong = json.loads(done.stdout)
    assert wrong == []
    assert writes > 50


@pytest.mark.slow
def test_a_run_on_a_full_disk_says_so_and_goes_on_once_there_is_room(tmp_path: Path) -> None:
    """On a disk of its own, which takes a namespace of one's own to have."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-Urm", "true"], check=False).returncode:
        pytest.skip("no small disk can be mounted here: a full one was NOT tested on this machine")
    script = f"mount -t tmpfs -o size=512k none {tmp_path} && {sys.executable} {HERE / 'small_disk.py'} {tmp_path}"
    environment = child_environment(PYTHONPATH=str(HERE.parents[1]))
    line = ["unshare", "-Urm", "sh", "-c", script]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["meanwhile"].startswith("The disk is full")
    assert told["full"][0] in ("lost", "failed")
    assert told["full"][1] == "The disk is full. Make room, then resume the run from its last checkpoint."
    assert told["resumable"]
    assert told["kept"] >= 5, "its last checkpoint is there"
    assert told["then"] == "finished"
    assert told["first_step"] == told["kept"]


@pytest.mark.parametrize(
    ("before", "now", "status", "words"),
    [
        (3, 4, -9, "ran out of memory and its kernel killed the worker"),
        (3, 4, None, "ran out of memory and its kernel killed the worker"),
        (3, 3, -9, "most likely because the machine ran out of memory"),
        (None, None, -9, "most likely because the machine ran out of memory"),
        (3, 4, 1, "ended unexpectedly, with status 1"),
        (0, 0, 28, "The disk is full"),
    ],
)
def test_a_worker_killed_for_memory_is_told_of_as_the_kernel_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int | None, now: int | None, status: int, words: str
) -> None:
    counts = iter((before, now))
    monkeypatch.setattr(supervisor, "killed_for_memory", lambda: next(counts))
    folder = RunFolder(tmp_path)
    record = Record(phase="running", ticket=1, offset=0, at=0)
    attempt = supervisor.Attempt(folder, Local(SMALL), record, folder.tail(), exit=Exit(status), killings=next(counts))
    phase, message = supervisor._outcome(attempt)
    assert phase == "lost"
    assert words in message


def test_the_kernels_count_of_kills_for_memory_is_read_where_it_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "events").write_text("low 0\nhigh 12\nmax 3\noom 2\noom_kill 2\n")
    monkeypatch.setattr(processes, "OUT_OF_MEMORY", (tmp_path / "none", tmp_path / "events"))
    assert processes.killed_for_memory() == 2
    monkeypatch.setattr(processes, "OUT_OF_MEMORY", (tmp_path / "none",))
    assert processes.killed_for_memory() is None


def test_after_a_reboot_a_process_with_the_same_number_and_ticks_is_another(runs: Runs) -> None:
    mine = Process.of(psutil.Process().pid)
    assert mine is not None
    ticks, at, boot = mine.birth.partition("@")
    if not at:
        pytest.skip("this system does not tell one boot from another")
    before = replace(mine, birth=f"{ticks}@{boot[::-1]}")
    assert mine.alive
    assert not before.alive
    folder = RunFolder(runs.store.runs / "rebooted")
    folder.write_plan(small_plan(3))
    folder.request("QUEUED", 1, at=0)
    folder.write_record(Record(phase="running", ticket=1, offset=0, at=0, pid=before.pid, birth=before.birth))
    watcher = Supervisor(runs.store, {"local": Local(SMALL)})
    watcher.adopt()
    ticking(watcher, lambda: not watcher.attempts)
    record = folder.record()
    assert record is not None
    assert (record.phase, psutil.Process().is_running()) == ("lost", True)
    folder.request("RESUME", 2, at=0)
    ticking(watcher, lambda: folder.classifier.is_dir() and not watcher.attempts)
    assert not tagged(folder.path)
