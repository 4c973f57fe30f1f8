"""The parent's side of ``zoo.intake_child``: it gives jobs, believes nothing unchecked, and outlives the child."""

from __future__ import annotations

import json
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import BadPicture, BadUpload
from zoo.facts import WORDS, Facts
from zoo.settings import child_environment

Progress = Callable[[str, int, int], None]

PATIENCE = 60.0  # seconds without a word from the child before it counts as stuck
MOST_THREADS = 8
SPARE_DISK = 256 << 20

_MODE = re.compile(r"[A-Za-z0-9;]{0,12}")
_HEX = re.compile(r"[0-9a-f]{64}")


class Died(Exception):
    """The child is gone, or said nothing sensible for too long."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What decoding one file gave.

    Attributes:
        sha: SHA-256 of the file, in hex.
        size: (width, height) of the upright original.
        span: where its pixels lie: byte offset, height, width.
        hash: difference hash, in hex.
        bytes: length of the file.
        facts: what it tells besides its pixels.
    """

    sha: str
    size: tuple[int, int]
    span: tuple[int, int, int]
    hash: str
    bytes: int
    facts: Facts


@dataclass(frozen=True, slots=True)
class Unpacked:
    """One member of an archive: the name it had, the file it became, or why it became none."""

    name: str
    file: str
    why: str


