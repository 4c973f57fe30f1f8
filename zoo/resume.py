"""Decoding that nobody has to do twice: what each file gave is written down as it comes, and the next intake reads it.

A journal belongs to a source and lies beside its pixels: JSON lines, the first of which names the file of the pixels.
A file is known again by its length, its times and its place on the disk, or, unpacked anew, by its content. A process
may be killed at any moment: a line that is not whole is none, and pixels that no line names are never read. After a
crash of the machine itself, which may keep the lines and lose the pixels, half-made work is not believed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO

from filelock import Timeout
from PIL import __version__ as pillow

from zoo.answers import Reading, stored
from zoo.errors import BadPicture, BadUpload, Cancelled, StudioError
from zoo.facts import Facts
from zoo.pictures import SIDE, Pictures, draft_of, finish, mapped, path_of
from zoo.room import make_room
from zoo.sandbox import FULL, Progress, Sandbox
from zoo.store import Store

RULES = 2  # raised when decoding a file gives other pixels, facts or hashes than before
SAMPLES = (8, 64)  # pictures from which the room that all need is forecast, and forecast better
EVERY = 64  # pictures after which lines are sure to be in the file

Outcome = Reading | BadPicture


class Bench:
    """Where the files of one source are decoded.

    ``key`` names the source's journal, "" for none; ``own`` files are unpacked anew and known by their content.
    """

    def __init__(self, store: Store, key: str, own: bool) -> None:
        self._store, self._own = store, own
        self._path = store.pictures / f"known-{key}" if key else None
        self._draft = store.pictures / f".draft-{key}" if key else draft_of(store)
        self._lines: IO[str] | None = None
        self._unsure = 0
        self._marks: list[str] = []
        self._done: Pictures | None = None

    def decode(self, files: Sequence[Path], sandbox: Sandbox, told: Progress) -> list[Outcome]:
        """What each of ``files`` gives, decoded now or before.

        Raises:
            BadUpload: the disk has not the room.
        """
        self._marks = [""] * len(files) if self._own else [_mark(path) for path in files]
        known, source = self._recall(files)
        if len(known) == len(files) and source:
            readings = [known[index] for index in range(len(files))]
            self._done = _as_they_are(self._store, source, readings)
            if self._done is not None:
                told("decode", len(files), len(files))
                return readings
        self._open(known, source)
        self._forecast(files, known, sandbox, told)
        return sandbox.decode(files, self._draft, SIDE, told, known, self._note)

    def finish(self, readings: Sequence[Reading]) -> Pictures:
        """The pixels of ``readings``, put in place."""
        if self._done is not None:
            return self._done
        shas = tuple(reading.sha for reading in readings)
        path = path_of(self._store, shas, SIDE)
        pictures = finish(self._draft, path, [reading.span for reading in readings], shas)
        self._write({"pixels": path.name, "is": _identity(path)})
        return pictures

    def forget(self) -> None:
        """Leave nothing behind: there was nothing worth keeping."""
        self.close()
        self._draft.unlink(missing_ok=True)
        if self._path:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._lines:
            with suppress(OSError):  # of a full disk; what is not written down is done again
                self._lines.close()
        if not self._path:
            self._draft.unlink(missing_ok=True)

    def _recall(self, files: Sequence[Path]) -> tuple[dict[int, Outcome], Path | None]:
        """What the journal knows of ``files``, and the finished file that has the pixels, if it is not the draft."""
        pixels = _header(self._path) if self._path else {}
        file = self._store.pictures / str(pixels.get("pixels"))
        if not self._path or not file.is_file():
            return {}, None
        half = file == self._draft and pixels.get("boot") == _boot()
        if not half and pixels.get("is") != _identity(file):
            return {}, None
        places: dict[str, list[int]] = {}
        for index, mark in enumerate([_content(path) for path in files] if self._own else self._marks):
            places.setdefault(mark, []).append(index)
        most, by = file.stat().st_size, "sha" if self._own else "mark"
        known: dict[int, Outcome] = {}
        for line in _journal(self._path):
            mark = str(line.get(by, ""))
            if mark and mark in places and (outcome := _outcome(line, most)) is not None:
                known.update(dict.fromkeys(places[mark], outcome))
        return known, None if half else file

    def _open(self, known: dict[int, Outcome], source: Path | None) -> None:
        """Begin the journal, or go on with it; what is known of a finished file is copied out of it."""
        if not known or source:
            self._draft.unlink(missing_ok=True)
        if self._path:
            self._lines = self._path.open("a" if known and not source else "w", encoding="utf-8")
            self._lines.write("\n")  # ends a line that was cut off
        self._write({"pixels": self._draft.name, "boot": _boot()})
        if source:
            with source.open("rb") as old, self._draft.open("ab") as new:
                known.update({index: _copied(outcome, old, new) for index, outcome in known.items()})
            for index, outcome in known.items():
                self._note(index, outcome)

    def _forecast(self, files: Sequence[Path], known: dict[int, Outcome], sandbox: Sandbox, told: Progress) -> None:
        """Refuse what will not fit, after decoding a few pictures from everywhere, and again after some more."""
        for some in SAMPLES:
            missing = [index for index in range(len(files)) if index not in known]
            if len(missing) <= SAMPLES[-1]:
                return
            before = self._draft.stat().st_size if self._draft.exists() else 0
            self._sample(files, missing[:: len(missing) // some][:some], known, sandbox, told)
            each = (self._draft.stat().st_size - before) / some
            make_room(self._store, int(each * (len(files) - len(known))), f"Decoded, these {len(files):,} pictures")

    def _sample(
        self, files: Sequence[Path], chosen: list[int], known: dict[int, Outcome], sandbox: Sandbox, told: Progress
    ) -> None:
        there = len(known)
        some = sandbox.decode(
            [files[index] for index in chosen],
            self._draft,
            SIDE,
            lambda stage, done, _: told(stage, there + done, len(files)),
            keep=lambda place, outcome: self._note(chosen[place], outcome),
        )
        known.update(zip(chosen, some, strict=True))

    def _note(self, index: int, outcome: Outcome) -> None:
        mark = self._marks[index]
        if isinstance(outcome, BadPicture):
            if mark:
                self._write({"mark": mark, "problem": outcome.problem, "remedy": outcome.remedy})
            return
        facts = outcome.facts
        self._write(
            {
                "mark": mark,
                "sha": outcome.sha,
                "size": outcome.size,
                "span": outcome.span,
                "hash": outcome.hash,
                "bytes": outcome.bytes,
                "facts": [facts.taken, facts.quality, facts.mode, facts.repaired],
            }
        )

    def _write(self, line: dict[str, Any]) -> None:
        if not self._lines:
            return
        self._unsure += 1
        try:
            self._lines.write(json.dumps(line) + "\n")
            if self._unsure >= EVERY or "pixels" in line:
                self._lines.flush()
                self._unsure = 0
        except OSError:
            raise BadUpload(*FULL) from None


@contextmanager
def bench(store: Store, name: str, own: bool) -> Iterator[Bench]:
    """A bench for the source called ``name``, with what an earlier intake of it left.

    What is half made stays for the next time, unless it came to nothing. Of two at once, one works without a journal.
    """
    facts = [RULES, pillow, SIDE, name, own]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
    with ExitStack() as stack:
        try:
            stack.enter_context(store.lock(f"intake-{key}", timeout=0))
            made = Bench(store, key, own)
        except Timeout:
            made = Bench(store, "", own)
        try:
            yield made
        except Cancelled:
            raise
        except StudioError:
            made.forget()
            raise
        finally:
            made.close()


def _as_they_are(store: Store, source: Path, readings: Sequence[Outcome]) -> Pictures | None:
    """The finished file ``source``, if it holds exactly ``readings``, in their order."""
    shas = tuple(reading.sha for reading in readings if isinstance(reading, Reading))
    return mapped(source, shas) if source == path_of(store, shas, SIDE) else None


def _copied(outcome: Outcome, old: BinaryIO, new: BinaryIO) -> Outcome:
    if isinstance(outcome, BadPicture):
        return outcome
    offset, height, width = outcome.span
    old.seek(offset)
    place = new.tell()
    new.write(old.read(stored(height, width)))
    return replace(outcome, span=(place, height, width))


def _journal(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                value = json.loads(line)
            except ValueError:  # cut off by a kill
                continue
            if isinstance(value, dict):
                yield value


def _header(path: Path) -> dict[str, Any]:
    """The last word on where the pixels are."""
    try:
        return next(reversed([line for line in _journal(path) if "pixels" in line]), {})
    except (OSError, UnicodeDecodeError):
        return {}


def _outcome(line: dict[str, Any], most: int) -> Outcome | None:
    """What a line says; None where its pixels are not among the ``most`` bytes there are."""
    try:
        if "problem" in line:
            return BadPicture(line["problem"], line["remedy"])
        offset, height, width = line["span"]
        if offset + stored(height, width) > most:
            return None
        size, span = tuple(line["size"]), (offset, height, width)
        return Reading(line["sha"], size, span, line["hash"], line["bytes"], Facts(*line["facts"]))
    except (KeyError, TypeError, ValueError):
        return None


def _mark(path: Path) -> str:
    """By what a file is known again; "" where it is not there. Whoever changes a file changes its ctime."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ""
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {path.name}"


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _identity(path: Path) -> list[int] | None:
    """Another file of this name, or this one rewritten, is another."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns]


@cache
def _boot() -> str:
    """Which start of the machine this is, where the system says so."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
