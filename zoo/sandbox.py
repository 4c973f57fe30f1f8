"""The parent's side of ``zoo.intake_child``: it gives jobs, believes nothing unchecked, and outlives the child."""

from __future__ import annotations

import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from zoo import handing
from zoo.answers import Died, Unpacked, heard, own_name
from zoo.confine import NOBODY
from zoo.errors import BadPicture, BadUpload
from zoo.outcomes import Outcome, Outcomes
from zoo.settings import child_environment

Progress = Callable[[str, int, int], None]

PATIENCE = 60.0  # seconds without a word from the child before it counts as stuck
PULSE = 0.5  # seconds after which a silence is told, so that a person may end it
MOST_THREADS = 8
SHARD = 4096  # pictures a job, so that no list of them grows with the dataset
SPARE_DISK = 256 << 20

# One thread for what is no decoding; memory that was freed is kept for the next picture, because asking the system for
# it again, page by page, costs as much as decoding does.
THRIFT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 28),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 28),
    "MALLOC_TOP_PAD_": str(1 << 24),
    "PILLOW_BLOCKS_MAX": "64",
}

CRASHED = ("Its decoder crashed or never ended.", "Save it anew, or leave it out.")
FULL = ("The disk is full.", "Make room where STUDIO_HOME points, and give the pictures again.")


