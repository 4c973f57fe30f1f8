"""What engines share that start one process of this machine for a run, in a session of its own, marked as the run's."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.engines import NOWHERE, Exit
from trainer.folder import ATTEMPT
from trainer.plan import Plan
from trainer.processes import Process, send, tagged, tags
from zoo.background import ROOT
from zoo.settings import child_environment


class Launched:
    """Starts Python in sessions of their own, so that runs outlive the page and the supervisor."""

    elsewhere = False
    gently = signal.SIGTERM

    def __init__(self, worker: Sequence[str], program: str = sys.executable) -> None:
        self._worker = worker  # what Python, or the launcher, is told to run
        self._program = program
        self._children: dict[Process, subprocess.Popen[bytes]] = {}

    def submit(self, run_dir: Path, plan: Plan, slot: Mapping[str, str] = NOWHERE) -> Process:
        if present := self.find(run_dir):
            return present
        with (run_dir / "log.txt").open("ab", buffering=0) as log:
            log.write(b"\n" * (log.tell() > 0) + ATTEMPT + time.strftime("%Y-%m-%d %H:%M:%S\n").encode())
            child = subprocess.Popen(
                [self._program, *self._before(plan), *self._worker, str(run_dir)],
                cwd=ROOT,
                env=child_environment(**tags(run_dir), **slot, STUDIO_HOME=str(run_dir.parents[1])),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        process = Process.of(child.pid) or Process(child.pid, "")  # "" where it has died already
        self._children[process] = child
        return process

    def find(self, run_dir: Path) -> Process | None:
        return next(iter(tagged(run_dir)), None)

    def poll(self, process: Process) -> Exit | None:
        child = self._children.get(process)
        if child is None:
            return None if process.alive else Exit(None)
        status = child.poll()
        if status is None:
            return None
        del self._children[process]
        return Exit(status)

    def cancel(self, run_dir: Path, *, force: bool) -> bool:
        left = tagged(run_dir)
        send(left, signal.SIGKILL if force else self.gently)
        return not left

    def _before(self, plan: Plan) -> Sequence[str]:
        """What Python is told to run the worker by."""
        return ()
