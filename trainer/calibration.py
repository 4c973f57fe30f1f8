"""What this machine's finished runs say of forecasts: how many times the foretold seconds they took."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

from trainer.events import Finished, Started
from trainer.folder import RunFolder, run_folders
from trainer.plan import Plan
from zoo.errors import StudioError
from zoo.store import Store

LATEST = 40  # finished runs that are looked at, the newest first
Kind = tuple[str, str, int]
MOST = 4.0  # times that a forecast is changed, either way


def scale(store: Store, plan: Plan) -> float:
    """What to multiply the seconds by that ``trainer.cost`` foretells of ``plan``; 1 where nothing like it was run yet.

    The geometric mean of what its runs took over that, with one more that took just as long, so that a single odd run
    sways little. Runs that were stopped and resumed are passed over: their end tells the last attempt's seconds.
    """
    ended = sorted(((_ended(folder), folder.path) for folder in run_folders(store.runs)), reverse=True)
    told = [_told(path, at) for at, path in ended[:LATEST] if at]
    found = [one[1] for one in told if one is not None and one[0] == _kind(plan)]
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
    return plan.strategy, plan.engine, plan.processes


@cache
def _told(path: Path, _at: float) -> tuple[Kind, float] | None:
    """A finished run's kind, and what it took over what was foretold without correction."""
    folder = RunFolder(path)
    try:
        plan = folder.plan()
    except StudioError:
        return None
    events = [event for _, event in folder.tail().read() if isinstance(event, Started | Finished)]
    if not plan.predicted_seconds or len(events) != 2 or not isinstance(events[-1], Finished):
        return None
    ratio = events[-1].seconds / (plan.predicted_seconds / (plan.predicted_scale or 1.0))
    return (_kind(plan), ratio) if ratio > 0 else None
