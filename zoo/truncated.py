"""A network that ends at an earlier tap, or joins several: what it computes past the last of them is gone.

Where timm can build the same by arguments of its own (fewer blocks of a vision transformer, fewer stages of a ResNet)
the result is timm's network; elsewhere it is a ``Truncated``, which answers the same few methods.
This module imports torch: import it inside functions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from zoo.depths import drop_after
from zoo.errors import BackboneUnavailable
from zoo.tokens import Tokens
from zoo.vision import Headed

ALIKE = 1e-4  # largest difference, as a share of the largest feature, between the whole network's taps and the cut's


class Truncated(nn.Module):
    """A body read at ``taps``, each pooled by its spatial mean and joined, then a linear layer.

    Attributes:
        taps: ascending numbers of the body's taps, without its last one.
        last: what the body's own last layer reads is joined too; then nothing can be cut off.
        cut: whether the body has lost what comes after the deepest tap.
    """

    def __init__(self, body: nn.Module, taps: Sequence[int], last: bool, cut: bool, dim: int) -> None:
        super().__init__()
        self.body = body
        self.taps, self.last, self.cut = tuple(taps), last, cut
        self.num_features = dim
        self.head: nn.Module = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.forward_features(x))  # type: ignore[no-any-return]

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, D): the joined taps."""
        return self.forward_intermediates(x)[0]

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        return x if pre_logits else self.head(x)

    def forward_intermediates(
        self, x: torch.Tensor, intermediates_only: bool = False
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """What the last layer reads, and each of the taps as (B, C, H, W)."""
        final, maps = self._read(x)
        parts = [tap.mean(dim=(2, 3)) for tap in maps]
        if self.last:
            parts.append(self.body.forward_head(final, pre_logits=True).flatten(1))  # type: ignore[operator]
        return torch.cat(parts, dim=1), maps

    def get_classifier(self) -> nn.Module:
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """A fresh last layer; none for 0 classes."""
        where = next(self.body.parameters()).device
        self.head = nn.Linear(self.num_features, num_classes, device=where) if num_classes else nn.Identity()

    def group_matcher(self, coarse: bool = False) -> Callable[[str], float]:
        """The body's own groups of layers, for layer-wise rates; the head comes last."""
        from timm.models import group_parameters

        groups = group_parameters(self.body, self.body.group_matcher(coarse=coarse))  # type: ignore[operator]
        numbers = {f"body.{name}": float(number) for number, names in groups.items() for name in names}
        return lambda name: numbers.get(name, float("inf"))

    def _read(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        if isinstance(self.body, Headed):
            final, maps = self.body.forward_intermediates(x)
            return final, [maps[tap] for tap in self.taps]
        if not self.taps:
            return self.body.forward_features(x), []  # type: ignore[operator]
        made = self.body.forward_intermediates(  # type: ignore[operator]
            x, indices=list(self.taps), stop_early=not self.last, intermediates_only=not self.last
        )
        return made if self.last else (x, made)


def truncated(network: nn.Module, taps: Sequence[int], count: int, size: int, classes: int) -> nn.Module:
    """``network``, which is used up, read at ``taps`` alone and cut behind the deepest, with a fresh last layer.

    Args:
        taps: numbers of the card's taps; ``count - 1`` is what the network's own last layer reads.
        count: how many the card has.
        size: side of the network's input.

    Raises:
        BackboneUnavailable: the network cannot be read at one of them.
    """
    inner, last = sorted({tap for tap in taps if tap < count - 1}), count - 1 in taps
    network.reset_classifier(0)  # type: ignore[operator]
    network.eval()
    where = next(network.parameters()).device
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)).to(where)
    with torch.no_grad():  # not inference mode: what is made here has to be able to learn and to be written
        whole = Truncated(network, inner, last, cut=False, dim=0)
        seen = whole.forward_features(x)
        whole.num_features = seen.shape[1]
        found = whole if last else _smallest(whole, x, seen)
    found.reset_classifier(classes)  # type: ignore[operator]
    return found


def rebuilt(body: nn.Module, taps: Sequence[int], last: bool, cut: bool, dim: int, classes: int) -> Truncated:
    """The ``Truncated`` that was described so, from its whole ``body``, its weights still to be taken.

    Raises:
        BackboneUnavailable: the body cannot be cut there.
    """
    body.reset_classifier(0)  # type: ignore[operator]
    model = Truncated(cut_after(body, max(taps)) if cut else body, taps, last, cut, dim)
    model.reset_classifier(classes)
    return model


