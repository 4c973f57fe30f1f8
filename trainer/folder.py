"""A run's folder, the whole truth about it, where each file has one writer.

plan.json               the page or the command line: what to do
QUEUED, RESUME, STOP    the page or the command line: what a person asked for; the first two hold a queue ticket
PRIORITY, NOTE, ORIGIN  the page or the command line: who goes first, a person's words, the run it was made from
DELETED                 the page or the command line: the order of what is in the bin
state.json              the supervisor: which ticket it took up, which process has it, how that ended
events.jsonl            the worker: what happened
checkpoint, classifier  the worker; so are evaluation.json and evidence.npz, once it has finished
log.txt                 whatever the processes print, a heading before each attempt, for the curious
README.txt              the page or the command line: this table, for whoever opens the folder without the studio
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from trainer.events_log import EventLog, Tail
from trainer.plan import MB, Plan
from trainer.processes import Process
from zoo.errors import BadPlan
from zoo.store import read_json, write_json

ERROR = re.compile(r"\b\w+(Error|Exception): \S.*")
ATTEMPT = b"#### attempt "  # heads what each attempt printed
DRAFT = re.compile(r"\.[A-Za-z.]+\.\d+\.[0-9a-f]{8}")  # as ``zoo.store.write_bytes`` names what it is writing
README = """The folder of one training run. Everything the run did is here; no file needs the studio to be read.

plan.json        what was to be done: the run can be repeated from it and its dataset alone
events.jsonl     what happened, one JSON object a line: steps, passes over the pictures, how it ended
evaluation.json  what the test pictures said, once, at the end
evidence.npz     NumPy arrays: what the classifier said of each picture
classifier/      the finished classifier: config.json and model.safetensors, which timm and transformers load
checkpoint/      what a resumed run goes on from
log.txt          what the processes printed, a heading before each attempt
QUEUED, RESUME, STOP, PRIORITY, NOTE, ORIGIN, state.json   what a person asked for, and where it stands
"""


Phase = Literal["launching", "running", "ended", "lost", "failed", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the supervisor knows of a run's latest attempt.

    Attributes:
        phase: "launching" until the process is known, "running" with it; then "ended" when its events say how,
            else "lost", "failed" or "stopped" with a message.
        ticket: the request that this attempt answers.
        offset: length of the event file before the attempt, in bytes.
        at: when the phase began, for showing only.
        slots: which of the machine's slots it has.
    """

    phase: Phase
    ticket: int
    offset: int
    at: float
    pid: int = 0
    birth: str = ""
    message: str = ""
    slots: tuple[int, ...] = ()

    @property
    def process(self) -> Process:
        return Process(self.pid, self.birth)

    @property
    def open(self) -> bool:
        """Whether a process may be at work."""
        return self.phase in ("launching", "running")


