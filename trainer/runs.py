"""The store of runs: start, queue, stop, resume, read, list, watch, delete, undo. It is files; any process may ask."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import Timeout

from trainer.events import Event
from trainer.events_log import Tail
from trainer.folder import Record, RunFolder, run_folders
from trainer.plan import Plan
from trainer.run import Run, replay
from trainer.supervisor import LOCK
from trainer.trash import MARK, binned, clear, doomed, found, put, take_out
from zoo.errors import BadPlan, NotFound
from zoo.room import owned
from zoo.settings import Settings, child_environment
from zoo.store import Store, checked_id, new_id

HERE = Path(__file__).parents[1]  # where ``python -m trainer`` finds the studio
MOST_URGENT = 1000
LEAST_ROOM = 2**14  # bytes: below, not even an event is sure to be kept
TAKES_LOCK = 1.0  # seconds in which a new supervisor holds its lock; it stays for longer than that
TAKES_STORAGE = 3.0  # seconds in which the cluster's storage usually has removed what a run left there
LONGEST_NOTE = 10_000  # characters
SUPERVISE = (sys.executable, "-m", "trainer", "supervise")


@dataclass
class Fold:
    """A run as far as its events were read."""

    ticket: int
    run: Run
    tail: Tail


class Runs:
    """The runs of a store. Several processes may each have one of these on the same store."""

    def __init__(self, store: Store, settings: Settings, supervise: Sequence[str] = SUPERVISE) -> None:
        self.store = store
        self.settings = settings
        self._supervise = supervise
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._spawned = 0.0
        self._folds: dict[str, Fold] = {}
        self._turn = threading.RLock()

    def start(
        self, plan: Plan, priority: int = 0, origin: tuple[Literal["replay", "duplicate"], str] | None = None
    ) -> str:
        """Queue a run of ``plan`` and return its id.

        Args:
            priority: who of the waiting goes first, the higher; among equals the one asked for first.
            origin: how it was made from another run, and which.
        """
        self._may_start(plan)
        run_id = new_id()
        draft = RunFolder(self.store.runs / f".new-{run_id}")
        with self.store.lock("runs"):
            draft.write_plan(plan)
            draft.write_readme()
            if priority:
                draft.write_priority(checked_priority(priority))
            if origin:
                draft.write_origin(*origin)
            draft.request("QUEUED", self._ticket(), time.time())
            self.store.owners.claim("runs", run_id)
            draft.path.rename(self.store.runs / run_id)  # a run is there whole or not at all
        self.ensure_supervisor()
        return run_id

    def folder(self, run_id: str) -> Path:
        """Where the files of a run are.

        Raises:
            NotFound: there is no such run.
        """
        path = self.store.runs / checked_id(run_id, "run")
        if not (path / "QUEUED").is_file() or not self.store.owners.holds("runs", run_id):
            raise NotFound(f"There is no run {run_id!r}.", "Choose a run from the list.")
        return path

    def classifier(self, run_id: str) -> Path:
        """Where the classifier of a run is, once it has finished.

        Raises:
            NotFound: there is no such run, or it has no classifier.
        """
        path = RunFolder(self.folder(run_id)).classifier
        if not path.is_dir():
            raise NotFound(f"Run {run_id!r} has no classifier yet.", "Wait until it has finished, or resume it.")
        return path

    def read(self, run_id: str) -> Run:
        """The run as it stands.

        Raises:
            NotFound: there is no such run.
        """
        folder = RunFolder(self.folder(run_id))
        run = self._read(folder)
        if run.active or _unsettled(folder):
            self.ensure_supervisor()
        return run

    def list(self) -> list[Run]:
        """Every run, newest first."""
        folders = {
            folder: request
            for folder in run_folders(self.store.runs)
            if (request := folder.requested("QUEUED")) and self.store.owners.holds("runs", folder.id)
        }
        newest = sorted(folders, key=lambda folder: folders[folder][0], reverse=True)
        runs = [self._read(folder) for folder in newest]
        if any(run.active for run in runs):
            self.ensure_supervisor()
        return runs

    def stop(self, run_id: str) -> None:
        """Ask the run to keep a checkpoint and end; returns at once. One that has ended stays as it is.

        Raises:
            NotFound: there is no such run.
        """
        folder = self._own(run_id)
        with self.store.lock("runs"):
            if self._read(folder).active:
                folder.stop.touch()
        self.ensure_supervisor()

    def resume(self, run_id: str) -> None:
        """Queue the run again, to go on from its last checkpoint.

        Raises:
            NotFound: there is no such run.
            BadPlan: it is not one that can be resumed.
        """
        folder = self._own(run_id)
        self._within_quota()
        with self.store.lock("runs"):
            run = self._read(folder)
            if not run.resumable:
                raise BadPlan(f"Run {run_id!r} is {run.state}.", "Only a stopped, failed or lost run can be resumed.")
            folder.stop.unlink(missing_ok=True)
            folder.request("RESUME", self._ticket(), time.time())
        self.ensure_supervisor()

    def prioritise(self, run_id: str, priority: int) -> None:
        """Move a run among those that wait: the higher goes first. One that has ended is moved once it is resumed.

        Raises:
            NotFound: there is no such run.
            BadPlan: that is no priority.
        """
        folder = self._own(run_id)
        with self.store.lock("runs"):
            folder.write_priority(checked_priority(priority))

    def first(self, run_id: str) -> None:
        """Let it be the next of the waiting to start.

        Raises:
            NotFound: there is no such run.
        """
        others = [folder.priority for folder in self.queue() if folder.id != run_id]
        self.prioritise(run_id, min(max([0, *others]) + 1, MOST_URGENT))

    def last(self, run_id: str) -> None:
        """Let all others that wait start before it.

        Raises:
            NotFound: there is no such run.
        """
        others = [folder.priority for folder in self.queue() if folder.id != run_id]
        self.prioritise(run_id, max(min([0, *others]) - 1, -MOST_URGENT))

    def queue(self) -> Sequence[RunFolder]:
        """The runs that wait, in the order in which they will start."""
        return sorted((one for one in run_folders(self.store.runs) if one.waits), key=lambda one: one.rank)

    def note(self, run_id: str, text: str) -> None:
        """Keep a person's words with the run, instead of those before; "" for none.

        Raises:
            NotFound: there is no such run.
            BadPlan: they are too many.
        """
        folder = self._own(run_id)
        if len(text) > LONGEST_NOTE:
            raise BadPlan(f"The note has {len(text):,} characters.", f"Keep it to {LONGEST_NOTE:,}.")
        with self.store.lock("runs"):
            folder.write_note(text.strip())

    def trash(self) -> Sequence[Run]:
        """The deleted runs that can be restored, the latest deleted first."""
        runs = [replace(self._read(folder), id=folder.id.removeprefix(MARK)) for folder in binned(self.store.runs)]
        return [run for run in runs if self.store.owners.holds("runs", run.id)]

    def restore(self, run_id: str) -> None:
        """Undo a deletion.

        Raises:
            NotFound: there is no such run in the bin.
        """
        self._own_deleted(run_id)
        with self.store.lock("runs"):
            take_out(self.store.runs, run_id)

    def purge(self, run_id: str) -> None:
        """Remove a deleted run for good.

        Raises:
            NotFound: there is no such run in the bin.
        """
        self._own_deleted(run_id)
        with self.store.lock("runs"):
            gone = doomed(found(self.store.runs, run_id), self.settings.cluster_storage)
        self._remove([gone])

    def delete(self, run_id: str) -> None:
        """Put a run that has ended into the bin, with its classifier; the bin keeps the latest ones only.

        Raises:
            NotFound: there is no such run.
            BadPlan: it is queued or running.
        """
        folder = self._own(run_id)
        self.read(run_id)  # sees to it that there is a supervisor where one is needed
        patience = time.monotonic() + 5
        while not self._read(folder).active and _unsettled(folder) and time.monotonic() < patience:
            time.sleep(0.1)  # it has said its last word and is about to leave
        with self.store.lock("runs"):
            if self._read(folder).active or _unsettled(folder):
                raise BadPlan(f"Run {run_id!r} is at work.", "Stop it, wait until it has ended, then delete it.")
            pushed_out = put(folder, self.settings.cluster_storage)
        with self._turn:
            self._folds.pop(run_id, None)
        self._remove(pushed_out)

    def watch(self, run_id: str, every: float = 0.2) -> Iterator[tuple[float, Event]]:
        """The events of a run, from its first on, as they happen, until it has ended; each with its time.

        Raises:
            NotFound: there is no such run, or it was deleted meanwhile.
        """
        tail = RunFolder(self.folder(run_id)).tail()
        while self.read(run_id).active:
            yield from tail.read()
            time.sleep(every)
        yield from tail.read()

    def ensure_supervisor(self) -> None:
        """Start a supervisor where work is waiting or unsettled and none holds the lock."""
        with self._turn:
            if self._supervisor and self._supervisor.poll() is None and time.monotonic() - self._spawned < TAKES_LOCK:
                return
            if not any(_unsettled(folder) for folder in run_folders(self.store.runs)):
                return
            try:
                with self.store.lock(LOCK, timeout=0):
                    pass
            except Timeout:
                return
            self._supervisor = self._spawn()
            self._spawned = time.monotonic()

    def _spawn(self) -> subprocess.Popen[bytes]:
        slots = {"STUDIO_SLOTS": str(self.settings.slots)} if self.settings.slots else {}
        with (self.store.runs / "supervisor.log").open("ab") as log:
            process = subprocess.Popen(
                [*self._supervise, "--home", str(self.store.root)],
                cwd=HERE,
                env=child_environment(STUDIO_HOME=str(self.store.root), **slots),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie behind
        return process

    def _remove(self, gone: Sequence[Path]) -> None:
        """For good, here and in the cluster's storage, which is not waited for long: a supervisor tries again."""
        for path in gone:
            shutil.rmtree(path, ignore_errors=True)
        if gone and self.settings.cluster_storage:
            clear(self.store, self.settings.cluster_storage).join(TAKES_STORAGE)

    def _may_start(self, plan: Plan) -> None:
        self.store.owners.private("Training")
        self.store.owners.check_backbone(plan.backbone, self.store.runs)
        self._within_quota()

    def _within_quota(self) -> None:
        """See that whoever asks has disk and, of the last day, time left."""
        owners, mine = self.store.owners, self.store.owners.own("runs")
        owners.allowed_disk(owned(self.store))
        if owners.most_seconds:
            day = time.time() - 24 * 3600
            owners.allowed_time(sum(_seconds(run, day) for run in (*self.list(), *self.trash()) if run.id in mine))

    def _own(self, run_id: str) -> RunFolder:
        """The run, to change it."""
        folder = RunFolder(self.folder(run_id))
        self.store.owners.private("Changing a run")
        return folder

    def _own_deleted(self, run_id: str) -> None:
        self.store.owners.private("Changing a run")
        self.store.owners.check("runs", checked_id(run_id, "deleted run"))

    def _ticket(self) -> int:
        """The next free one; the caller holds the lock "runs"."""
        folders = (*run_folders(self.store.runs), *binned(self.store.runs))
        return 1 + max((folder.ticket for folder in folders), default=0)

    def _read(self, folder: RunFolder) -> Run:
        record = folder.record()
        run = self._folded(folder, record)
        run = replace(run, priority=folder.priority, note=folder.note, origin=folder.origin)
        if record is None or folder.ticket > record.ticket:
            message = "Stopping." if folder.stop.exists() else self._turn_of(folder)
            return replace(run, state="queued", message=message, ended=None, eta_seconds=None)
        match record.phase:
            case "lost" | "failed" | "stopped":
                return replace(run, state=record.phase, message=record.message, ended=record.at, eta_seconds=None)
            case _ if run.state == "running" and shutil.disk_usage(folder.path).free < LEAST_ROOM:
                return replace(run, message="The disk is full: nothing can be kept until there is room.")
            case _ if run.state == "running" and folder.stop.exists():
                return replace(run, message="Stopping; its checkpoint is being kept.")
            case _:
                return run

    def _turn_of(self, folder: RunFolder) -> str:
        before = sum(1 for one in self.queue() if one.rank < folder.rank)
        return f"Waiting for its turn: {before} before it." if before else "Waiting for its turn."

    def _folded(self, folder: RunFolder, record: Record | None) -> Run:
        """The run by its events alone; what was folded before is not read again."""
        with self._turn:
            ticket = record.ticket if record else 0
            fold = self._folds.get(folder.id)
            if fold is None or fold.ticket != ticket:
                fold = Fold(ticket, _blank(folder), folder.tail())
                if record:  # its latest attempt starts after what earlier ones did
                    earlier = replay(fold.run, fold.tail.read(until=record.offset))
                    fold.run = replace(earlier, state="running", message="Starting.", ended=None, stage=None)
                self._folds[folder.id] = fold
            fold.run = replay(fold.run, fold.tail.read())
            return fold.run


def checked_priority(priority: int) -> int:
    """``priority`` if it is one.

    Raises:
        BadPlan: it is not.
    """
    if not -MOST_URGENT <= priority <= MOST_URGENT:
        raise BadPlan(f"A priority of {priority} is none.", f"Choose from {-MOST_URGENT} to {MOST_URGENT}; 0 is usual.")
    return priority


def _seconds(run: Run, since: float) -> float:
    """What its latest attempt has taken after ``since``."""
    if run.started is None:
        return 0.0
    return max(0.0, (run.ended or time.time()) - max(run.started, since))


def _unsettled(folder: RunFolder) -> bool:
    """Whether a supervisor is needed to see this run on."""
    record = folder.record()
    return folder.waits or (record is not None and record.open)


def _blank(folder: RunFolder) -> Run:
    request = folder.requested("QUEUED")
    created = request[1] if request else 0.0
    try:
        return Run(id=folder.id, plan=folder.plan(), created=created)
    except BadPlan:
        return Run(id=folder.id, plan=None, created=created)
