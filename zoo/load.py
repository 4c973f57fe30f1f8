"""Opens a network that ends at an earlier tap, without the studio: ``network = load(folder)``.

The studio lays this file beside such a network's weights, because no loader of timm's or transformers' can build it.
It takes (B, 3, size, size), prepared as ``preprocessing`` in ``config.json`` says, and gives logits, one for each of
the ``label_names`` there.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn


class Network(nn.Module):
    """A body read at its taps, each pooled by its spatial mean, joined, then one linear layer."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        described = config["body"]
        self.kind = described.get("library", "timm" if "architecture" in described else "transformers")
        self.body = BODIES[self.kind](described)
        self.own = self.kind == "timm" and not config.get("modules")  # taps as timm numbers them
        if config["cut"] and self.own:
            self.body.prune_intermediate_layers([max(config["taps"])], prune_norm=True, prune_head=True)
        self.head = nn.Linear(config["num_features"], config["num_classes"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        taps, parts = self.config["taps"], list[torch.Tensor]()
        if self.own and not taps:
            final, maps = self.body.forward_features(x), list[torch.Tensor]()
        elif self.own:
            final, maps = self.body.forward_intermediates(x, indices=taps, stop_early=not self.config["last"])
        else:
            final, maps = self._watched(x)
        parts = [tap.mean(dim=(2, 3)) for tap in maps]
        if self.config["last"]:
            read = self.body.forward_head(final, pre_logits=True) if self.kind == "timm" else final
            parts.append(read.flatten(1))
        return self.head(torch.cat(parts, dim=1))  # type: ignore[no-any-return]

    def _watched(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        seen: dict[str, torch.Tensor] = {}
        names = self.config.get("modules", [])
        hooks = [
            self.body.get_submodule(name).register_forward_hook(
                lambda _m, _x, made, name=name: seen.update({name: made})
            )
            for name in names
        ]
        if self.kind != "timm":
            linear = [module for module in self.body.modules() if isinstance(module, nn.Linear)][-1]
            hooks.append(linear.register_forward_pre_hook(lambda _m, given: seen.update({"": given[0]})))
        try:
            if self.kind == "timm":
                made = seen[""] = self.body.forward_features(x)
            else:
                made = self.body(x, output_hidden_states=True) if self.kind == "transformers" else self.body(x)
        finally:
            for hook in hooks:
                hook.remove()
        maps = [patches(first(seen[name])) for name in names] or [
            patches(made.hidden_states[tap]) for tap in self.config["taps"]
        ]
        return seen[""], maps


def first(made: Any) -> torch.Tensor:
    """What a module gives, of a tuple its first."""
    return made[0] if isinstance(made, tuple) else made  # type: ignore[no-any-return]


def patches(state: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) of a hidden state; of tokens (B, T, C) the patches: a square, after class token and registers."""
    if state.ndim == 4:
        return state
    start = state.shape[1] - math.isqrt(state.shape[1]) ** 2
    return state[:, start:].transpose(1, 2).unsqueeze(-1)


def _timm(described: dict[str, Any]) -> Any:
    import timm

    body: Any = timm.create_model(described["architecture"], pretrained=False, num_classes=0, **described["model_args"])
    if "stages" in described:  # taps are numbered by these, of which timm by itself tells of some only
        body.stage_ends = list(range(1, described["stages"] + 1))
        body.feature_info = [{"num_chs": stage[-1].feature_info("bottleneck")["num_chs"]} for stage in body.blocks]
    return body


def _transformers(described: dict[str, Any]) -> Any:
    from transformers import CONFIG_MAPPING, AutoModelForImageClassification

    config = CONFIG_MAPPING[described["model_type"]].from_dict(described)
    return AutoModelForImageClassification.from_config(config, trust_remote_code=False)


def _torchvision(described: dict[str, Any]) -> Any:
    from torchvision import models

    name = described["architecture"]
    more: dict[str, Any] = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    return models.get_model(name, weights=None, **more)


BODIES = {"timm": _timm, "transformers": _transformers, "torchvision": _torchvision}


def load(folder: str | Path) -> Network:
    """The network in ``folder``, in evaluation mode. What follows its deepest tap may be random: nothing reads it."""
    folder = Path(folder)
    network = Network(json.loads((folder / "config.json").read_text()))
    state = load_file(folder / "model.safetensors")
    if network.kind != "timm":
        state = {name.replace("body.body.", "body.", 1): value for name, value in state.items()}
    missing, left_over = network.load_state_dict(state, strict=False)
    if left_over or (network.own and missing) or any(name.startswith("head.") for name in missing):
        raise ValueError(f"these weights are not those of {folder}: {left_over or missing}")
    return network.eval()