@dataclass(frozen=True)
class RunFolder:
    """The files of the run at ``path``."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def classifier(self) -> Path:
        return self.path / "classifier"

    @property
    def log(self) -> EventLog:
        return EventLog(self._events)

    def plan(self) -> Plan:
        """What to do.

        Raises:
            BadPlan: the file is missing, damaged, or no plan.
        """
        value = read_json(self.path / "plan.json")
        if not isinstance(value, dict):
            raise BadPlan("The plan of this run is missing or damaged.", "Start it again.")
        return Plan.from_json(value)

    def write_plan(self, plan: Plan) -> None:
        write_json(self.path / "plan.json", plan.as_json())

    def request(self, name: Literal["QUEUED", "RESUME"], ticket: int, at: float) -> None:
        """Ask for an attempt. A higher ticket waits behind a lower one."""
        write_json(self.path / name, {"ticket": ticket, "at": at})

    def requested(self, name: Literal["QUEUED", "RESUME"]) -> tuple[int, float] | None:
        """The ticket and the time of that request, None where there is none."""
        value = read_json(self.path / name)
        if not isinstance(value, dict) or not isinstance(value.get("ticket"), int):
            return None
        return value["ticket"], float(value.get("at", 0))

    @property
    def ticket(self) -> int:
        """The newest request's, 0 for none."""
        found = (self.requested("QUEUED"), self.requested("RESUME"))
        return max((request[0] for request in found if request), default=0)

    @property
    def waits(self) -> bool:
        """Whether a request is not answered by an attempt yet."""
        record = self.record()
        return self.launching or self.ticket > (record.ticket if record else 0)

    @property
    def launching(self) -> bool:
        """Whether a supervisor was just about to start a process."""
        record = self.record()
        return record is not None and record.phase == "launching"

    def changed(self) -> int:
        """A number that changes with every request after the first."""
        try:
            return (self.path / "RESUME").stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    @property
    def stop(self) -> Path:
        return self.path / "STOP"

    @property
    def state_file(self) -> Path:
        return self.path / "state.json"

    def record(self) -> Record | None:
        """The supervisor's record, None before there is one."""
        value = read_json(self.state_file)
        known = {field.name for field in fields(Record)}
        if not isinstance(value, dict) or not {"phase", "ticket", "offset", "at"} <= value.keys():
            return None
        value = {name: item for name, item in value.items() if name in known}
        return Record(**value | {"slots": tuple(value.get("slots", ()))})

    def write_record(self, record: Record) -> None:
        """Only the supervisor calls this.

        Raises:
            OSError: the disk is full or gone; the old record stands.
        """
        write_json(self.state_file, asdict(record))

    def tail(self, offset: int = 0) -> Tail:
        return Tail(self._events, offset)

    def size(self) -> int:
        """Bytes of events so far."""
        return self._events.stat().st_size if self._events.exists() else 0

    def last_words(self) -> str:
        """The end of what the worker printed, as part of a sentence."""
        try:
            with (self.path / "log.txt").open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
                latest = file.read().rpartition(ATTEMPT)
                told = latest[2].partition(b"\n")[2] if latest[1] else latest[2]
                lines = told.decode(errors="replace").split("\n")
        except FileNotFoundError:
            lines = []
        said = [line.strip() for line in lines if any(map(str.isalpha, line))]
        errors = [found[0] for line in said if (found := ERROR.search(line))]
        if not said:
            return "it said nothing."
        if errors and "SIGKILL" not in said[-1]:  # a launcher ends with the root cause; its other workers just followed
            return f"{errors[-1][:200].rstrip('.')}."
        return f"{said[-1][:200].rstrip('.')}."

    @property
    def priority(self) -> int:
        """Who of the waiting goes first: the higher."""
        value = read_json(self.path / "PRIORITY")
        return value if isinstance(value, int) else 0

    @property
    def rank(self) -> tuple[bool, int, int, str]:
        """Its place among the waiting, the smallest first; one that may have a process already before all others."""
        return not self.launching, -self.priority, self.ticket, self.id

    def write_priority(self, priority: int) -> None:
        write_json(self.path / "PRIORITY", priority)

    @property
    def note(self) -> str:
        """What a person wrote down about it."""
        return str(read_json(self.path / "NOTE") or "")

    def write_note(self, text: str) -> None:
        write_json(self.path / "NOTE", text)

    @property
    def origin(self) -> tuple[str, str]:
        """How it was made from another run ("replay" or "duplicate"), and which; empty for neither."""
        value = read_json(self.path / "ORIGIN")
        return (str(value.get("how", "")), str(value.get("run", ""))) if isinstance(value, dict) else ("", "")

    def write_origin(self, how: Literal["replay", "duplicate"], run_id: str) -> None:
        write_json(self.path / "ORIGIN", {"how": how, "run": run_id})

    def write_readme(self) -> None:
        (self.path / "README.txt").write_text(README, encoding="utf-8")

    def disk_mb(self) -> float:
        """What it takes on the disk now, in megabytes."""
        sizes = 0
        for path in self.path.rglob("*"):
            with contextlib.suppress(OSError):
                sizes += path.lstat().st_size
        return sizes / MB

    def sweep(self) -> None:
        """Remove what writers that were killed left half written; the caller holds the lock "runs"."""
        for path in self.path.iterdir():
            if DRAFT.fullmatch(path.name):
                path.unlink(missing_ok=True)

    @property
    def _events(self) -> Path:
        return self.path / "events.jsonl"


def run_folders(runs: Path) -> list[RunFolder]:
    """Every run below ``runs``, in no order."""
    return [RunFolder(path) for path in runs.iterdir() if path.is_dir() and not path.name.startswith(".")]


def stop_requested(run_dir: Path) -> bool:
    """Whether a person wants this run to end; the worker asks after each step and keeps a checkpoint then."""
    return RunFolder(run_dir).stop.exists()
