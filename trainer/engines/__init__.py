"""Where a run executes: one file an engine, each with an ``ENGINE``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from trainer.plan import Plan
from trainer.processes import Process
from zoo.registry import discover

NOWHERE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Exit:
    """How a run's process ended: its exit status, minus the signal's number for a signal, None where nobody saw."""

    status: int | None


@runtime_checkable
class Engine(Protocol):
    """Starts and ends the processes of runs. What becomes of a run is told by its events, not by its engine.

    Attributes:
        elsewhere: its runs compute on other machines, whose queue they wait in, and take none of this one's slots.
    """

    name: str
    elsewhere: bool

    def submit(self, run_dir: Path, plan: Plan, slot: Mapping[str, str] = NOWHERE) -> Process:
        """Start ``python -m trainer work RUN_DIR`` where it shall execute, unless this run has a process already.

        Args:
            slot: the environment that keeps it to its slot of this machine.

        Raises:
            OSError: no process can be started.
        """
        ...

    def find(self, run_dir: Path) -> Process | None:
        """The process of this run that ``submit`` would give, whoever started it; None where it would start one."""
        ...

    def poll(self, process: Process) -> Exit | None:
        """How that process of ours, or of an earlier supervisor's, ended; None while it lives."""
        ...

    def cancel(self, run_dir: Path, *, force: bool) -> bool:
        """Signal every process of the run, those that lost their parent included. True once there are none."""
        ...


@cache
def engines() -> dict[str, Engine]:
    """Every engine, by name."""
    from trainer import engines as folder

    return discover(folder, "ENGINE", Engine)  # type: ignore[type-abstract]
