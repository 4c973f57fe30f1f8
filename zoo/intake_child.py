"""The process that touches what strangers sent: it unpacks and decodes under limits, and may die without harm.

Jobs come as JSON lines on standard input, answers go as JSON lines to standard output; see ``zoo.sandbox``.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from zoo.decode import decode, read_file
from zoo.duplicates import difference_hash
from zoo.errors import BadPicture, StudioError

_saying = threading.Lock()


def say(**answer: Any) -> None:
    line = json.dumps(answer).encode() + b"\n"
    with _saying:
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def limit(memory: int, file_size: int, cpu_seconds: int) -> None:
    """Cap this process, as far as the system lets it."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            hard = resource.getrlimit(what)[1]
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        except (ValueError, OSError):  # macOS refuses some
            continue


def decode_all(paths: list[str], into: str, side: int, threads: int) -> None:
    """Append the pixels of every picture to the file ``into``, and say where each lies."""
    todo = iter(enumerate(paths))
    taking, writing = threading.Lock(), threading.Lock()
    with Path(into).open("ab") as pixels, ThreadPoolExecutor(threads) as pool:

        def work(_: int) -> None:
            while True:
                with taking:
                    index, path = next(todo, (-1, ""))
                if index < 0:
                    return
                say(begun=index)
                try:
                    say(index=index, **_read(Path(path), side, pixels, writing))
                except BadPicture as bad:
                    say(index=index, problem=bad.problem, remedy=bad.remedy)

        for _ in pool.map(work, range(threads)):
            pass


def _read(path: Path, side: int, pixels: IO[bytes], writing: threading.Lock) -> dict[str, Any]:
    content = read_file(path)
    found = decode(content, side)
    picture = found.pixels
    with writing:
        offset = pixels.tell()
        try:
            pixels.write(picture.tobytes())
            pixels.flush()
        except OSError:
            say(disk=True)
            os._exit(1)
    return {
        "sha": hashlib.sha256(content).hexdigest(),
        "size": [found.width, found.height],
        "span": [offset, *picture.shape[:2]],
        "hash": difference_hash(picture).hex(),
        "bytes": len(content),
        "facts": asdict(found.facts),
    }


def _unpack(archive: str, into: str, most_bytes: int, most_entries: int) -> None:
    from zoo.archive import unpack

    for count, member in enumerate(unpack(Path(archive), Path(into), most_bytes, most_entries), 1):
        say(unpacked=count, name=member.name, file=member.file, why=member.why)


def _jobs() -> Iterator[dict[str, Any]]:
    """Jobs as they come. When standard input ends, because the parent is done or dead, so does this process."""
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin.buffer:
            waiting.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield waiting.get()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    for job in _jobs():
        try:
            match job.pop("job"):
                case "limit":
                    limit(**job)
                case "decode":
                    decode_all(**job)
                case "unpack":
                    _unpack(**job)
            say(done=True)
        except StudioError as error:
            say(refused=[error.problem, error.remedy])


if __name__ == "__main__":
    main()
