"""torchvision's GoogLeNet, VGG, ResNet and kin, from a local folder, torch's hub cache, or torchvision's own host.

A local folder is ``models/torchvision/NAME`` in the studio's home with a ``model.safetensors`` in it. torchvision's own
files are pickles: one is read only where its SHA-256 begins as its name says, and then by the reader that makes tensors
and nothing else. ResNet and VGG become timm's networks of the same name, weight by weight, so that what is trained from
them loads everywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import fetching, weights
from zoo.backbone import Card, Preprocessing
from zoo.errors import BackboneUnavailable
from zoo.network import crop_for
from zoo.settings import Settings, torch_cache

if TYPE_CHECKING:
    import torch
    from torch import nn

    from zoo.network import TimmBackbone

NAME = re.compile(r"([a-z0-9_]+?)(?:\.v([12]))?")
AS_TIMM = re.compile(r"(wide_)?resnet\d+(_2)?|resnext\d+_\d+x\d+d|vgg\d+(_bn)?")
TORCHVISION_RESULTS = "torchvision's weights metadata"
HALF = (0.5, 0.5, 0.5)  # GoogLeNet's: torchvision normalises once more inside the network, which comes to this
LARGEST = 2 << 30  # bytes of a download


@dataclass(frozen=True)
class Known:
    """Facts of a network worth suggesting, written down so that listing it needs no torch. A test recounts them."""

    name: str
    family: str
    dim: int
    taps: tuple[str, ...]
    params: float
    gmacs: float
    top1: float
    megabytes: float
    file: str
    preprocessing: Preprocessing = Preprocessing(size=224, interpolation="bilinear")


_GOOGLENET = Preprocessing(size=224, interpolation="bilinear", mean=HALF, std=HALF)
_SHARPER = Preprocessing(size=224, interpolation="bilinear", crop=224 / 232)
_INCEPTIONS = tuple(f"inception{name}" for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"))
_BASIC = ("act1", *(f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)), "head")
_DEEP = ("act1", *(f"layer{n}" for n in (1.1, 1.2, 2.1, 2.3, 3.0, 3.2, 3.4, 3.5, 4.1, 4.2)), "head")
CATALOG = (
    Known(
        "googlenet",
        "GoogLeNet",
        1024,
        ("conv1", "maxpool1", "maxpool2", *_INCEPTIONS, "head"),
        5.6,
        1.5,
        0.69778,
        52.1,
        "googlenet-1378be20.pth",
        _GOOGLENET,
    ),
    Known("resnet18", "ResNet", 512, _BASIC, 11.18, 1.81, 0.69758, 46.8, "resnet18-f37072fd.pth"),
    Known("resnet50", "ResNet", 2048, _DEEP, 23.51, 4.09, 0.80858, 102.5, "resnet50-11ad3fa6.pth", _SHARPER),
    Known(
        "vgg11",
        "VGG",
        4096,
        (*(f"features.{n}" for n in (1, 4, 7, 9, 12, 14, 17, 19, 20)), "head"),
        128.77,
        7.6,
        0.6902,
        531.5,
        "vgg11-8a719046.pth",
    ),
    Known(
        "vgg16",
        "VGG",
        4096,
        (*(f"features.{n}" for n in (1, 3, 8, 11, 15, 18, 20, 22, 27, 29, 30)), "head"),
        134.26,
        15.47,
        0.71592,
        553.4,
        "vgg16-397923af.pth",
    ),
)


class Torchvision:
    """The source ``torchvision``."""

    name = "torchvision"

    def cards(self, settings: Settings) -> Iterator[Card]:
        yield from (self.card(known.name, settings) for known in CATALOG)

    def card(self, name: str, settings: Settings) -> Card:
        known = next((known for known in CATALOG if known.name == name), None)
        card, file = (_from_catalog(known), known.file) if known else (_from_registry(name), _published(name).file)
        path = here(name, file, settings)
        return (
            card if path is None else replace(card, ready="cached", revision=weights.revision(path), download_mb=None)
        )

    def find(self, text: str, settings: Settings) -> Iterator[str]:
        """Names of torchvision's networks that hold ``text``."""
        from torchvision import models

        names = (name for name in models.list_models(module=models) if text in f"torchvision/{name}")
        yield from (name for name in names if _usable(name))

    def load(self, name: str, settings: Settings) -> TimmBackbone:
        from zoo.forward import device
        from zoo.network import TimmBackbone, ready

        self.card(name, settings)  # an unknown name ends here
        published = _published(name)
        path = here(name, published.file, settings) or _download(name, published, settings)
        card = self.card(name, settings)
        return TimmBackbone(card, ready(_filled(name, _read(path)), device()))


@dataclass(frozen=True)
class Published:
    """What torchvision says of its weights for a network."""

    url: str
    file: str
    top1: float
    megabytes: float
    preprocessing: Preprocessing


@cache
def _published(name: str) -> Published:
    """Raises BackboneUnavailable: torchvision has no such network."""
    from torchvision import models

    match = NAME.fullmatch(name)
    if not match or not _usable(match[1]):
        raise BackboneUnavailable(
            f"torchvision has no network called {name[:80]!r} that is read here.", "Try torchvision/googlenet."
        )
    versions = models.get_model_weights(match[1])
    chosen = next((row for row in versions if row.name.endswith(f"_V{match[2]}")), None) if match[2] else None
    row: Any = chosen or versions.DEFAULT
    shown = row.transforms()
    (size,), (side,) = shown.crop_size, shown.resize_size
    preprocessing = Preprocessing(
        size=size,
        crop=crop_for(size, side),
        interpolation=shown.interpolation.value,
        mean=HALF if match[1] == "googlenet" else tuple(shown.mean),
        std=HALF if match[1] == "googlenet" else tuple(shown.std),
    )
    top1 = row.meta["_metrics"]["ImageNet-1K"]["acc@1"] / 100
    megabytes = round(row.meta["_file_size"] * 2**20 / 1e6, 1)
    return Published(row.url, row.url.rpartition("/")[2], round(top1, 5), megabytes, preprocessing)


