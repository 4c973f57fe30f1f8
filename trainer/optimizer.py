"""The optimizer of a fine-tuning: rates that fall towards the stem, and a schedule that warms up and cools down."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from trainer.plan import Plan

if TYPE_CHECKING:
    import torch
    from torch import nn


def share_of_rate(step: int, steps: int) -> float:
    """Share of the learning rate: a linear rise over the first tenth, then half a cosine to 0."""
    warm = max(1, steps // 10)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))


def optimizer_for(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """Layer-wise decay (Clark et al. 2020) with the factor normalised to 13 groups of layers, whatever the depth."""
    import torch
    from timm.optim import param_groups_layer_decay

    decay = plan.layer_decay ** (13 / max(depth(network) - 1, 1))
    groups: list[dict[str, Any]] = param_groups_layer_decay(network, plan.weight_decay, layer_decay=decay)
    for group in groups:
        group["lr"] = plan.learning_rate * group.pop("lr_scale")
    if plan.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=plan.learning_rate, momentum=0.9)
    return torch.optim.AdamW(groups, lr=plan.learning_rate)


def depth(network: Any) -> int:
    """Groups of layers whose rates differ."""
    from timm.models import group_parameters

    return (
        len(set(group_parameters(network, network.group_matcher(coarse=False))))
        if hasattr(network, "group_matcher")
        else 13
    )