class Sandbox:
    """One child process at a time, started when there is a job and after it died, ended on leaving the ``with``."""

    def __init__(self, threads: int, cpu_seconds: int = 4 * 3600) -> None:
        self._threads = max(1, min(threads, MOST_THREADS))
        self._cpu_seconds = cpu_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def unpack(self, archive: Path, into: Path, most_bytes: int, most_entries: int, told: Progress) -> list[Unpacked]:
        """Members of ``archive`` as files in the folder ``into``.

        Raises:
            BadUpload: the archive is refused as a whole.
        """
        disk = shutil.disk_usage(into).free
        most_bytes = min(most_bytes, max(disk - SPARE_DISK, 0))
        job = {"archive": str(archive), "into": str(into), "most_bytes": most_bytes, "most_entries": most_entries}
        members = []
        try:
            for answer in self._ask("unpack", job, disk):
                members.append(Unpacked(str(answer["name"]), _own_name(answer["file"]), str(answer["why"])))
                if len(members) % 50 == 0:
                    told("unpack", len(members), 0)
        except Died:
            raise BadUpload(
                f"Unpacking {archive.name[:80]!r} took more memory or time than an archive of pictures would.",
                "Pack the pictures again as an ordinary .zip, or give the folder itself.",
            ) from None
        return members

    def decode(self, files: Sequence[Path], into: Path, side: int, told: Progress) -> list[Reading | BadPicture]:
        """Decode ``files``, their pixels going into the file ``into``; what each gave, in order.

        A child that dies or hangs takes nothing with it but the picture it died of.
        """
        found: dict[int, Reading | BadPicture] = {}
        rest = list(range(len(files)))
        while rest:
            suspects = self._decode_some(files, rest, into, side, found, told, len(files))
            for index in suspects:  # each alone: those that end the child again are the ones to leave out
                if self._decode_some(files, [index], into, side, found, told, len(files)):
                    found[index] = BadPicture("Its decoder crashed or never ended.", "Save it anew, or leave it out.")
            rest = [index for index in rest if index not in found]
        return [found[index] for index in range(len(files))]

    def _decode_some(
        self,
        files: Sequence[Path],
        indices: list[int],
        into: Path,
        side: int,
        found: dict[int, Reading | BadPicture],
        told: Progress,
        total: int,
    ) -> list[int]:
        """Decode ``indices`` into ``found``; where the child died, those it had begun and not ended."""
        job = {
            "paths": [str(files[index]) for index in indices],
            "into": str(into),
            "side": side,
            "threads": self._threads,
        }
        begun: set[int] = set()
        try:
            for answer in self._ask("decode", job, shutil.disk_usage(into.parent).free):
                if "begun" in answer:
                    begun.add(indices[answer["begun"]])
                    continue
                index = indices[answer["index"]]
                found[index] = _reading(answer, into)
                begun.discard(index)
                told("decode", len(found), total)
        except (Died, KeyError, IndexError, TypeError, ValueError):
            self._end()
            return sorted(begun - found.keys()) or [index for index in indices if index not in found][:1]
        return []

    def _ask(self, job: str, what: dict[str, Any], disk: int) -> Iterator[dict[str, Any]]:
        process = self._process or self._start(max(disk - SPARE_DISK, 1 << 20))
        self._tell(process, {"job": job} | what)
        while True:
            answer = self._hear()
            if answer.get("done"):
                return
            if "refused" in answer:
                raise BadUpload(*map(str, answer["refused"][:2]))
            if "disk" in answer:
                raise BadUpload("The disk is full.", "Make room where STUDIO_HOME points, and give the pictures again.")
            yield answer

    def _start(self, file_size: int) -> subprocess.Popen[bytes]:
        import zoo

        above = str(Path(zoo.__path__[0]).parent)
        process = subprocess.Popen(
            [sys.executable, "-m", "zoo.intake_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # image libraries print their opinion of every odd file there
            env=child_environment(PYTHONPATH=above, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1"),
            cwd=above,
        )
        self._process, self._answers = process, queue.SimpleQueue()
        threading.Thread(target=_listen, args=(process, self._answers), daemon=True).start()
        self._tell(
            process,
            {
                "job": "limit",
                "memory": (2 + self._threads) << 30,
                "file_size": file_size,
                "cpu_seconds": self._cpu_seconds,
            },
        )
        while not self._hear().get("done"):
            pass
        return process

    def _tell(self, process: subprocess.Popen[bytes], job: dict[str, Any]) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise Died from None

    def _hear(self) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=PATIENCE)
            answer = json.loads(line)
        except (queue.Empty, ValueError):
            raise Died from None
        if not isinstance(answer, dict):
            raise Died
        return answer

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()


def _listen(process: subprocess.Popen[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            answers.put(line)
    answers.put(b"")  # the end, which is no JSON


def _reading(answer: dict[str, Any], into: Path) -> Reading | BadPicture:
    """What the child says of a picture.

    Raises:
        ValueError, TypeError, KeyError: it says nonsense.
    """
    if "problem" in answer:
        return BadPicture(str(answer["problem"]), str(answer["remedy"]))
    width, height = map(int, answer["size"])
    span = offset, rows, columns = (int(answer["span"][0]), int(answer["span"][1]), int(answer["span"][2]))
    inside = offset >= 0 and rows > 0 and columns > 0 and offset + rows * columns * 3 <= into.stat().st_size
    if not (inside and width > 0 and height > 0 and _HEX.fullmatch(answer["sha"]) and _HEX.fullmatch(answer["hash"])):
        raise ValueError("the child's answer does not fit its file")
    return Reading(
        answer["sha"], (width, height), span, answer["hash"], int(answer["bytes"]), _facts(**answer["facts"])
    )


def _facts(taken: float, quality: int, mode: str, repaired: str) -> Facts:
    """What the child says, as what it must be: words of ours, numbers in their range."""
    if not (0 <= taken < 1e11 and 0 <= quality <= 100 and _MODE.fullmatch(mode) and _known(repaired)):
        raise ValueError("the child's answer does not fit")
    return Facts(float(taken), int(quality), mode, repaired)


def _known(repaired: str) -> bool:
    return not repaired or set(repaired.split(", ")) <= WORDS


def _own_name(file: object) -> str:
    """A file name of ours, digits only, or none."""
    text = str(file)
    if text and not (text.isascii() and text.isdigit()):
        raise Died
    return text
