"""Who is who among processes: identity that survives reused numbers and clocks set back, and the tag runs carry."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

TAG_ID, TAG_DIR = "STUDIO_RUN_ID", "STUDIO_RUN_DIR"
PROC = Path("/proc/self/stat").exists()  # Linux
BOOT = Path("/proc/sys/kernel/random/boot_id")
OUT_OF_MEMORY = (  # where the kernel counts whom it killed for memory: of this container, else of this machine
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
    Path("/proc/vmstat"),
)
GONE = (psutil.NoSuchProcess, psutil.AccessDenied)  # ZombieProcess is a NoSuchProcess


@dataclass(frozen=True)
class Process:
    """A process number and when it was born; a number alone may be another's by now."""

    pid: int
    birth: str

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process ``pid`` as it is alive now, None where there is none."""
        birth = _birth(pid)
        return cls(pid, birth) if birth else None

    @property
    def alive(self) -> bool:
        return _birth(self.pid) == self.birth


def tags(run_dir: Path) -> dict[str, str]:
    """What marks every process of a run, whatever session or parent it ends up with."""
    return {TAG_ID: run_dir.name, TAG_DIR: str(run_dir)}


def tagged(run_dir: Path) -> list[Process]:
    """The living processes of a run, oldest first."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(*GONE):
            if tags(run_dir).items() <= process.environ().items() and (same := Process.of(process.pid)):
                found.append((process.create_time(), process.pid, same))
    return [same for _, _, same in sorted(found, key=lambda row: row[:2])]


def send(processes: list[Process], number: signal.Signals) -> None:
    """Signal those that are still alive."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if process.alive:
                os.kill(process.pid, number)


def die_with_launcher(run_dir: Path) -> None:
    """Tie this process to the launcher that started it, so that a killed launcher leaves no worker behind.

    The launcher's workers sit in sessions of their own and would go on. Only Linux can tie them;
    elsewhere the supervisor's hunt for strays ends them.
    """
    if not PROC:
        return
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    mark = tags(run_dir).items()
    if not mark <= psutil.Process().environ().items():
        return  # a person started this launcher
    with contextlib.suppress(*GONE):
        if mark <= psutil.Process(os.getppid()).environ().items():
            return
    raise SystemExit("The launcher of this worker is gone.")  # it died before the tie was made


def killed_for_memory() -> int | None:
    """How many processes the kernel has killed for want of memory so far; None where it does not tell."""
    for path in OUT_OF_MEMORY:
        with contextlib.suppress(OSError, ValueError):
            counts = dict(line.split(maxsplit=1) for line in path.read_text().splitlines() if " " in line)
            if "oom_kill" in counts:
                return int(counts["oom_kill"])
    return None


def _birth(pid: int) -> str | None:
    """Which boot, and ticks since then, where /proc has them: unlike a time of day they don't move with the clock."""
    try:
        if PROC:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            return None if fields[0] in (b"Z", b"X") else f"{fields[19].decode()}{_boot()}"
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except (*GONE, OSError, IndexError):
        return None


@cache
def _boot() -> str:
    """What tells this boot from others: after a reboot, numbers and ticks may be another's."""
    try:
        return f"@{BOOT.read_text().strip()}"
    except OSError:
        return ""
