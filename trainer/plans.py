"""From a comparison to a plan: the strategy advised, its recipe for this backbone, and what it should cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer import anatomy, calibration, cost, recipes, symmetry
from trainer.engines import engines
from trainer.fitting import fitting
from trainer.plan import Plan
from trainer.strategies import strategy as named
from trainer.tapsets import asked, sets_worth
from zoo import sources
from zoo.backbone import Card
from zoo.dataset import Dataset, split
from zoo.errors import BadPlan
from zoo.features import Extractor, kept_in
from zoo.runtime import Runtime
from zoo.settings import Settings
from zoo.store import Store

START = cost.START
FITTED = ("linear_head", "earlier_layer")  # by a formula, in one process, without steps
COUNTS = 64  # answers that ``COUNTED`` holds: a form asks the same for every change of a field
COUNTED: dict[tuple[Card, str, Path], tuple[int, int]] = {}
MS_A_GMAC = 25.0  # one core's milliseconds for a billion multiply-adds, where nothing was measured yet


def suggest(comparison: Mapping[str, Any] | None, dataset: Dataset, settings: Settings, **changes: Any) -> Plan:
    """A plan for ``dataset``, from the advice of a finished comparison where there is one.

    Args:
        comparison: what ``Comparison.as_json`` gave, None for none: then the smallest embedded backbone.
        changes: fields of the plan a person decided themselves; None leaves the advice.

    Raises:
        BadPlan: a change cannot be carried out.
        BackboneUnavailable: the backbone has no card.
    """
    advice = (comparison or {}).get("plan") or {}
    decided = {name: value for name, value in changes.items() if value is not None}
    backbone = decided.pop("backbone", None) or advice.get("backbone") or "embedded/tf_efficientnet_lite0"
    strategy = decided.pop("strategy", None) or advice.get("strategy") or "linear_head"
    card = sources.card(backbone, settings)
    if not card.params:
        raise BadPlan(f"{backbone} is a yardstick and has nothing to train.", "Choose a backbone with weights.")
    named(strategy)
    measured = next((row for row in (comparison or {}).get("backbones", []) if row["id"] == backbone), None)
    decided.setdefault("seed", (comparison or {}).get("seed", 0))  # the same test part stays unseen
    if strategy in FITTED:
        decided["processes"] = 1  # nothing to share
    recipe: dict[str, Any] = {
        "dataset": dataset.id,
        "backbone": backbone,
        "strategy": strategy,
        "engine": settings.engine,
    }
    if strategy not in FITTED:
        cell = ((comparison or {}).get("quadrant") or {}).get("cell", "") if backbone == advice.get("backbone") else ""
        trained = len(split(dataset, decided["seed"]).of("train"))
        best = measured.get("best_tap", "") if measured else ""
        recipe |= recipes.recipe(strategy, card, anatomy.known(card, settings), trained, cell, best)
        recipe |= {name: value for name, (value, _) in fitting(dataset, decided["seed"]).items()}
        tried = symmetry.known(dataset.id, backbone, settings)
        recipe |= tried.fields if tried else {}  # mirrored and turned only where that was tried and does no harm
    if strategy == "earlier_layer" and (backbone, strategy) == (advice.get("backbone"), advice.get("strategy")):
        recipe["taps"] = advice.get("taps", "")
    plan = Plan.from_json(recipe | decided)
    if plan.engine not in engines():
        raise BadPlan(f"There is no engine {plan.engine[:80]!r}.", f"Choose one of: {', '.join(engines())}.")
    check = getattr(named(plan.strategy), "check", None)
    if check is not None:
        check(card, plan)
    learned = calibration.scale(Store(settings.home), plan)
    told = foretold(plan, card, dataset, settings, measured, learned)
    forecast: dict[str, Any] = {
        "predicted_seconds": told.seconds * learned,
        "predicted_scale": learned,
        "predicted_memory_mb": told.memory_mb,
        "predicted_disk_mb": told.disk_mb,
    }
    if measured:
        read = _measured_alike(measured, plan)
        low, high = read["interval"]
        forecast |= {"predicted_accuracy": read["accuracy"], "predicted_low": low, "predicted_high": high}
    return Plan.from_json(plan.as_json() | forecast)


def _measured_alike(row: Mapping[str, Any], plan: Plan) -> Mapping[str, Any]:
    """What was measured of the features that ``plan`` reads: the taps it names, the best earlier one, or the last.

    Of taps that were not read together, the best of them stands for all.
    """
    if plan.strategy != "earlier_layer" or not row["taps"][:-1]:
        return row
    joined = [row["joined"]["tap"]] if row.get("joined") else []
    wanted = _names(plan.taps)
    measured = {_names(tap["name"]): tap for tap in (*row["taps"], *joined)}
    alone = [tap for names, tap in measured.items() if names < wanted] or row["taps"][:-1]
    return dict(measured.get(wanted) or max(alone, key=lambda tap: float(tap["accuracy"])))


def _names(taps: str) -> frozenset[str]:
    """The taps that a plan or a comparison writes with commas between, in whatever order."""
    return frozenset(name.strip() for name in taps.split(",") if name.strip())


def foretold(
    plan: Plan, card: Card, dataset: Dataset, settings: Settings, row: Mapping[str, Any] | None, scale: float = 1.0
) -> cost.Cost:
    """Seconds before ``scale``, memory and disk of ``plan``; ``row`` is what a comparison measured of its backbone."""
    guess = card.gmacs * MS_A_GMAC / settings.threads + 2
    torch_ms = row.get("torch_ms_per_picture", row["ms_per_picture"]) if row else guess
    speed = cost.Speed(frozen=(row["ms_per_picture"] if row else guess) / 1000, torch=torch_ms / 1000)
    parts = split(dataset, plan.seed)
    store = Store(settings.home)
    sizes = cost.Sizes(
        every=len(dataset),
        train=len(parts.of("train")),
        select=len(parts.of("select")),
        known=_known(card, dataset, store, settings),
        exported=Runtime(store, settings).file(card) is not None,
        sets=_read(plan, card, row, len(parts.of("train", "select"))),
    )
    return cost.cost(plan, card, sizes, speed, anatomy.known(card, settings), scale)


def _read(plan: Plan, card: Card, row: Mapping[str, Any] | None, pictures: int) -> tuple[tuple[int, ...], ...]:
    """The sets of taps that ``plan`` fits heads to, one after the other; none where it is the last alone."""
    if plan.strategy != "earlier_layer":
        return ()
    earlier = len(card.taps) - 1
    measured = [float(tap["accuracy"]) for tap in (row or {}).get("taps", ())[:-1]]
    if not measured or len(measured) != earlier:
        measured = [float(tap == earlier - 1) for tap in range(earlier)]  # the deepest is the best most often
    return tuple(asked(plan.taps, card.taps) or (sets_worth(measured, pictures) if earlier else ()))


def _known(card: Card, dataset: Dataset, store: Store, settings: Settings) -> int:
    """Of how many pictures of ``dataset`` the features are known; counted anew once more of them are written."""
    key, now = (card, dataset.id, store.root), _changed(kept_in(card, store))
    when, found = COUNTED.get(key, (None, 0))
    if when != now:
        found = Extractor(card, dataset, store, settings).known
        if len(COUNTED) >= COUNTS:
            COUNTED.clear()
        COUNTED[key] = now, found
    return found


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
