"""The process that touches what strangers sent: it unpacks and decodes, confined, and may die without harm.

Jobs come as JSON lines on standard input, answers go as JSON lines to standard output, the files to read and to write
are handed over open; see ``zoo.sandbox``. The first job is "confine": every module is imported by then.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from zoo import handing
from zoo.archive import unpack
from zoo.confine import confine, limit
from zoo.decode import decode, prepare
from zoo.duplicates import difference_hash, thumbnail
from zoo.errors import BadPicture, StudioError

# Imported by others in the middle of their work, when no file can be read any more.
CODECS = (
    "ascii",
    "cp437",
    "idna",
    "latin_1",
    "unicode_escape",
    "raw_unicode_escape",
    "utf_8_sig",
    "utf_16",
    "utf_16_be",
)
LATE = (
    *("_strptime", "concurrent.futures.thread", "PIL.ImagePalette", "PIL.ImageColor", "PIL.ImageFilter"),
    *(f"encodings.{name}" for name in (*CODECS, "utf_16_le", "utf_32", "cp1252")),
)

_saying = threading.Lock()


def say(**answer: Any) -> None:
    _write(json.dumps(answer))


def _write(lines: str) -> None:
    with _saying:
        sys.stdout.buffer.write(lines.encode() + b"\n")
        sys.stdout.buffer.flush()


class Handed:
    """The files of a job, in the order in which the parent hands them over."""

    def __init__(self, channel: socket.socket | None) -> None:
        self._channel = channel

    def next(self, path: str, mode: str = "rb") -> IO[bytes] | None:
        """The next file, open; ``path`` is where it lies if files cannot be handed over. None for one that is not."""
        if self._channel is None:
            return Path(path).open(mode)
        descriptor = handing.take(self._channel)
        return None if descriptor is None else os.fdopen(descriptor, mode)

    def enter(self, path: str) -> Path:
        """The folder handed over next, as the one this process is in."""
        if self._channel is None:
            os.chdir(path)
        elif (descriptor := handing.take(self._channel)) is not None:
            os.fchdir(descriptor)
        return Path()

    def folder(self) -> int | None:
        return None if self._channel is None else handing.take(self._channel)


def decode_all(handed: Handed, paths: list[str], into: str, side: int, threads: int) -> None:
    """Append the pixels of every picture to the file ``into``, and say where each lies."""
    todo = iter(enumerate(paths))
    taking, writing = threading.Lock(), threading.Lock()
    pixels = handed.next(into, "ab")
    assert pixels is not None

    def work(_: int) -> None:
        said = ""
        while True:
            with taking:
                index, path = next(todo, (-1, ""))
                file = handed.next(path) if index >= 0 else None
            if index < 0:
                break
            _write(f'{said}{{"begun": {index}}}')  # with the answer before it: one write a picture
            said = json.dumps({"index": index} | _answer(file, side, pixels, writing)) + "\n"
        if said:
            _write(said.rstrip())

    with pixels, ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, range(threads)):
            pass


def _answer(file: IO[bytes] | None, side: int, pixels: IO[bytes], writing: threading.Lock) -> dict[str, Any]:
    if file is None:
        return {"unopened": True}
    try:
        with file:
            return _read(file.read(), side, pixels, writing)
    except BadPicture as bad:
        return {"problem": bad.problem, "remedy": bad.remedy}


def _read(content: bytes, side: int, pixels: IO[bytes], writing: threading.Lock) -> dict[str, Any]:
    found = decode(content, side)
    picture = found.pixels
    gray = found.image.convert("L")
    small = thumbnail(gray)
    with writing:
        offset = pixels.tell()
        try:
            pixels.write(picture.data)
            pixels.write(small.data)
            pixels.flush()
        except OSError:
            say(disk=True)
            os._exit(1)
    return {
        "sha": hashlib.sha256(content).hexdigest(),
        "size": [found.width, found.height],
        "span": [offset, *picture.shape[:2]],
        "hash": difference_hash(gray).hex(),
        "bytes": len(content),
        "facts": asdict(found.facts),
    }


def _unpack(handed: Handed, archive: str, into: str, most_bytes: int, most_entries: int) -> None:
    file = handed.next(archive)
    assert file is not None
    with file:
        for member in unpack(file, handed.enter(into), most_bytes, most_entries, Path(archive).name):
            say(name=member.name, file=member.file, why=member.why)


def _table(
    handed: Handed, tables: list[dict[str, Any]], columns: dict[str, str], into: str, most_bytes: int, begin: int
) -> None:
    from zoo.columns import Columns
    from zoo.rows import read

    files = [handed.next(table["path"]) for table in tables]
    for answer in read(files, tables, handed.enter(into), Columns(**columns), most_bytes, begin):
        say(**answer)


def _confine(handed: Handed, memory: int, file_size: int, cpu_seconds: int, room: bool, modules: list[str]) -> None:
    for module in (*LATE, *modules):
        importlib.import_module(module)
    prepare()
    limit(memory, file_size, cpu_seconds)
    confine(handed.folder() if room else None)


def _jobs() -> Iterator[dict[str, Any]]:
    """Jobs as they come. When standard input ends, because the parent is done or dead, so does this process."""
    yield json.loads(sys.stdin.buffer.readline())
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin.buffer:
            waiting.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()  # confined like the thread that starts it
    while True:
        yield waiting.get()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    handed = Handed(socket.socket(fileno=int(sys.argv[1])) if len(sys.argv) > 1 else None)
    for job in _jobs():
        try:
            match job.pop("job"):
                case "confine":
                    _confine(handed, **job)
                case "decode":
                    decode_all(handed, **job)
                case "unpack":
                    _unpack(handed, **job)
                case "table":
                    _table(handed, **job)
            say(done=True)
        except StudioError as error:
            say(refused=[error.problem, error.remedy])


if __name__ == "__main__":
    main()
