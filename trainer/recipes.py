"""Optimizer, rates and lengths that fit a family, a strategy, and how much data there is, like or unlike."""

from __future__ import annotations

from typing import Any

from trainer.anatomy import Anatomy
from zoo.backbone import Card

TRANSFORMERS = (  # trained with AdamW; others with SGD
    *("VisionTransformer", "ConvNeXt", "SwinTransformer", "Eva"),  # as timm names them
    *("Beit", "CLIP", "ConvNext", "ConvNextV2", "DeiT", "Dinov2", "Dinov2WithRegisters", "Siglip", "Swin", "Swinv2"),
    *("ViT", "ViTMSN", "IJepa", "Hiera"),  # as transformers does
)
BATCH = 32
SEEN = (20_000, 500_000)  # pictures that training sees in all, at least and at most, where nothing is budgeted
EPOCHS = (3, 10)  # of fine-tuning from a fitted head on little data; early stopping ends it sooner
LITTLE = 2_000  # pictures


def recipe(strategy: str, card: Card, anatomy: Anatomy, pictures: int, cell: str, best_tap: str = "") -> dict[str, Any]:
    """Fields of a plan.

    Args:
        pictures: in the training part.
        cell: where the dataset stands on the map, as "little, unlike"; "" where that was not measured.
        best_tap: the one whose features a comparison found best; "" for none.
    """
    if strategy in ("linear_head", "earlier_layer"):
        return {}
    unlike = cell.endswith("unlike")
    if card.family in TRANSFORMERS or strategy == "lora":
        rates: dict[str, Any] = {"optimizer": "adamw", "learning_rate": 1e-4 * BATCH / 64, "weight_decay": 0.05}
    else:
        rates = {"optimizer": "sgd", "learning_rate": 0.01 * BATCH / 64, "weight_decay": 1e-4}
    rates |= {"layer_decay": 0.9 if unlike else 0.75, "batch": BATCH}
    if unlike:
        rates["learning_rate"] *= 3
    match strategy:
        case "last_blocks":
            earlier, tap = card.taps[:-1], anatomy.deep()
            if unlike:  # what serves best as it is stays as it is
                tap = min(tap, earlier.index(best_tap)) if best_tap in earlier else anatomy.early()
            rates |= {"cut": earlier[tap] if earlier else "", "views": 2 if pictures < LITTLE else 4}
            rates |= {"epochs": 5, "patience": 2} if pictures < LITTLE else {"epochs": _epochs(pictures)}
        case "lora":
            rates |= {"learning_rate": 10 * rates["learning_rate"], "layer_decay": 1.0, "epochs": _epochs(pictures)}
        case _:
            rates["epochs"] = _epochs(pictures)
    return rates


def _epochs(pictures: int) -> int:
    """So that between 20,000 and 500,000 pictures are seen, 20 times each if possible; little data needs fewer."""
    if pictures < LITTLE:
        return EPOCHS[1]
    seen = min(max(20 * pictures, SEEN[0]), SEEN[1])
    return max(EPOCHS[0], min(20, round(seen / pictures)))
