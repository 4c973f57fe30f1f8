"""Commands of the studio's own in processes that outlive the page, known again by number and birth."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from zoo.settings import child_environment

ROOT = Path(__file__).resolve().parent.parent


def spawn(command: str, subject: str, home: Path, log: Path, room: str = "zoo") -> subprocess.Popen[bytes]:
    """Start ``python -m room command subject`` in a session of its own; what it says goes to the end of ``log``."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", room, command, subject, "--home", str(home)],
            cwd=ROOT,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def identity(pid: int | None = None) -> dict[str, Any]:
    """What ``living`` knows the process ``pid`` (this one, unless told) by; nothing where it is gone."""
    try:
        process = psutil.Process(pid)
        return {"pid": process.pid, "started": process.create_time()}
    except psutil.NoSuchProcess:
        return {}


def living(known: Mapping[str, Any] | None) -> psutil.Process | None:
    """The process of that ``identity`` if it lives; its number alone may have gone to another."""
    try:
        process = psutil.Process((known or {})["pid"])
        same = abs(process.create_time() - (known or {})["started"]) < 1
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (KeyError, psutil.NoSuchProcess):
        return None
