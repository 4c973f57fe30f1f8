"""Networks of other libraries behind the few methods that timm's networks have; torchvision's through forward hooks.

This module imports torch: import it inside functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from zoo.errors import BackboneUnavailable

INCEPTIONS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
READ = re.compile(r"googlenet|alexnet|mobilenet_v\d\w*|efficientnet_\w+|densenet\d+|convnext_\w+")
GOOGLENET = ("conv1", "maxpool1", "maxpool2", *(f"inception{name}" for name in INCEPTIONS))


class Headed(nn.Module):
    """A network whose last linear layer stands apart from its body.

    Attributes:
        body: gives (B, D), what the last layer reads.
        head: that layer, or an identity where there are no classes.
        place: the name the layer has in its own library.
        architecture: the name its own library builds it by.
        feature_info: names of the taps before the head, as timm's networks list theirs.
    """

    def __init__(self, body: nn.Module, stages: Sequence[str], architecture: str = "") -> None:
        super().__init__()
        self.architecture = architecture
        linear = [name for name, module in body.named_modules() if isinstance(module, nn.Linear)]
        if not linear:
            raise BackboneUnavailable("This network does not end in a linear layer.", "Choose another backbone.")
        self.place = linear[-1]
        self.head: nn.Module = body.get_submodule(self.place)
        self.num_features = int(self.head.in_features)  # type: ignore[arg-type]
        body.set_submodule(self.place, nn.Identity())
        self.body = body
        self.feature_info = [{"module": name} for name in stages]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.forward_features(x))  # type: ignore[no-any-return]

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, D): what the last layer reads."""
        return self.body(x)  # type: ignore[no-any-return]

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        return x if pre_logits else self.head(x)

    def forward_intermediates(
        self, x: torch.Tensor, intermediates_only: bool = False
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """What the last layer reads, and every tap as (B, C, H, W), in one pass."""
        seen: dict[str, torch.Tensor] = {}

        def keep(name: str) -> Callable[..., None]:
            return lambda _module, _given, made: seen.__setitem__(name, made)

        names = [entry["module"] for entry in self.feature_info]
        hooks = [self.body.get_submodule(name).register_forward_hook(keep(name)) for name in names]
        try:
            final = self.forward_features(x)
        finally:
            for hook in hooks:
                hook.remove()
        return final, [seen[name] for name in names]

    def get_classifier(self) -> nn.Module:
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """A fresh last layer; none for 0 classes."""
        where = next(self.body.parameters()).device
        self.head = nn.Linear(self.num_features, num_classes, device=where) if num_classes else nn.Identity()

    def group_matcher(self, coarse: bool = False) -> Callable[[str], float]:
        """The number of the block a parameter belongs to, 0 for what comes before them, for layer-wise rates."""
        number, numbers = 0.0, dict[str, float]()
        blocks = self.blocks()
        for name, _ in self.body.named_parameters():
            found = [index for index, block in enumerate(blocks, 1) if name.startswith(f"{block}.")]
            number = found[0] if found else (number if number == 0 else float("inf"))
            numbers[f"body.{name}"] = number
        return lambda name: numbers.get(name, float("inf"))

    def blocks(self) -> list[str]:
        """Names of the blocks whose learning rates differ, first to last: the body's parts that have parameters."""
        parts = getattr(self.body, "features", None)
        within, prefix = (parts, "features.") if isinstance(parts, nn.Sequential) else (self.body, "")
        return [prefix + name for name, part in within.named_children() if any(True for _ in part.parameters())]

    def named_state(self) -> dict[str, torch.Tensor]:
        """Every weight under the name it has in its own library."""
        last = {f"{self.place}.{name}": value for name, value in self.head.state_dict().items()}
        return dict(self.body.state_dict()) | last

    def take(self, state: Mapping[str, torch.Tensor]) -> None:
        """Weights as ``named_state`` gives them, every one.

        Raises:
            RuntimeError: one is missing, left over, or of another shape.
        """
        prefix = f"{self.place}."
        self.body.load_state_dict({k: v for k, v in state.items() if not k.startswith(prefix)}, strict=True)
        last = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        self.head.load_state_dict(last, strict=True)


def create(name: str, classes: int = 1000) -> Headed:
    """torchvision's architecture ``name`` with random weights.

    GoogLeNet's auxiliary classifiers are left out: torchvision's weights never trained them.

    Raises:
        BackboneUnavailable: it has none of that name, or one that cannot be read at every depth.
    """
    from torchvision import models

    if not READ.fullmatch(name) or name not in models.list_models(module=models):
        raise BackboneUnavailable(
            f"torchvision has no network called {name[:80]!r} that is read here.", "Try torchvision/googlenet."
        )
    more: dict[str, Any] = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    body = models.get_model(name, weights=None, num_classes=classes, **more)
    return Headed(body, _stages(name, body), name)


def _stages(name: str, body: nn.Module) -> list[str]:
    """Where the features of a torchvision network are read."""
    if name == "googlenet":
        return list(GOOGLENET)
    parts = body.get_submodule("features")
    pools = [key for key, part in parts.named_children() if isinstance(part, nn.MaxPool2d)]
    return [f"features.{key}" for key in (pools if len(pools) > 2 else dict(parts.named_children()))]
