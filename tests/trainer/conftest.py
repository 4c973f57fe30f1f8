"""What tests of runs may ask for: a store of runs whose workers are small, and ways to look at processes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from trainer.plan import Plan
from trainer.processes import Process, send, tagged
from trainer.runs import Runs
from trainer.supervisor import Supervisor
from zoo.settings import Settings
from zoo.store import Store

HERE = Path(__file__).parent
SUPERVISE = (sys.executable, str(HERE / "small_supervisor.py"))


def small_plan(steps: int = 20, ms: float = 1, seed: int = 0, processes: int = 1) -> Plan:
    """A plan for ``small_worker.py``: ``steps`` of at least ``ms`` milliseconds."""
    return Plan(
        dataset="none", backbone="none/none", epochs=steps, budget_seconds=ms, seed=seed, processes=processes,
        learning_rate=0.1,
    )  # fmt: skip


def until(happens: Callable[[], object], seconds: float = 20) -> None:
    """Wait until ``happens()``; the test fails where it doesn't in time."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, f"did not happen within {seconds} s"
        time.sleep(0.05)


def ticking(watcher: Supervisor, happens: Callable[[], object]) -> None:
    """Wait until ``happens()``, with ``watcher`` at work in this process."""

    def looked() -> object:
        watcher.tick()
        return happens()

    until(looked)


def supervisors(store: Store) -> list[psutil.Process]:
    """The supervisors of ``store`` that are alive."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[-2:] == ["--home", str(store.root)]:
                found.append(process)
    return found


def kill(process: psutil.Process) -> None:
    """As the kernel does when memory runs out: no farewell."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    until(lambda: Process.of(process.pid) is None)


def end_everything(store: Store) -> None:
    """Leave no process of ``store`` behind."""
    for process in supervisors(store):
        kill(process)
    for path in store.runs.iterdir():
        send(tagged(path), signal.SIGKILL)


@pytest.fixture
def runs(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    """Runs whose supervisor and engine are the real ones and whose worker is ``small_worker.py``."""
    monkeypatch.setenv("PYTHONPATH", str(HERE.parents[1]))
    yield Runs(store, settings, SUPERVISE)
    end_everything(store)
