"""What this machine's finished runs say of forecasts: how many times the foretold seconds they took."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from trainer.events import Finished, Placed, Started
from trainer.folder import RunFolder, run_folders
from trainer.plan import Plan
from zoo.errors import StudioError
from zoo.store import Store

LATEST = 40  # finished runs that are looked at, the newest first
Kind = tuple[str, str, int, int]
MOST = 4.0  # times that a forecast is changed, either way


@dataclass(frozen=True)
class Told:
    """A finished run's kind, how many times the seconds foretold without correction it took, and on what machines."""

    kind: Kind
    times: float
    machines: frozenset[str]


def scale(store: Store, plan: Plan) -> float:
    """What to multiply the seconds by that ``trainer.cost`` foretells of ``plan``; 1 where nothing like it was run yet.

    The geometric mean of what its runs took over that, with one more that took just as long, so that a single odd run
    sways little. Runs that were stopped and resumed are passed over: their end tells the last attempt's seconds.
    """
    return _mean([told.times for told in _finished(store) if told.kind == _kind(plan)])


def scale_there(store: Store, plan: Plan, machine: str) -> tuple[float, int]:
    """The same by those alone whose processes were all on machines of the kind ``machine``; how many these are."""
    found = [told.times for told in _finished(store) if told.kind == _kind(plan) and told.machines == {machine}]
    return _mean(found), len(found)


def _finished(store: Store) -> list[Told]:
    ended = sorted(((_ended(folder), folder.path) for folder in run_folders(store.runs)), reverse=True)
    return [told for at, path in ended[:LATEST] if at and (told := _told(path, at)) is not None]


def _mean(found: list[float]) -> float:
    mean = math.exp(sum(map(math.log, found)) / (len(found) + 1))
    return round(min(max(mean, 1 / MOST), MOST), 3)


def _ended(folder: RunFolder) -> float:
    """When the run finished, 0 where it has not."""
    try:
        return (folder.path / "evaluation.json").stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _kind(plan: Plan) -> Kind:
    """What has to be alike for one run to tell of another: what learns, where, and by how many processes."""
    return plan.strategy, plan.engine, plan.processes, plan.worker_gpus


@cache
def _told(path: Path, _at: float) -> Told | None:
    folder = RunFolder(path)
    try:
        plan = folder.plan()
    except StudioError:
        return None
    every = [event for _, event in folder.tail().read() if isinstance(event, Started | Finished | Placed)]
    events = [event for event in every if not isinstance(event, Placed)]
    placed = [event for event in every if isinstance(event, Placed)]
    if not plan.predicted_seconds or len(events) != 2 or not isinstance(events[-1], Finished):
        return None
    ratio = events[-1].seconds / (plan.predicted_seconds / (plan.predicted_scale or 1.0))
    machines = frozenset(str(one.get("kind", "")) for event in placed[-1:] for one in event.workers)
    return Told(_kind(plan), ratio, machines) if ratio > 0 else None
