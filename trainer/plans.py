"""From a comparison to a plan: the strategy advised, its recipe for this backbone, and what it should cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer import symmetry
from trainer.engines import engines
from trainer.fitting import fitting
from trainer.plan import Plan
from trainer.strategies import strategy as named
from zoo import sources
from zoo.backbone import Card
from zoo.dataset import Dataset, split
from zoo.errors import BadPlan
from zoo.settings import Settings

START = 9.0  # seconds for a worker to load its libraries and to save, judge and check at the end; to be calibrated
MS_A_GMAC = 25.0  # one core's milliseconds for a billion multiply-adds, where nothing was measured yet
BACKWARD = 3.0  # forward and backward cost three forwards
TRANSFORMERS = (  # trained with AdamW; others with SGD
    *("VisionTransformer", "ConvNeXt", "SwinTransformer", "Eva"),  # as timm names them
    *("Beit", "CLIP", "ConvNext", "ConvNextV2", "DeiT", "Dinov2", "Dinov2WithRegisters", "Siglip", "Swin", "Swinv2"),
    *("ViT", "ViTMSN", "IJepa", "Hiera"),  # as transformers does
)


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
    decided.setdefault("seed", (comparison or {}).get("seed", 0))  # the same test part stays unseen
    if strategy == "linear_head":
        decided["processes"] = 1  # nothing to share
    recipe: dict[str, Any] = {
        "dataset": dataset.id,
        "backbone": backbone,
        "strategy": strategy,
        "engine": settings.engine,
    }
    if strategy != "linear_head":
        recipe |= _recipe(card, len(dataset))
        recipe |= {name: value for name, (value, _) in fitting(dataset, decided["seed"]).items()}
        tried = symmetry.known(dataset.id, backbone, settings)
        recipe |= tried.fields if tried else {}  # mirrored and turned only where that was tried and does no harm
    measured = next((row for row in (comparison or {}).get("backbones", []) if row["id"] == backbone), None)
    plan = Plan.from_json(recipe | decided)
    if plan.engine not in engines():
        raise BadPlan(f"There is no engine {plan.engine[:80]!r}.", f"Choose one of: {', '.join(engines())}.")
    speed = "ms_per_picture" if strategy == "linear_head" else "torch_ms_per_picture"  # an engine does not train
    ms = measured.get(speed, measured["ms_per_picture"]) if measured else card.gmacs * MS_A_GMAC / settings.threads + 2
    forecast: dict[str, Any] = {"predicted_seconds": seconds(plan, dataset, ms)}
    if measured:
        low, high = measured["interval"]
        forecast |= {"predicted_accuracy": measured["accuracy"], "predicted_low": low, "predicted_high": high}
    return Plan.from_json(plan.as_json() | forecast)


def seconds(plan: Plan, dataset: Dataset, ms_per_picture: float) -> float:
    """Wall seconds a run should take, from the measured forward pass of its backbone."""
    forward = ms_per_picture / 1000
    if plan.strategy == "linear_head":
        return START + len(dataset) * forward
    parts = split(dataset, plan.seed)
    trained, watched = len(parts.of("train")), len(parts.of("select"))
    epoch = trained * forward * BACKWARD + watched * forward
    total = START + 2 * len(dataset) * forward + plan.epochs * epoch
    return min(total, START + plan.budget_seconds + epoch) if plan.budget_seconds else total


def _recipe(card: Card, pictures: int) -> dict[str, Any]:
    """Optimizer and rates that fit the family, rates for a batch of 32."""
    if card.family in TRANSFORMERS:
        rates = {"optimizer": "adamw", "learning_rate": 5e-5, "weight_decay": 0.05}
    else:
        rates = {"optimizer": "sgd", "learning_rate": 5e-3, "weight_decay": 1e-4}
    return rates | {"epochs": 10 if pictures < 2_000 else 20, "batch": 32}
