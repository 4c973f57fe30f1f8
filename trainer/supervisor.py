"""The supervisor: one detached process a store that starts queued runs, obeys stops and notices the dead.

It may be killed at any moment: what it knows is in each run's ``state.json``, and the next one goes on from there.
Life and death are told by process identity and by durations, never by the time of day.

========== ======================================================= ===================================================
phase      means                                                   goes on to
========== ======================================================= ===================================================
(none)     asked for: ``QUEUED``, no attempt yet                   launching, once there are slots; stopped; failed
launching  written before a process is started: there may be one   running, with the process found or started;
           that nobody wrote down                                  ended, where its events say so already; failed
running    the process, known by number, boot and birth            ended, lost, stopped, once all its processes are gone
ended      its events say how: finished, stopped or failed         launching, where the events leave it resumable
lost       its process is gone without a last word                 launching, at a ``RESUME`` with a newer ticket
stopped    ended by force, or before it began                      launching, likewise
failed     could not be started                                    launching, likewise
========== ======================================================= ===================================================

A request with a newer ticket than the record's asks for the next attempt. Every arrow is one whole write of
``state.json``; a crash before it leaves the phase it came from, which the next supervisor takes up: "launching" by
looking for a process that carries the run's tag, "running" by asking whether that very process lives.
``tests/trainer/test_faults.py`` kills page and supervisor before each of their writes.
"""

from __future__ import annotations

import errno
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from filelock import Timeout

from trainer.engines import Engine, Exit
from trainer.events import Event
from trainer.events_log import TERMINAL, Tail
from trainer.folder import Phase, Record, RunFolder, run_folders
from trainer.plan import Plan
from trainer.processes import Process, killed_for_memory
from trainer.slots import Slots
from zoo.command import tell
from zoo.errors import BadPlan
from zoo.store import Store

LOCK = "supervisor"
TICK = 0.3  # seconds
IDLE = 2.0  # seconds with nothing to do before it leaves
STOP_GRACE = 30.0  # seconds for a worker to keep a checkpoint: one step of a large network can take long
QUICK_GRACE = 90.0  # seconds for one that has told its end to make its classifier answer without torch
KILL_GRACE = 5.0  # seconds from asking a process to end to ending it


ONE_SLOT = Slots()


@dataclass
class Attempt:
    """One attempt at a run, as the supervisor follows it."""

    folder: RunFolder
    engine: Engine
    record: Record
    tail: Tail
    unsaved: bool = False
    end: Event | None = None
    exit: Exit | None = None
    killings: int | None = field(default_factory=killed_for_memory)  # the kernel's count when it was taken up
    since: dict[str, float] = field(default_factory=dict)  # monotonic seconds at which something was first seen

    def age(self, what: str) -> float:
        """Seconds since ``what`` was first asked about."""
        return time.monotonic() - self.since.setdefault(what, time.monotonic())