class Sandbox:
    """One child process at a time, started when there is a job and after it died, ended on leaving the ``with``.

    The child opens no file: what it reads and writes is handed over open. Whatever ``told`` raises ends the job and
    the child; it is told again at least every half second.
    """

    def __init__(self, threads: int, cpu_seconds: int = 4 * 3600) -> None:
        self._threads = max(1, min(threads, MOST_THREADS))
        self._cpu_seconds = cpu_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._room: Path | None = None
        self._modules: frozenset[str] = frozenset()
        self._channel: socket.socket | None = None
        self._feeder: threading.Thread | None = None
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
        most = max(shutil.disk_usage(into).free - SPARE_DISK, 0)
        job = {
            "archive": str(archive),
            "into": str(into),
            "most_bytes": min(most_bytes, most),
            "most_entries": most_entries,
        }
        members: list[Unpacked] = []

        def waiting() -> None:
            told("unpack", len(members), 0)

        try:
            with archive.open("rb") as file:
                for answer in self.ask("unpack", job, [file.fileno()], room=into, most=most, waiting=waiting):
                    members.append(Unpacked(str(answer["name"]), own_name(answer["file"]), str(answer["why"])))
                    if len(members) % 50 == 0:
                        waiting()
        except Died:
            raise BadUpload(
                f"Unpacking {archive.name[:80]!r} took more memory or time than an archive of pictures would.",
                "Pack the pictures again as an ordinary .zip, or give the folder itself.",
            ) from None
        return members

    def decode(
        self,
        files: Sequence[Path],
        into: Path,
        side: int,
        told: Progress,
        known: Outcomes | None = None,
        keep: Callable[[int, Outcome], None] = lambda _index, _reading: None,
    ) -> Outcomes:
        """Decode ``files``, their pixels going to the end of the file ``into``; what each gave, in order.

        A child that dies or hangs takes nothing with it but the picture it died of. Those ``known`` are not decoded,
        the others join them; ``keep`` is called with what each other gives, as it comes.
        """
        found = Outcomes(len(files)) if known is None else known
        into.touch()

        def waiting() -> None:
            told("decode", found.known, len(files))

        def listed(index: int, reading: Outcome) -> None:
            found[index] = reading
            keep(index, reading)
            waiting()

        todo = found.missing()
        for start in range(0, len(todo), SHARD):
            rest = todo[start : start + SHARD].tolist()
            while rest:
                suspects = self._decode_some(files, rest, into, side, listed, waiting)
                for index in suspects:  # each alone: those that end the child again are the ones to leave out
                    if not found.has(index) and self._decode_some(files, [index], into, side, listed, waiting):
                        listed(index, BadPicture(*CRASHED))
                rest = [index for index in rest if not found.has(index)]
        return found

    def _decode_some(
        self,
        files: Sequence[Path],
        indices: list[int],
        into: Path,
        side: int,
        listed: Callable[[int, Outcome], None],
        waiting: Callable[[], None],
    ) -> list[int]:
        """Decode ``indices``; where the child died, those it had begun and not ended, or the first that was left."""
        paths = [files[index] for index in indices]
        job = {"paths": list(map(str, paths)), "into": str(into), "side": side, "threads": self._threads}
        begun: set[int] = set()
        ended: set[int] = set()
        unopened: dict[int, BadPicture] = {}
        with into.open("ab") as pixels:
            most = max(shutil.disk_usage(into.parent).free - SPARE_DISK, 1 << 20) + pixels.tell()
            try:
                for answer in self.ask("decode", job, [pixels.fileno()], paths, unopened, most=most, waiting=waiting):
                    place, reading = heard(answer, len(indices), into, unopened)
                    if reading is None:
                        begun.add(indices[place])
                    else:
                        ended.add(indices[place])
                        listed(indices[place], reading)
            except Died:
                return sorted(begun - ended) or [index for index in indices if index not in ended][:1]
        return []

    def ask(
        self,
        job: str,
        what: dict[str, Any],
        descriptors: Sequence[int] = (),
        pictures: Sequence[Path] = (),
        unopened: dict[int, BadPicture] | None = None,
        *,
        room: Path | None = None,
        most: int = 1 << 40,
        waiting: Callable[[], None] = lambda: None,
        modules: Sequence[str] = (),
    ) -> Iterator[dict[str, Any]]:
        """Give the child a job and yield its answers, none of which is to be believed unchecked.

        Args:
            descriptors: what is handed over first, open already; then come the room and the pictures.
            unopened: filled with what is wrong with pictures that cannot be opened, by their index.
            room: the one folder in which the child may make files; it belongs to the child from then on.
            most: bytes that a file may have which a child started for this job writes.
            waiting: called at least every half second; what it raises ends the job and the child.
            modules: what the child must have imported before it is confined.

        Raises:
            Died: the child is gone, or silent for too long.
            BadUpload: the child refuses the job, or the disk is full.
        """
        finished = False
        try:
            self._ready(room, most, modules, waiting)
            self._tell({"job": job} | what)
            self._hand_over(descriptors, room, pictures, {} if unopened is None else unopened)
            while not (answer := self._hear(waiting)).get("done"):
                if "refused" in answer:
                    raise BadUpload(*map(str, answer["refused"][:2]))
                if "disk" in answer:
                    raise BadUpload(*FULL)
                yield answer
            finished = True
        finally:
            if not finished:
                self._end()

    def _ready(self, room: Path | None, most: int, modules: Sequence[str], waiting: Callable[[], None]) -> None:
        """A child that has imported ``modules`` and may fill ``room`` with files of at most ``most`` bytes."""
        if (
            self._process
            and self._process.poll() is None
            and room in (None, self._room)
            and self._modules >= set(modules)
        ):
            return
        self._end()
        self._start()
        self._room, self._modules = room, frozenset(modules)
        limits = {"memory": (2 + self._threads) << 30, "file_size": most, "cpu_seconds": self._cpu_seconds}
        self._tell({"job": "confine", "room": room is not None, "modules": list(modules)} | limits)
        if room is not None:
            if hasattr(os, "geteuid") and os.geteuid() == 0:
                os.chown(room, NOBODY, NOBODY)
            self._hand_over([], room, [], {})
        while not self._hear(waiting).get("done"):
            pass

    def _start(self) -> None:
        import zoo

        above = str(Path(zoo.__path__[0]).parent)
        ours, theirs = handing.pair() if handing.CAN else (None, None)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "zoo.intake_child", *([str(theirs.fileno())] if theirs else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # image libraries print their opinion of every odd file there
                env=child_environment(PYTHONPATH=above, **THRIFT),
                cwd=above,
                pass_fds=[theirs.fileno()] if theirs else (),
            )
        finally:
            if theirs:
                theirs.close()
        self._channel, self._answers = ours, queue.SimpleQueue()
        threading.Thread(target=_listen, args=(self._process, self._answers), daemon=True).start()

    def _tell(self, job: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Died from None

    def _hand_over(
        self, descriptors: Sequence[int], room: Path | None, pictures: Sequence[Path], unopened: dict[int, BadPicture]
    ) -> None:
        """Hand over in the background, as fast as the child takes."""
        if self._channel is None:
            return
        arguments = (self._channel, descriptors, room, pictures, unopened)
        self._feeder = threading.Thread(target=handing.feed, args=arguments, name="handing", daemon=True)
        self._feeder.start()

    def _hear(self, waiting: Callable[[], None]) -> dict[str, Any]:
        for _ in range(round(PATIENCE / PULSE)):
            try:
                line = self._answers.get(timeout=PULSE)
            except queue.Empty:
                waiting()
                continue
            try:
                answer = json.loads(line)
            except ValueError:
                raise Died from None
            if not isinstance(answer, dict):
                raise Died
            return answer
        raise Died

    def _end(self) -> None:
        process, self._process = self._process, None
        channel, self._channel = self._channel, None
        if process is None:
            return
        process.kill()
        process.wait()
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        if channel is not None:
            if self._feeder is not None:  # nobody is at the other end any more, so it ends
                self._feeder.join()
            channel.close()


def _listen(process: subprocess.Popen[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            answers.put(line)
    answers.put(b"")  # the end, which is no JSON
