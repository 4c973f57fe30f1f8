"""A timm network as a frozen backbone: its preprocessing, its features at every depth, its trainable twin."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.backbone import Card, Picture, Preprocessing
from zoo.errors import BackboneUnavailable

if TYPE_CHECKING:
    import torch
    from torch import nn

RESAMPLING = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
HEAD = "head"  # the last tap: what the classifier layer reads


@dataclass(frozen=True)
class TimmBackbone:
    """A timm model without its classification head, frozen, in evaluation mode.

    ``classifier`` is the pretrained head that was taken off, (classes, dim) weights and (classes,) bias: what the
    pretraining's classes are is read from the last tap by it. None where there was no such head.
    """

    card: Card
    model: nn.Module
    classifier: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def prepare(self, picture: Picture) -> Picture:
        """(size, size, 3) uint8."""
        return fit(picture, self.card.preprocessing)

    def forward(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Each tap is the mean over its positions; the last is the pre-logits. No gradient is kept."""
        import torch

        with torch.inference_mode():
            return [tap.float().cpu().numpy() for tap in self.taps(torch.as_tensor(batch))]

    def taps(self, batch: torch.Tensor) -> list[torch.Tensor]:
        """What ``forward`` gives, as tensors of (B, size, size, 3) uint8: this can be exported."""
        x = normalised(batch, self.card.preprocessing, next(self.model.parameters()).device)
        final, taps = self.model.forward_intermediates(x, intermediates_only=False)  # type: ignore[operator]
        head = self.model.forward_head(final, pre_logits=True)  # type: ignore[operator]
        return [tap.mean(dim=(2, 3)) for tap in taps] + [head.flatten(1)]

    def network(self, classes: int) -> nn.Module:
        model = copy.deepcopy(self.model)
        model.reset_classifier(classes)  # type: ignore[operator]
        return model


def fit(picture: Picture, preprocessing: Preprocessing) -> Picture:
    """(size, size, 3): resized and cropped as timm's evaluation transform does, to the pixel."""
    height, width = picture.shape[:2]
    short = math.floor(preprocessing.size / preprocessing.crop)
    if preprocessing.squash:
        target = (short, short)
    elif width <= height:
        target = (short, int(short * height / width))
    else:
        target = (int(short * width / height), short)
    resized = Image.fromarray(picture)
    if target != resized.size:
        resized = resized.resize(target, RESAMPLING[preprocessing.interpolation])
    left, top = (round((side - preprocessing.size) / 2) for side in target)
    return np.asarray(resized.crop((left, top, left + preprocessing.size, top + preprocessing.size)))


def normalised(
    batch: NDArray[np.generic] | torch.Tensor, preprocessing: Preprocessing, device: torch.device
) -> torch.Tensor:
    """(B, 3, size, size) float32 in channels-last memory, from (B, size, size, 3) uint8."""
    import torch

    x = torch.as_tensor(batch).to(device).permute(0, 3, 1, 2)  # channels last already, no copy
    mean = torch.tensor(preprocessing.mean, device=device).view(1, 3, 1, 1) * 255
    std = torch.tensor(preprocessing.std, device=device).view(1, 3, 1, 1) * 255
    return (x.float() - mean) / std


def crop_for(size: int, side: int) -> float:
    """The ``crop`` of a preprocessing that resizes to ``side`` and crops to ``size``, exact after rounding."""
    crop = size / side
    return crop if math.floor(size / crop) == side else math.nextafter(crop, 0)


def preprocessing_of(model: nn.Module) -> Preprocessing:
    """The preprocessing a timm model was trained with.

    Raises:
        BackboneUnavailable: it needs one that the studio does not do.
    """
    from timm.data import resolve_data_config

    config = resolve_data_config({}, model=model)
    _, height, width = config["input_size"]
    known = config["interpolation"] in RESAMPLING and config["crop_mode"] in ("center", "squash")
    if height != width or not known or not 0 < config["crop_pct"] <= 1:
        raise BackboneUnavailable("This network wants its pictures prepared in an unusual way.", "Choose another.")
    return Preprocessing(
        size=height,
        crop=config["crop_pct"],
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
        squash=config["crop_mode"] == "squash",
    )


def classifier_of(model: nn.Module) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """The weights and bias of ``model``'s head if it is one linear layer of the pre-logits; before ``ready``."""
    import torch

    head = model.get_classifier()  # type: ignore[operator]
    if not isinstance(head, torch.nn.Linear) or head.bias is None:
        return None
    return head.weight.detach().float().cpu().numpy().copy(), head.bias.detach().float().cpu().numpy().copy()


def ready(model: nn.Module, device: torch.device) -> nn.Module:
    """``model`` without its head, frozen, laid out for convolution on ``device``."""
    import torch

    from zoo.depths import finer

    finer(model).reset_classifier(0)  # type: ignore[operator]
    model.requires_grad_(False).eval()
    return model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def measured(card: Card, model: nn.Module) -> Card:
    """``card`` with timm's preprocessing, and ``counted``."""
    return counted(replace(card, preprocessing=preprocessing_of(model)), model)


def counted(card: Card, model: nn.Module) -> Card:
    """``card`` with the facts that only the built network tells: dim, taps, parameters, multiply-adds.

    ``model`` may live on the meta device: nothing is computed, only counted.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from zoo.depths import finer

    preprocessing = card.preprocessing
    finer(model).reset_classifier(0)  # type: ignore[operator]
    model.requires_grad_(False).eval()
    x = torch.empty(1, 3, preprocessing.size, preprocessing.size, device=next(model.parameters()).device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        final, taps = model.forward_intermediates(x, intermediates_only=False)  # type: ignore[operator]
        head = model.forward_head(final, pre_logits=True)  # type: ignore[operator]
    return replace(
        card,
        dim=head.flatten(1).shape[1],
        taps=(*_tap_names(model, len(taps)), HEAD),
        params=millions(sum(p.numel() for p in model.parameters())),
        gmacs=round(counter.get_total_flops() / 2e9, 2),
    )


def millions(weights: int) -> float:
    """``weights`` in millions, as they are written down: to the hundredth, small networks to the hundred."""
    return round(weights / 1e6, 2 if weights >= 1e5 else 4)


def _tap_names(model: Any, count: int) -> list[str]:
    names = [entry.get("name", entry["module"]) for entry in getattr(model, "feature_info", [])]
    return names if len(names) == count else [f"blocks.{index}" for index in range(count)]
