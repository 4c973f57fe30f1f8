"""The weightless baseline: the picture itself, shrunk to a few pixels. Anything worth its weights must beat it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.backbone import Card, Picture, Preprocessing
from zoo.errors import BackboneUnavailable
from zoo.settings import Settings


@dataclass(frozen=True)
class PixelBackbone:
    """Features are the RGB values of a ``side`` × ``side`` miniature."""

    card: Card

    def prepare(self, picture: Picture) -> Picture:
        side = self.card.preprocessing.size
        return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX))

    def forward(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        return [batch.reshape(len(batch), -1).astype(np.float32) / np.float32(255)]


class Pixels:
    """The source ``pixels``."""

    name = "pixels"

    def cards(self, settings: Settings) -> Iterator[Card]:
        yield self.card("8x8", settings)

    def card(self, name: str, settings: Settings) -> Card:
        match = re.fullmatch(r"([1-9]\d?)x\1", name)
        if not match or int(match[1]) > 32:
            raise BackboneUnavailable(f"{name[:80]!r} is not a pixel baseline.", "Write pixels/8x8, up to 32x32.")
        side = int(match[1])
        return Card(
            id=f"pixels/{name}",
            family="baseline",
            dim=side * side * 3,
            taps=("pixels",),
            preprocessing=Preprocessing(size=side, crop=1.0, interpolation="box", squash=True),
            params=0.0,
            gmacs=0.0,
            licence="public-domain",
            ready="embedded",
            revision=f"pixels-{name}",
        )

    def load(self, name: str, settings: Settings) -> PixelBackbone:
        return PixelBackbone(self.card(name, settings))


SOURCE = Pixels()
