"""What a plan should take on each kind of machine in a cluster, as far as anything was measured there.

Runs that ended on machines of a kind say it best; else pictures that comparisons looked at there say how quick it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer import calibration
from trainer.plan import Plan
from trainer.plans import foretold
from zoo import nodes, sources
from zoo.dataset import Dataset
from zoo.finding import count
from zoo.runtime import SAVED
from zoo.settings import Settings
from zoo.store import Store, read_json


@dataclass(frozen=True)
class There:
    """One kind of machine, of which the cluster has ``machines``.

    Attributes:
        seconds: what the plan should take where all its processes are on such; None where nothing was measured there.
        runs: how many ended runs that is taken from; 0 where it is taken from pictures that were looked at.
    """

    kind: str
    machines: int
    seconds: float | None = None
    runs: int = 0


def everywhere(plan: Plan, settings: Settings, comparison: Mapping[str, Any] | None) -> list[There] | None:
    """Each kind of machine in the cluster, as it was when somebody last looked; None where nobody has.

    Args:
        comparison: what is known of the backbone on this machine.
    """
    store = Store(settings.home)
    known = nodes.last_seen(store, settings)
    if known is None:
        return None
    speeds = read_json(nodes.speeds_of(store)) or {}
    kinds = Counter(str(one["kind"]) for one in known)
    return [_there(kind, many, plan, settings, comparison, speeds.get(kind, {})) for kind, many in kinds.items()]


def _there(
    kind: str,
    many: int,
    plan: Plan,
    settings: Settings,
    comparison: Mapping[str, Any] | None,
    speeds: Mapping[str, float],
) -> There:
    store = Store(settings.home)
    times, runs = calibration.scale_there(store, plan, kind)
    if runs and plan.predicted_seconds:
        return There(kind, many, plan.predicted_seconds / (plan.predicted_scale or 1.0) * times, runs)
    if plan.worker_gpus or not speeds:  # comparisons use the processors of nodes alone
        return There(kind, many)
    card = sources.card(plan.backbone, settings)
    seconds = nodes.foretold(speeds, {card.id: card.gmacs}, 1, plan.worker_cpus)
    if seconds is None:
        return There(kind, many)
    row: Mapping[str, Any] = next(
        (one for one in (comparison or {}).get("backbones", []) if one["id"] == plan.backbone), {}
    )
    engine = float(row.get("torch_ms_per_picture", 0)) / float(row.get("ms_per_picture", 1)) or 1 / (1 - SAVED)
    there = {"ms_per_picture": 1000 * seconds, "torch_ms_per_picture": 1000 * seconds * engine / plan.processes}
    there["taps"] = row.get("taps", ())
    told = foretold(plan, card, Dataset.load(store, plan.dataset), settings, there)
    return There(kind, many, told.seconds)


def sentence(there: There) -> str:
    """For a command line."""
    which = f"on a machine like {there.kind}"
    if there.seconds is None:
        return f"{which}: nothing was measured there yet"
    by = f"{count(there.runs, 'run')} that ended there" if there.runs else "pictures that were looked at there"
    return f"{which}: about {there.seconds:.0f} s, from {by}"
