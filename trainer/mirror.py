"""A run's folder brought to nodes that do not see the studio's home, and back: through a storage that all can reach.

attempt.json     the driver: which attempt the run's processes belong to, and whether they shall stop
events/TIME-N    the first process: what happened, in pieces that are written again until they are full
ray              Ray Train's own, which nobody here reads
all else         the first process: the files of the run's folder as they are, checkpoint and classifier among them
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from pathlib import Path

from trainer.events import Event, from_line
from trainer.events_log import TERMINAL
from trainer.folder import RunFolder
from zoo.storage import Storage, hidden, telling

LEASE = "attempt.json"
EVENTS, OF_RAY = "events", "ray"
PIECE = 2**18  # bytes of events that are written again with the next
PACE = 1.0  # seconds between looks
OWN = ("plan.json", "events.jsonl")  # of each end's own folder: there already, or told another way


class Gone(RuntimeError):
    """The attempt that a process belongs to was given up."""


class Home:
    """The driver's end: what the nodes tell comes into the run's folder, what a person asks for goes to them."""

    def __init__(self, folder: RunFolder, storage: Storage) -> None:
        self._folder, self._storage = folder, storage
        self._read: dict[str, int] = {}
        self._seen: dict[str, str] = {}
        self._rest: dict[str, bytes] = {}
        self._untold: list[Event] = []
        self._turn = threading.Lock()

    def begin(self, attempt: str) -> None:
        """See that a resumed run finds its checkpoint, and that nothing is left of an earlier attempt's events.

        Raises:
            BadPlan: the storage cannot be used.
        """
        with telling():
            self._storage.remove(EVENTS)
            self._storage.remove(OF_RAY)
            there = self._storage.files()
            for path in files_of(self._folder.checkpoint):
                name = path.relative_to(self._folder.path).as_posix()
                if name not in there:  # what is there may be of later
                    self._storage.put(path, name)
            self.tell(attempt, stop=False)

    def tell(self, attempt: str, *, stop: bool) -> None:
        self._storage.write(LEASE, json.dumps({"attempt": attempt, "stop": stop}).encode())

    def receive(self) -> None:
        """What happened since the last call; where the run has ended, its files are here before it is said."""
        with self._turn:
            files = self._storage.files()
            self._untold += self._events(files)
            if any(isinstance(event, TERMINAL) for event in self._untold):
                self._bring(files)
            while self._untold:
                self._folder.log.append(self._untold[0])
                del self._untold[0]

    def end(self) -> None:
        """Everything that is there brought here, and the processes told that nobody waits for them."""
        self._storage.remove(LEASE)
        self.receive()
        with self._turn:
            self._bring(self._storage.files())

    def _events(self, files: dict[str, str]) -> list[Event]:
        found = []
        for name in sorted(name for name in files if name.startswith(f"{EVENTS}/")):
            stream, _, piece = name.rpartition("-")
            read = self._read.setdefault(stream, 0)
            if int(piece) != read // PIECE or self._seen.get(name) == files[name]:
                continue
            fresh = self._storage.read(name, read % PIECE) or b""
            self._seen[name] = files[name]
            self._read[stream] += len(fresh)
            found += self._whole(stream, fresh)
        return found

    def _whole(self, stream: str, fresh: bytes) -> list[Event]:
        """The events that ``fresh`` completes; a line may go on in the next piece."""
        *lines, self._rest[stream] = (self._rest.get(stream, b"") + fresh).split(b"\n")
        told = (from_line(line.decode(errors="replace")) for line in lines)
        return [event[1] for event in told if event]

    def _bring(self, files: dict[str, str]) -> None:
        for name, mark in files.items():
            if name in (LEASE, *OWN) or name.partition("/")[0] in (EVENTS, OF_RAY) or self._seen.get(name) == mark:
                continue
            self._storage.get(name, self._folder.path / name)
            self._seen[name] = mark


class Away(threading.Thread):
    """A process's end on a node: whether it shall go on; of the first process, what it writes as it comes."""

    def __init__(self, folder: RunFolder, storage: Storage, attempt: str, *, first: bool) -> None:
        super().__init__(daemon=True)
        self._folder, self._storage, self._attempt, self._first = folder, storage, attempt, first
        self._stream = f"{EVENTS}/{time.time_ns():020d}"
        self._sent = 0
        self._kept: dict[Path, tuple[int, int]] = {path: _state(path) for path in self._files()}
        self._over = threading.Event()
        self._gone = self._stopping = False

    def asked(self) -> bool:
        """Whether a person wants it to stop.

        Raises:
            Gone: this attempt was given up.
        """
        if self._gone:
            raise Gone("The driver of this run is gone.")
        return self._stopping

    def run(self) -> None:
        while not self._over.wait(PACE):
            with suppress(Exception):  # a storage that fails now may answer the next time; the last time is told
                self._look()
                if self._first:
                    self._send()

    def close(self) -> None:
        """Send what is left.

        Raises:
            BadPlan: the storage does not take it.
        """
        self._over.set()
        if self.is_alive():
            self.join()
        if self._first:
            with telling():
                self._send()

    def _look(self) -> None:
        word = self._storage.read(LEASE)
        told = json.loads(word) if word else {}
        self._gone = told.get("attempt") != self._attempt
        self._stopping = bool(told.get("stop"))

    def _send(self) -> None:
        """The files first, then the events that there were before them: who reads of an end finds what it left."""
        size = self._folder.size()
        for path in self._files():
            if (state := _state(path)) != self._kept.get(path):
                with suppress(FileNotFoundError):  # a draft's name has changed
                    self._storage.put(path, path.relative_to(self._folder.path).as_posix())
                    self._kept[path] = state
        while self._sent < size:
            piece = self._sent // PIECE
            with (self._folder.path / "events.jsonl").open("rb") as file:
                file.seek(piece * PIECE)
                content = file.read(min(PIECE, size - piece * PIECE))
            self._storage.write(f"{self._stream}-{piece:06d}", content)
            self._sent = piece * PIECE + len(content)

    def _files(self) -> list[Path]:
        """Whole files of the run's folder, in the order in which they were written."""
        own = [self._folder.path / name for name in OWN]
        return sorted((path for path in files_of(self._folder.path) if path not in own), key=_state)


def files_of(folder: Path) -> list[Path]:
    """The files below ``folder`` but drafts of those being written."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in found if not hidden(path.relative_to(folder).as_posix())]


def _state(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except FileNotFoundError:
        return 0, 0
    return about.st_mtime_ns, about.st_size
