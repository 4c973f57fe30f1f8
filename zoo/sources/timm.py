"""Any timm model, its weights from a local folder, this disk's hub cache, or a hub that answers.

A local folder is ``models/NAME`` in the studio's home with a ``model.safetensors`` in it. Only safetensors are read:
a pickled checkpoint can run code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import fetching, weights
from zoo.backbone import Card, Preprocessing
from zoo.errors import BackboneUnavailable
from zoo.settings import Settings

if TYPE_CHECKING:
    from torch import nn

    from zoo.network import TimmBackbone

NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)?")
TIMM_RESULTS = "timm's results-imagenet.csv"
BLOCKS = tuple(f"blocks.{index}" for index in range(12))


@dataclass(frozen=True)
class Known:
    """Facts of a model worth suggesting, written down so that listing it needs no torch. A test recounts them."""

    name: str
    family: str
    dim: int
    taps: tuple[str, ...]
    params: float
    gmacs: float
    licence: str
    top1: float
    megabytes: float
    preprocessing: Preprocessing = Preprocessing(size=224)


_STAGES = (*(f"blocks.{stage}" for stage in range(7)), "head")
_HALF = Preprocessing(size=224, crop=0.9, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
_TORCHVISION = Preprocessing(size=224, interpolation="bilinear")
CATALOG = (
    Known("mobilenetv3_large_100.ra_in1k", "MobileNetV3", 1280, _STAGES, 4.2, 0.22, "apache-2.0", 0.7577, 22),
    Known("efficientnet_b0.ra_in1k", "EfficientNet", 1280, _STAGES, 4.01, 0.38, "apache-2.0", 0.7769, 21),
    Known(
        "regnety_004.tv2_in1k",
        "RegNet",
        440,
        (
            "stem",
            "s1.b1",
            *(f"s{name}" for name in ("2.b2", "2.b3", "3.b2", "3.b4", "3.b6", "4.b1", "4.b3", "4.b5", "4.b6")),
            "head",
        ),
        3.9,
        0.4,
        "bsd-3-clause",
        0.7560,
        17,
        Preprocessing(size=224, crop=0.965),
    ),
    Known(
        "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        "VisionTransformer",
        192,
        (*BLOCKS, "head"),
        5.52,
        1.25,
        "apache-2.0",
        0.7545,
        23,
        _HALF,
    ),
    Known(
        "densenet121.tv_in1k",
        "DenseNet",
        1024,
        ("features.norm0", *(f"features.denseblock{n}" for n in (1, 2, 3)), "features.norm5", "head"),
        6.95,
        2.83,
        "apache-2.0",
        0.7476,
        32,
    ),
    Known(
        "resnet50.tv_in1k",
        "ResNet",
        2048,
        ("act1", *(f"layer{n}" for n in (1.1, 1.2, 2.1, 2.3, 3.0, 3.2, 3.4, 3.5, 4.1, 4.2)), "head"),
        23.51,
        4.09,
        "bsd-3-clause",
        0.7613,
        102,
        _TORCHVISION,
    ),
    Known(
        "vgg16_bn.tv_in1k",
        "VGG",
        4096,
        (*(f"features.{n}" for n in (2, 5, 12, 16, 22, 26, 29, 32, 39, 42, 43)), "head"),
        134.27,
        15.47,
        "bsd-3-clause",
        0.7337,
        553,
        _TORCHVISION,
    ),
)


class Timm:
    """The source ``timm``."""

    name = "timm"

    def cards(self, settings: Settings) -> Iterator[Card]:
        """The catalog, and every model of the local folder."""
        yield from (self.card(known.name, settings) for known in CATALOG)
        folder = settings.home / "models"
        known_names = {known.name for known in CATALOG}
        for path in sorted(folder.glob(f"*/{weights.WEIGHTS}")):
            if NAME.fullmatch(path.parent.name) and path.parent.name not in known_names:
                try:
                    yield self.card(path.parent.name, settings)
                except BackboneUnavailable:
                    continue  # asked for by its id, it says why

    def find(self, text: str, settings: Settings) -> Iterator[str]:
        """Names of all of timm's pretrained models that hold ``text``."""
        import timm

        yield from (name for name in timm.list_pretrained() if text in f"timm/{name}")

    def card(self, name: str, settings: Settings) -> Card:
        card = next((_from_catalog(known) for known in CATALOG if known.name == name), None) or _from_registry(name)
        path = here(name, settings)
        return card if path is None else _cached(card, path)

    def load(self, name: str, settings: Settings) -> TimmBackbone:
        from zoo.forward import device
        from zoo.network import TimmBackbone, ready

        self.card(name, settings)  # an unknown name ends here, before a hub is asked for it
        path = here(name, settings)
        if path is None:
            remedy = f"Use an embedded backbone, or put {weights.WEIGHTS} into {settings.home / 'models' / name}."
            path = fetching.fetch(f"timm/{name}", weights.WEIGHTS, settings, remedy)
        return TimmBackbone(self.card(name, settings), ready(_create(name, path), device()))


def here(name: str, settings: Settings) -> Path | None:
    """The weights' file on this disk: in the local folder, else in the hub's cache, else None."""
    local = settings.home / "models" / name / weights.WEIGHTS
    return local if local.is_file() else weights.cached(f"timm/{name}", weights.WEIGHTS)


def _cached(card: Card, path: Path) -> Card:
    return replace(card, ready="cached", revision=weights.revision(path), download_mb=None)


def _from_catalog(known: Known) -> Card:
    return Card(
        id=f"timm/{known.name}",
        family=known.family,
        dim=known.dim,
        taps=known.taps,
        preprocessing=known.preprocessing,
        params=known.params,
        gmacs=known.gmacs,
        licence=known.licence,
        ready="download",
        imagenet_top1=known.top1,
        imagenet_source=TIMM_RESULTS,
        download_mb=known.megabytes,
    )


@cache
def _from_registry(name: str) -> Card:
    """Facts counted on the network built without memory (torch's meta device)."""
    import timm
    import torch

    from zoo.network import measured

    if not NAME.fullmatch(name) or not timm.is_model(name) or not timm.models.get_pretrained_cfg(name):
        raise BackboneUnavailable(f"timm has no model called {name[:80]!r}.", "Look the name up in timm.list_models().")
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False)
    config: Any = model.pretrained_cfg
    full = sum(parameter.numel() for parameter in model.parameters())
    card = Card(
        id=f"timm/{name}",
        family=type(model).__name__,
        dim=0,
        taps=(),
        preprocessing=Preprocessing(size=224),
        params=0.0,
        gmacs=0.0,
        licence=str(config.get("license") or "unknown").lower(),
        ready="download",
        download_mb=round(full * 4 / 1e6, 1),
    )
    return measured(card, model)


def _create(name: str, path: Path) -> nn.Module:
    import timm

    state = weights.read(path)
    try:
        model: nn.Module = timm.create_model(
            name, pretrained=True, pretrained_cfg_overlay={"state_dict": state, "custom_load": False}
        )
    except RuntimeError as error:
        raise BackboneUnavailable(
            f"The weights of {name} do not fit it: {str(error).splitlines()[0][:160]}.",
            f"Delete {path} and fetch them again.",
        ) from error
    held: Any = model
    held.pretrained_cfg.pop("state_dict")  # or every copy of the network would carry them along once more
    return model


SOURCE = Timm()
