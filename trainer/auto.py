"""What `fit --strategy auto` does: what a race has proven; else the advice of a comparison, made quickly where none is.

Little data gets the head, whose seconds nothing beats; where an earlier tap is surely better than the last, or the last
ones together likelier are, the head goes there; where there is much, more layers learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trainer.races import Races
from trainer.strategies import strategies
from zoo.compare import EMBEDDED, Question, compare
from zoo.comparisons import Comparisons
from zoo.dataset import Dataset
from zoo.settings import Settings
from zoo.store import Store

Told = Callable[[str, int, int], None]


def advice(
    dataset: Dataset,
    store: Store,
    settings: Settings,
    backbone: str | None = None,
    seed: int | None = None,
    told: Told = lambda *_: None,
) -> tuple[Mapping[str, Any] | None, dict[str, Any]]:
    """(comparison to plan from, the plan's fields that were decided): backbone, strategy and, after a race, its rate.

    Raises:
        BadUpload: too few pictures to compare on.
        BackboneUnavailable: the backbone cannot be had.
    """
    known = _comparison(dataset, store, settings, backbone, seed, told)
    chosen = backbone or str(known["plan"]["backbone"])
    raced = Races(store, settings).latest(dataset.id, chosen, "finished")
    if raced is not None:
        won = next(arm for arm in raced["arms"] if arm["strategy"] == raced["winner"])
        rate = {} if won["learning_rate"] is None else {"learning_rate": won["learning_rate"]}
        return known, {"backbone": chosen, "strategy": won["strategy"], **rate}
    return known, {"backbone": chosen, "strategy": strategy_for(known, chosen)}


def strategy_for(comparison: Mapping[str, Any], backbone: str) -> str:
    """The comparison's advice, or an earlier tap where its map says "little, unlike".

    Both are of the backbone that it advises; for another one the head is the safe choice.
    """
    place, plan = comparison.get("quadrant") or {}, comparison.get("plan") or {}
    offered = strategies()
    if plan.get("backbone") != backbone:
        return "linear_head"
    if place.get("cell") == "little, unlike" and "earlier_layer" in offered:
        return "earlier_layer"
    advised = str(plan.get("strategy", ""))
    return advised if advised in offered else "linear_head"


def _comparison(
    dataset: Dataset, store: Store, settings: Settings, backbone: str | None, seed: int | None, told: Told
) -> Mapping[str, Any]:
    """The latest one that knows ``backbone``, on the split that is asked for; else a quick one, which is kept."""
    comparisons = Comparisons(store, settings)
    known = comparisons.latest(dataset.id)
    rows = [row["id"] for row in (known or {}).get("backbones", [])]
    if known and known.get("plan") and seed in (None, known["seed"]) and backbone in (None, *rows):
        return known
    question = Question(backbones=(backbone,) if backbone else EMBEDDED, seed=seed or 0, thermometer=False)
    *_, last = compare(dataset, question, store, settings, told)
    found = last.as_json()
    comparisons.keep(question, found)
    return found
