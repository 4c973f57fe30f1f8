"""A backbone: the facts on its card, and a frozen network that turns pictures into features at every depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from zoo.settings import Settings

if TYPE_CHECKING:
    from torch import nn

Picture = NDArray[np.uint8]  # (H, W, 3), RGB, upright

COMMERCIAL = {"apache-2.0": True, "mit": True, "bsd-3-clause": True, "cc-by-4.0": True, "public-domain": True}
COMMERCIAL |= {"cc-by-nc-4.0": False, "cc-by-nc-sa-4.0": False}


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a picture becomes the network's input: resize the shorter side, crop the centre, normalise.

    Attributes:
        size: input side in pixels.
        crop: ``size`` divided by the side resized to.
        interpolation: "bicubic", "bilinear" or "nearest", antialiased as Pillow does.
        mean, std: per channel, of values in 0…1.
        squash: resize both sides, changing the aspect ratio, instead of the shorter one.
    """

    size: int
    crop: float = 0.875
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    squash: bool = False


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of a backbone without loading it.

    Attributes:
        id: ``source/name``.
        dim: length of the last tap's features.
        taps: names of the depths at which features are read, first to last; the last is the pre-logits.
        params: millions of parameters, without a classification head.
        gmacs: billions of multiply-adds a picture, at the input size.
        licence: SPDX-like, lower case, "unknown" where it is not stated.
        imagenet_top1: published ImageNet-1k accuracy in 0…1, and where it is from; None where unknown.
        revision: SHA-256 of the weights, "" until they are here.
        ready: "embedded" (in the installation), "cached" (on this disk) or "download" (needs a hub).
        download_mb: what a download would fetch, None where unknown or nothing.
    """

    id: str
    family: str
    dim: int
    taps: tuple[str, ...]
    preprocessing: Preprocessing
    params: float
    gmacs: float
    licence: str
    ready: str
    revision: str = ""
    imagenet_top1: float | None = None
    imagenet_source: str = ""
    download_mb: float | None = None

    @property
    def source(self) -> str:
        return self.id.partition("/")[0]

    @property
    def name(self) -> str:
        return self.id.partition("/")[2]

    @property
    def commercial(self) -> bool | None:
        """Whether the licence allows commercial use; None where that is not known."""
        return COMMERCIAL.get(self.licence)

    def as_row(self) -> dict[str, Any]:
        """The card as ``python -m zoo list --json`` prints it."""
        row = asdict(self)
        preprocessing = row.pop("preprocessing")
        return row | {
            "source": self.source,
            "image_size": preprocessing["size"],
            "commercial": self.commercial,
            "taps": list(self.taps),
        }


@runtime_checkable
class Backbone(Protocol):
    """A loaded, frozen network (or, for the baseline, no network at all)."""

    @property
    def card(self) -> Card: ...

    def prepare(self, picture: Picture) -> NDArray[np.generic]:
        """One picture made ready for a batch: resized and cropped, all pictures to one shape."""
        ...

    def forward(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """Features of B prepared pictures: for each tap, first to last, (B, D_tap)."""
        ...


@runtime_checkable
class Trainable(Backbone, Protocol):
    """A backbone that can also be fine-tuned, because it is a torch network inside."""

    def network(self, classes: int) -> nn.Module:
        """The whole network with a fresh linear head for ``classes``; the frozen copy is left alone."""
        ...


@runtime_checkable
class Source(Protocol):
    """Where backbones come from. One file in ``zoo/sources`` offers one as ``SOURCE``."""

    name: str

    def cards(self, settings: Settings) -> Iterator[Card]:
        """Every backbone that can be named here, cheapest first, without importing torch where possible."""
        ...

    def card(self, name: str, settings: Settings) -> Card:
        """The card of ``name``.

        Raises:
            BackboneUnavailable: there is no such backbone.
        """
        ...

    def load(self, name: str, settings: Settings) -> Backbone:
        """The frozen network.

        Raises:
            BackboneUnavailable: its weights cannot be had here; the message says what to do.
        """
        ...


def stack(backbone: Backbone, pictures: Sequence[Picture]) -> NDArray[np.generic]:
    """(B, …): ``pictures`` prepared for ``backbone.forward``."""
    return np.stack([backbone.prepare(picture) for picture in pictures])
