"""A dataset on a model hub, ``hf://datasets/OWNER/NAME``, as pictures and labels on this disk."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo.columns import Columns
from zoo.errors import BadUpload
from zoo.layout import Gathered
from zoo.names import clean
from zoo.sandbox import Progress
from zoo.settings import Settings, child_environment
from zoo.tables import Reading, Shelf, TableFile

SCHEME = "hf://"
MOST_PICTURES = 20_000  # of one dataset on a hub; of a larger one a sample is read
PATIENCE = 120.0  # seconds without a picture before the hub counts as stuck

_SOURCE = re.compile(
    r"hf://datasets/(?P<name>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w./-]+?))?(/(?P<config>[\w.-]+))?/?", re.ASCII
)


def fetch(source: str, room: Path, settings: Settings, columns: Columns, told: Progress) -> Gathered | Path:
    """Pictures of the dataset ``source``, read into files in ``room``: all of them, or a sample of a large one.

    ``source`` is hf://datasets/OWNER/NAME, with @REVISION and /CONFIGURATION after it where wanted. What needs code
    from the hub is refused. A dataset that is one archive is given back as that, not yet opened.

    Raises:
        BadUpload: the hub is down, or has no such dataset for us; or it holds no labelled pictures.
    """
    wanted = _SOURCE.fullmatch(source.strip())
    if not wanted or ".." in source:
        raise BadUpload(f"{clean(source, 200)!r} names no dataset.", "Write it as hf://datasets/OWNER/NAME.")
    name = wanted["name"]
    if settings.offline:
        raise BadUpload(
            f"The studio is offline, and {name!r} is on a hub.", "Give a folder or an archive that is on this disk."
        )
    job = {
        "name": name,
        "config": wanted["config"] or "",
        "revision": wanted["revision"] or "",
        "columns": asdict(columns),
        "into": str(room),
        "most": MOST_PICTURES,
        "most_bytes": settings.max_upload_mb * 8 << 20,
    }
    tables: list[TableFile] = []
    reading = Reading(tables, Shelf(()), room)
    for answer in _asked(job, name, lambda: told("fetch", reading.rows, 0)):
        if "archive" in answer:
            return _within(room, str(answer["archive"]))
        if "split" in answer:
            part = clean(str(answer["name"]))
            tables.append(TableFile(room, part, part))
            if answer["split"] == 0:
                reading.notes.append(f"{name}: its licence is {clean(str(answer['licence'])) or 'not stated'}.")
        elif "cut" in answer:
            cut, total = clean(str(answer["cut"])), clean(str(answer["of"]))
            reading.notes.append(f"{clean(str(answer['name']))}: {cut} of {total} rows, drawn at random.")
        else:
            reading.take(answer, 0)
    return reading.gathered(room, name.rpartition("/")[2])


def _within(room: Path, archive: str) -> Path:
    path = Path(archive)
    if not path.resolve().is_relative_to(room.resolve()):
        raise BadUpload("The hub's answer makes no sense.", "Give a folder or an archive that is on this disk.")
    return path


def _asked(job: dict[str, Any], name: str, waiting: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """Answers of a child of its own, which has the network and no token."""
    import zoo

    above = str(Path(zoo.__path__[0]).parent)
    lost = BadUpload(f"Reading {name!r} from the hub broke off.", "Try again later, or give a folder on this disk.")
    with subprocess.Popen(
        [sys.executable, "-m", "zoo.hub_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(PYTHONPATH=above, HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_TELEMETRY="1"),
        cwd=above,
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
            for answer in _lines(process, waiting, lost):
                if "refused" in answer:
                    problem, remedy = (clean(str(text), 300) for text in answer["refused"][:2])
                    raise BadUpload(problem, remedy)
                if answer.get("done"):
                    return
                yield answer
            raise lost
        finally:
            process.kill()


def _lines(process: subprocess.Popen[bytes], waiting: Callable[[], None], lost: BadUpload) -> Iterator[dict[str, Any]]:
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(b"")

    threading.Thread(target=listen, daemon=True).start()
    heard = time.monotonic()
    while time.monotonic() - heard < PATIENCE:
        waiting()
        try:
            line = lines.get(timeout=0.5)
        except queue.Empty:
            continue
        if not line:
            return
        answer = json.loads(line)
        if "alive" not in answer:
            heard = time.monotonic()
            yield answer
    raise lost
