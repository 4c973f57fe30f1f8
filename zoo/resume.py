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
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from filelock import Timeout
from numpy.typing import NDArray
from PIL import __version__ as pillow

from zoo.answers import Reading, stored
from zoo.earlier import Earlier
from zoo.errors import BadPicture, BadUpload, Cancelled, StudioError
from zoo.facts import Facts
from zoo.outcomes import Outcome, Outcomes
from zoo.pictures import SIDE, Pictures, draft_of, finish, mapped, path_of
from zoo.room import make_room
from zoo.sandbox import FULL, Progress, Sandbox
from zoo.store import Store
from zoo.texts import Texts

RULES = 2  # raised when decoding a file gives other pixels, facts or hashes than before
SAMPLES = (8, 64)  # pictures from which the room that all need is forecast, and forecast better
MARK = 16  # bytes of what a file is known by
EVERY = 64  # pictures after which lines are sure to be in the file


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
        self._marks = np.zeros((0, MARK), dtype=np.uint8)
        self._done: Pictures | None = None

    def decode(
        self, files: Sequence[Path], sandbox: Sandbox, told: Progress, earlier: Earlier | None = None
    ) -> Outcomes:
        """What each of ``files`` gives, decoded now or before, ``earlier`` for another dataset included.

        Raises:
            BadUpload: the disk has not the room.
        """
        told("decode", 0, len(files))
        self._marks = np.zeros((len(files), MARK), dtype=np.uint8)
        if not self._own:
            for index, path in enumerate(files):
                self._marks[index] = np.frombuffer(_mark(path), dtype=np.uint8)
        known, source = self._recall(files, told)
        if known.known == len(files) and source:
            self._done = _as_they_are(self._store, source, known)
            if self._done is not None:
                told("decode", len(files), len(files))
                return known
        self._open(known, source)
        if earlier is not None:
            self._copy(earlier, files, known, told)
        self._forecast(files, known, sandbox, told)
        return sandbox.decode(files, self._draft, SIDE, told, known, self._note)

    def finish(self, outcomes: Outcomes) -> Pictures:
        """The pixels of those that could be read, put in place."""
        if self._done is not None:
            return self._done
        shas = _shas(outcomes)
        path = path_of(self._store, shas, SIDE)
        pictures = finish(self._draft, path, outcomes.column("span")[outcomes.good()], shas)
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

    def _recall(self, files: Sequence[Path], told: Progress) -> tuple[Outcomes, Path | None]:
        """What the journal knows of ``files``, and the finished file that has the pixels, if it is not the draft."""
        known = Outcomes(len(files))
        pixels = _header(self._path) if self._path else {}
        file = self._store.pictures / str(pixels.get("pixels"))
        if not self._path or not file.is_file():
            return known, None
        half = file == self._draft and pixels.get("boot") == _boot()
        if not half and pixels.get("is") != _identity(file):
            return known, None
        places = _Places(_contents(files, told) if self._own else self._marks)
        most, by = file.stat().st_size, "sha" if self._own else "mark"
        for number, line in enumerate(_journal(self._path)):
            found = places.of(str(line.get(by, "")))
            if found and (outcome := _outcome(line, most)) is not None:
                for index in found:
                    known[index] = outcome
            if number % EVERY == 0:
                told("decode", known.known, len(files))
        return known, None if half else file

    def _open(self, known: Outcomes, source: Path | None) -> None:
        """Begin the journal, or go on with it; what is known of a finished file is copied out of it."""
        if not known.known or source:
            self._draft.unlink(missing_ok=True)
        if self._path:
            self._lines = self._path.open("a" if known.known and not source else "w", encoding="utf-8")
            self._lines.write("\n")  # ends a line that was cut off
        self._write({"pixels": self._draft.name, "boot": _boot()})
        if source:
            with source.open("rb") as old, self._draft.open("ab") as new:
                for index in known.good().tolist():
                    known.moved(index, _copied(known.column("span")[index].tolist(), old, new))
            for index in range(len(known)):
                if known.has(index):
                    self._note(index, known[index])

    def _copy(self, earlier: Earlier, files: Sequence[Path], known: Outcomes, told: Progress) -> None:
        """Join to ``known`` what ``earlier`` has of the others."""
        missing = known.missing()
        needed = earlier.length(missing)
        make_room(self._store, needed, f"The pixels of {len(missing):,} pictures that are known already")
        try:
            with self._draft.open("ab") as pixels:
                for index in missing.tolist():
                    outcome = earlier.reading(index, files[index], pixels)
                    if outcome is not None:
                        known[index] = outcome
                        self._note(index, outcome)
                    told("decode", known.known, len(files))
        except OSError:
            raise BadUpload(*FULL) from None

    def _forecast(self, files: Sequence[Path], known: Outcomes, sandbox: Sandbox, told: Progress) -> None:
        """Refuse what will not fit, after decoding a few pictures from everywhere, and again after some more."""
        for some in SAMPLES:
            missing = known.missing()
            if len(missing) <= SAMPLES[-1]:
                return
            before = self._draft.stat().st_size if self._draft.exists() else 0
            self._sample(files, missing[:: len(missing) // some][:some].tolist(), known, sandbox, told)
            each = (self._draft.stat().st_size - before) / some
            make_room(self._store, int(each * (len(files) - known.known)), f"Decoded, these {len(files):,} pictures")

    def _sample(
        self, files: Sequence[Path], chosen: list[int], known: Outcomes, sandbox: Sandbox, told: Progress
    ) -> None:
        there = known.known
        some = sandbox.decode(
            [files[index] for index in chosen],
            self._draft,
            SIDE,
            lambda stage, done, _: told(stage, there + done, len(files)),
            keep=lambda place, outcome: self._note(chosen[place], outcome),
        )
        for index, outcome in zip(chosen, some, strict=True):
            known[index] = outcome

    def _note(self, index: int, outcome: Outcome) -> None:
        mark = self._marks[index].tobytes().hex() if self._marks[index].any() else ""
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


class _Places:
    """Where in a long list of (N, D) bytes something is, without an object for each."""

    def __init__(self, keys: NDArray[np.uint8]) -> None:
        self._keys = keys
        self._starts = np.ascontiguousarray(keys[:, :8]).view(np.uint64).ravel()
        self._order = np.argsort(self._starts, kind="stable")
        self._sorted = self._starts[self._order]

    def of(self, key: str) -> list[int]:
        """Indices of ``key``, in hex; none for one that is no key, or nothing but zeros."""
        try:
            wanted = np.frombuffer(bytes.fromhex(key), dtype=np.uint8)
        except ValueError:
            return []
        if wanted.shape != self._keys.shape[1:] or not wanted.any():
            return []
        first, last = (np.searchsorted(self._sorted, wanted[:8].view(np.uint64)[0], side) for side in ("left", "right"))
        near = self._order[first:last]
        return [int(index) for index in near[(self._keys[near] == wanted).all(axis=1)]]


def _shas(outcomes: Outcomes) -> Texts:
    shas = outcomes.column("sha")
    return Texts.of(shas[index].tobytes().hex() for index in outcomes.good())


def _as_they_are(store: Store, source: Path, outcomes: Outcomes) -> Pictures | None:
    """The finished file ``source``, if it holds exactly what could be read, in its order."""
    shas = _shas(outcomes)
    return mapped(source, shas) if source == path_of(store, shas, SIDE) else None


def _copied(span: Sequence[int], old: BinaryIO, new: BinaryIO) -> int:
    """Where in ``new`` the pixels lie now that were at ``span`` in ``old``."""
    offset, height, width = span
    old.seek(offset)
    place = new.tell()
    new.write(old.read(stored(height, width)))
    return place


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


def _mark(path: Path) -> bytes:
    """By what a file is known again; zeros where it is not there. Whoever changes a file changes its ctime."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return bytes(MARK)
    said = f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {path.name}"
    return hashlib.blake2b(said.encode(errors="surrogatepass"), digest_size=MARK).digest()


def _contents(files: Sequence[Path], told: Progress) -> NDArray[np.uint8]:
    """(N, 32) SHA-256 of each, zeros where it cannot be read."""
    found = np.zeros((len(files), 32), dtype=np.uint8)
    for index, path in enumerate(files):
        with suppress(OSError), path.open("rb") as file:
            found[index] = np.frombuffer(hashlib.file_digest(file, "sha256").digest(), dtype=np.uint8)
        if index % EVERY == 0:
            told("decode", 0, len(files))
    return found


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