class Supervisor:
    """Owns every ``state.json`` of the store while it holds the lock."""

    def __init__(
        self, store: Store, engines: Mapping[str, Engine], slots: Slots = ONE_SLOT, idle: float = IDLE
    ) -> None:
        self.store = store
        self.engines = engines
        self.slots = slots
        self.idle = idle
        self.attempts: dict[str, Attempt] = {}
        self._settled: dict[str, float] = {}
        self._complained = ""

    def serve(self) -> bool:
        """Work until nothing is left to do; False at once where another supervisor does already."""
        while True:
            try:
                with self.store.lock(LOCK, timeout=0.5):  # a page that only looks whether it is held lets go sooner
                    self._work()
            except Timeout:
                return False
            if not self.waiting():  # a request made as the lock was let go had seen it held
                return True

    def _work(self) -> None:
        self.adopt()
        busy = time.monotonic()
        while True:
            self.tick()
            if self.attempts or self.waiting():
                busy = time.monotonic()
            elif time.monotonic() - busy >= self.idle:
                return
            time.sleep(TICK)

    def adopt(self) -> None:
        """Take over what an earlier supervisor had running, and clear up what the killed left half done."""
        with self.store.lock("runs"):
            for path in (*self.store.runs.glob(".new-*"), *self.store.runs.glob(".gone-*")):
                shutil.rmtree(path, ignore_errors=True)
            for folder in run_folders(self.store.runs):
                folder.sweep()
        for folder in run_folders(self.store.runs):
            record = folder.record()
            if record and record.phase == "running":
                attempt = Attempt(folder, self._engine(folder), record, folder.tail(record.offset))
                self.attempts[folder.id] = attempt

    def tick(self) -> None:
        """Look at every attempt once, then start what there is room for; nobody overtakes who waits for more slots."""
        for attempt in list(self.attempts.values()):
            self._follow(attempt)
        room = True
        for folder in self.waiting():
            if folder.stop.exists() and not folder.launching:
                self._refuse(folder, "stopped", "Stopped before it began.")
            elif room or folder.launching or self._engine(folder).elsewhere:
                room = self._launch(folder) and room

    def waiting(self) -> list[RunFolder]:
        """Runs with a request that no attempt answers yet, by priority and ticket."""
        found = []
        for folder in run_folders(self.store.runs):
            asked = folder.changed()
            if folder.id in self.attempts or self._settled.get(folder.id) == asked:
                continue
            if folder.waits:
                found.append(folder)
            else:
                self._settled[folder.id] = asked
        return sorted(found, key=lambda folder: folder.rank)

    def _launch(self, folder: RunFolder) -> bool:
        """Start it, or write down why it cannot be; False where there is no room for it."""
        try:
            plan = folder.plan()
        except BadPlan as error:
            self._refuse(folder, "failed", str(error))
            return True
        engine = self.engines.get(plan.engine)
        if engine is None:
            self._refuse(folder, "failed", f"There is no engine {plan.engine[:80]!r} here; start it with another one.")
            return True
        record = self._launching(folder)
        present = engine.find(folder.path) if folder.launching else None  # before its last word, or both may be missed
        if folder.launching and present is None and _last_word(folder.tail(record.offset)):
            self._save(folder, replace(record, phase="ended"))
            return True
        slots = () if engine.elsewhere else self._free(plan, record)
        if slots or engine.elsewhere:
            self._begin(folder, plan, engine, replace(record, slots=slots), present)
        return bool(slots) or engine.elsewhere

    def _begin(self, folder: RunFolder, plan: Plan, engine: Engine, record: Record, present: Process | None) -> None:
        if not self._save(folder, record):
            return
        try:
            process = present or engine.submit(folder.path, plan, self.slots.environment(record.slots))
        except OSError as error:
            self._refuse(folder, "failed", f"No worker could be started ({error.strerror}); try again later.")
            return
        running = replace(record, phase="running", at=time.time(), pid=process.pid, birth=process.birth)
        attempt = Attempt(folder, engine, running, folder.tail(record.offset))
        attempt.unsaved = not self._save(folder, running)
        self.attempts[folder.id] = attempt

    def _free(self, plan: Plan, record: Record) -> tuple[int, ...]:
        """The slots that a run of ``plan`` gets; none where it has to wait. It may hold its own already."""
        if record.slots:
            return record.slots
        here = [attempt for attempt in self.attempts.values() if not attempt.engine.elsewhere]
        taken = {slot for attempt in here for slot in attempt.record.slots or (0,)}
        free = [slot for slot in range(self.slots.count) if slot not in taken]
        needed = self.slots.needed(plan.processes)
        return tuple(free[:needed]) if len(free) >= needed else ()

    def _launching(self, folder: RunFolder) -> Record:
        """The record to start from; an attempt that an earlier supervisor was just launching keeps its offset."""
        record = folder.record()
        if record and record.phase == "launching":
            return record
        return Record(phase="launching", ticket=folder.ticket, offset=folder.size(), at=time.time())

    def _follow(self, attempt: Attempt) -> None:
        if attempt.unsaved:
            attempt.unsaved = not self._save(attempt.folder, attempt.record)
        attempt.end = _last_word(attempt.tail) or attempt.end
        attempt.exit = attempt.exit or attempt.engine.poll(attempt.record.process)
        if attempt.exit is None:
            self._press(attempt)
        elif attempt.engine.cancel(attempt.folder.path, force=True):
            self._conclude(attempt)

    def _press(self, attempt: Attempt) -> None:
        """End a worker that lingers after its last word, or that does not heed a stop."""
        if attempt.end is not None:
            patience = attempt.age("end") - QUICK_GRACE
        elif attempt.folder.stop.exists():
            patience = attempt.age("stop") - STOP_GRACE
        else:
            return
        if patience > 0:
            attempt.engine.cancel(attempt.folder.path, force=patience > KILL_GRACE)

    def _conclude(self, attempt: Attempt) -> None:
        """Its last process is gone and so are its strays: write down how it ended."""
        attempt.end = _last_word(attempt.tail) or attempt.end
        phase, message = _outcome(attempt)
        done = replace(attempt.record, phase=phase, message=message, at=time.time())
        if self._save(attempt.folder, done):
            del self.attempts[attempt.folder.id]

    def _refuse(self, folder: RunFolder, phase: Phase, message: str) -> None:
        record = replace(self._launching(folder), phase=phase, message=message, at=time.time())
        self._save(folder, record)

    def _save(self, folder: RunFolder, record: Record) -> bool:
        """Whether the record could be written; on a full disk the next tick tries again."""
        try:
            folder.write_record(record)
        except OSError as error:
            if str(error) != self._complained:
                self._complained = str(error)
                tell(f"state.json of run {folder.id}: {error}")
            return False
        return True

    def _engine(self, folder: RunFolder) -> Engine:
        """The plan's; for a plan that can be read no longer any one, to see its process end."""
        try:
            return self.engines[folder.plan().engine]
        except (BadPlan, KeyError):
            return next(iter(self.engines.values()))