def cut_after(body: nn.Module, tap: int) -> nn.Module:
    """``body`` without what comes after ``tap``: changed in place.

    Raises:
        BackboneUnavailable: it has no such tap, or nothing can be cut off there.
    """
    try:
        if isinstance(body, Headed):
            drop_after(body.body, place_of(body, tap).removeprefix("body."))
            body.feature_info = body.feature_info[: tap + 1]
        else:
            body.prune_intermediate_layers([tap], prune_norm=True, prune_head=True)  # type: ignore[operator]
    except (AttributeError, AssertionError, IndexError, TypeError, ValueError) as error:
        raise BackboneUnavailable("This network cannot be cut there.", "Choose another tap.") from error
    return body


def place_of(network: nn.Module, tap: int) -> str:
    """The name of the module whose output is ``tap``.

    Raises:
        BackboneUnavailable: there is none.
    """
    if isinstance(network, Tokens) and not network.within:
        names = ["embeddings", *network.blocks()]
        inside = [name for name, _ in network.body.named_modules() if name.endswith("embeddings")]
        names[0] = inside[0] if inside else names[0]
        names = [f"body.{name}" for name in names]
    else:
        start = "body." if isinstance(network, Headed) else ""
        names = [start + entry["module"] for entry in getattr(network, "feature_info", [])]
    modules = dict(network.named_modules())
    if not 0 <= tap < len(names) or names[tap] not in modules:
        raise BackboneUnavailable("This network has no such tap.", "Choose another tap.")
    return names[tap]


def _smallest(whole: Truncated, x: torch.Tensor, seen: torch.Tensor) -> nn.Module:
    """timm's own network that gives ``seen`` for ``x``, else the body cut off, else ``whole``."""
    for make in (_as_timm, _cut):
        try:
            made = make(whole)
            if made is not None and alike(made.forward_features(x), made, seen):  # type: ignore[operator]
                return made
        except (BackboneUnavailable, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError):
            continue  # then the next best
    return whole


def alike(features: torch.Tensor, model: nn.Module, seen: torch.Tensor) -> bool:
    """Whether ``model`` makes of ``features`` what was ``seen``, to rounding."""
    made = model.forward_head(features, pre_logits=True).flatten(1)  # type: ignore[operator]
    return made.shape == seen.shape and bool((made - seen).abs().max() <= ALIKE * seen.abs().max())


def _cut(whole: Truncated) -> nn.Module:
    body = cut_after(copy.deepcopy(whole.body), max(whole.taps))
    return Truncated(body, whole.taps, last=False, cut=True, dim=whole.num_features)


def _as_timm(whole: Truncated) -> nn.Module | None:
    """The same by arguments of timm's own; None for more than one tap, and for families that have no such arguments."""
    import timm

    body: Any = whole.body
    if len(whole.taps) != 1:
        return None
    tap, kind = whole.taps[0], type(body).__name__
    if kind == "VisionTransformer":
        arguments: dict[str, Any] = {"depth": tap + 1, "global_pool": "avg", "final_norm": False}
    elif kind == "ResNet" and tap >= 1:
        arguments = _shorter(body, body.feature_info[tap]["module"])
    else:
        return None
    known = getattr(body, "_model_args", {}) | arguments
    known = {key: value for key, value in known.items() if key != "num_classes" and isinstance(value, (int, str, list))}
    model: nn.Module = timm.create_model(body.pretrained_cfg["architecture"], num_classes=0, **known)
    names = model.state_dict().keys()
    model.load_state_dict({key: value for key, value in body.state_dict().items() if key in names}, strict=True)
    where = next(body.parameters()).device
    return model.to(device=where, memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]


def _shorter(body: Any, name: str) -> dict[str, Any]:
    """timm's arguments for a ResNet that ends with its module ``name``: "layer3", or the block "layer3.1"."""
    stage, _, block = name.removeprefix("layer").partition(".")
    layers = [getattr(body, f"layer{number}") for number in (1, 2, 3, 4)]
    last = int(stage) - 1
    counts = [len(layer) if number < last else 0 for number, layer in enumerate(layers)]
    counts[last] = int(block) + 1 if block else len(layers[last])
    expansion = layers[0][0].expansion
    widths = [layer[0].conv1.in_channels if number else 0 for number, layer in enumerate(layers)][1:]
    widths.append(body.num_features)
    return {"layers": counts, "channels": [min(width, widths[last]) // expansion for width in widths]}