def _usable(name: str) -> bool:
    from torchvision import models

    from zoo.vision import READ

    known = name in models.list_models(module=models)
    return known and bool(AS_TIMM.fullmatch(name) or READ.fullmatch(name))


def here(name: str, file: str, settings: Settings) -> Path | None:
    """The weights on this disk: in the local folder, else in torch's hub cache, else None."""
    local = settings.home / "models" / "torchvision" / name / weights.WEIGHTS
    cached = torch_cache() / file
    return local if local.is_file() else cached if cached.is_file() else None


def _from_catalog(known: Known) -> Card:
    return Card(
        id=f"torchvision/{known.name}",
        family=known.family,
        dim=known.dim,
        taps=known.taps,
        preprocessing=known.preprocessing,
        params=known.params,
        gmacs=known.gmacs,
        licence="bsd-3-clause",
        ready="download",
        imagenet_top1=known.top1,
        imagenet_source=TORCHVISION_RESULTS,
        download_mb=known.megabytes,
    )


@cache
def _from_registry(name: str) -> Card:
    """Facts counted on the network built without memory (torch's meta device)."""
    import torch

    from zoo.network import counted
    from zoo.vision import Headed

    published = _published(name)
    with torch.device("meta"):
        model = _created(name)
    card = Card(
        id=f"torchvision/{name}",
        family=type(model.body if isinstance(model, Headed) else model).__name__,
        dim=0,
        taps=(),
        preprocessing=published.preprocessing,
        params=0.0,
        gmacs=0.0,
        licence="bsd-3-clause",
        ready="download",
        imagenet_top1=published.top1,
        imagenet_source=TORCHVISION_RESULTS,
        download_mb=published.megabytes,
    )
    return counted(card, model)


def _created(name: str) -> nn.Module:
    """timm's network of that name where it has the same, else torchvision's; random weights."""
    import timm

    from zoo.vision import create

    plain, _, version = name.partition(".v")
    if not AS_TIMM.fullmatch(plain):
        return create(plain)
    tags = [f"{plain}.tv2_in1k", f"{plain}.tv_in1k"] if version != "1" else [f"{plain}.tv_in1k"]
    tagged = next((tag for tag in tags if tag in timm.list_pretrained(f"{plain}.*")), plain)
    model: nn.Module = timm.create_model(tagged, pretrained=False)
    return model


def _filled(name: str, state: dict[str, torch.Tensor]) -> nn.Module:
    from zoo.vision import Headed

    model = _created(name)
    try:
        if isinstance(model, Headed):
            model.take({key: value for key, value in state.items() if not key.startswith(("aux1.", "aux2."))})
        else:
            model.load_state_dict(_renamed(state, model), strict=True)
    except (RuntimeError, KeyError) as error:
        raise BackboneUnavailable(
            f"The weights of {name} do not fit it: {str(error).splitlines()[0][:160]}.", "Fetch them again."
        ) from error
    return model


VGG = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}


def _renamed(state: dict[str, torch.Tensor], model: nn.Module) -> dict[str, torch.Tensor]:
    """``state`` under timm's names, which differ for the end of VGG only, where timm convolves."""
    wanted, result = model.state_dict(), dict[str, "torch.Tensor"]()
    for key, value in state.items():
        module, _, kind = key.rpartition(".")
        name = f"{VGG[module]}.{kind}" if module in VGG else key
        result[name] = value.reshape(wanted[name].shape) if module in VGG else value
    return result


def _read(path: Path) -> dict[str, torch.Tensor]:
    import pickle

    import torch

    if path.suffix == ".safetensors":
        return weights.read(path)
    prefix = path.stem.rpartition("-")[2]
    if not weights.revision(path).startswith(prefix):
        raise BackboneUnavailable(
            f"{path.name} is damaged or changed: its SHA-256 does not begin with {prefix}.", f"Delete {path}."
        )
    try:
        state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise BackboneUnavailable(f"{path.name} holds more than tensors.", f"Delete {path}.") from error
    return state


def _download(name: str, published: Published, settings: Settings) -> Path:
    import httpx2

    local = settings.home / "models" / "torchvision" / name
    remedy = f"Use an embedded backbone, or put {weights.WEIGHTS} into {local}."
    if settings.offline:
        raise BackboneUnavailable(f"The weights of {name} are not on this disk and the studio is offline.", remedy)
    target = torch_cache() / published.file
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.parent.mkdir(parents=True, exist_ok=True)
    try:
        with httpx2.stream("GET", published.url, timeout=10, follow_redirects=True) as answer, draft.open("wb") as file:
            answer.raise_for_status()
            for piece in fetching.paced(answer.iter_bytes(), lambda: httpx2.ReadError("too slow")):
                file.write(piece)
                if file.tell() > LARGEST:
                    raise BackboneUnavailable(f"The weights of {name} do not end.", remedy)
        prefix = target.stem.rpartition("-")[2]
        if not weights.revision(draft).startswith(prefix):
            raise BackboneUnavailable(f"What came for {name} is not its weights: another SHA-256.", remedy)
        os.replace(draft, target)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise BackboneUnavailable(f"The weights of {name} could not be fetched.", remedy) from error
    finally:
        draft.unlink(missing_ok=True)
    return target


SOURCE = Torchvision()