def _last_word(tail: Tail) -> Event | None:
    """What ended an attempt, if the fresh events of ``tail`` tell."""
    return next((event for _, event in reversed(list(tail.read())) if isinstance(event, TERMINAL)), None)


def _outcome(attempt: Attempt) -> tuple[Phase, str]:
    if attempt.end is not None:
        return "ended", ""
    if attempt.folder.stop.exists():
        return "stopped", "Stopped by force, as the worker did not answer; it can be resumed from its last checkpoint."
    return "lost", _epitaph(attempt.exit.status if attempt.exit else None, attempt.folder, _starved(attempt.killings))


def _starved(before: int | None) -> bool:
    """Whether the kernel has killed for want of memory since its count was ``before``."""
    now = killed_for_memory()
    return before is not None and now is not None and now > before


def _epitaph(status: int | None, folder: RunFolder, starved: bool) -> str:
    words = folder.last_words()
    if starved and (status is None or status == -signal.SIGKILL or "SIGKILL" in words):
        return (
            "The machine ran out of memory and its kernel killed the worker; "
            "start it again with a smaller batch, or close something and resume it from its last checkpoint."
        )
    if status == errno.ENOSPC:  # there was no room left to say so in
        return "The disk is full. Make room, then resume the run from its last checkpoint."
    if status is None:
        return "The worker vanished while nobody was watching; it can be resumed from its last checkpoint."
    if status == -signal.SIGKILL or "SIGKILL" in words:  # the second is how a launcher tells it of its workers
        return (
            "The worker was killed, most likely because the machine ran out of memory; "
            "resume it from its last checkpoint, or start it again with a smaller batch."
        )
    return f"The worker ended unexpectedly, with status {status}: {words}"
