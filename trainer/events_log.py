"""The file a worker tells its events to; a crash or a full disk spoils its last line at most."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

from trainer.events import Event, Failed, Finished, Stopped, from_line, to_line

TERMINAL = (Finished, Stopped, Failed)


class EventLog:
    """Appends events to a file, one line each, from any thread of its one writing process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = Lock()
        self._torn = True  # not known yet: the first append looks

    def append(self, event: Event) -> None:
        """Write ``event``; after one that ends the run, return only once the disk has it.

        Raises:
            OSError: the disk is full or gone. A later append starts on a fresh line.
        """
        line = to_line(event).encode()
        with self._turn, self.path.open("ab", buffering=0) as file:
            if self._torn and not _ends_whole(self.path):
                line = b"\n" + line
            self._torn = True
            while line:  # a disk that fills up takes a part, then says so
                line = line[file.write(line) :]
            self._torn = False
            if isinstance(event, TERMINAL):
                os.fsync(file.fileno())


class Tail:
    """Reads a growing event file a piece at a time, from ``offset`` bytes on; whole lines only."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path = path
        self.offset = offset

    def read(self, until: int | None = None) -> Iterator[tuple[float, Event]]:
        """The events that were completed since the last call, each with its time; none past ``until`` bytes."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                fresh = file.read() if until is None else file.read(max(0, until - self.offset))
        except FileNotFoundError:
            return
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            told = from_line(line.decode(errors="replace"))
            if told:
                yield told


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
