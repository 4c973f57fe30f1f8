"""What training shows instead of a picture: another crop, turned, mirrored. A preview shows it to the person."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from trainer.job import Job
from trainer.plan import Plan
from zoo.backbone import Picture, Preprocessing
from zoo.network import RESAMPLING, fit

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Augmentation:
    """Turned by up to ``rotate`` degrees, a random crop of at least ``crop`` of the area, mirrored half of the time."""

    preprocessing: Preprocessing
    crop: float
    flip: bool
    rotate: float = 0.0

    @classmethod
    def of(cls, plan: Plan, preprocessing: Preprocessing) -> Augmentation:
        return cls(preprocessing, plan.crop, plan.flip, plan.rotate)

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """(size, size, 3) uint8."""
        if self.rotate:
            picture = self._turned(picture, rng.uniform(-self.rotate, self.rotate))
        if self.crop >= 1:
            seen = fit(picture, self.preprocessing)
        else:
            box = crop_box(picture.shape[0], picture.shape[1], self.crop, rng, self.preprocessing.squash)
            size = (self.preprocessing.size, self.preprocessing.size)
            how = RESAMPLING[self.preprocessing.interpolation]
            seen = np.asarray(Image.fromarray(picture).resize(size, how, box=box))
        return np.ascontiguousarray(seen[:, ::-1]) if self.flip and rng.random() < 0.5 else seen

    def _turned(self, picture: Picture, degrees: float) -> Picture:
        """Corners that come into sight are filled with the colour that the network takes for nothing."""
        red, green, blue = (round(255 * share) for share in self.preprocessing.mean)
        turned = Image.fromarray(picture).rotate(degrees, Image.Resampling.BILINEAR, fillcolor=(red, green, blue))
        return np.asarray(turned)


def crop_box(height: int, width: int, least: float, rng: np.random.Generator, squash: bool = False) -> Box:
    """Left, upper, right, lower of a random crop with an aspect ratio between 3:4 and 4:3 (Szegedy et al. 2015).

    With ``squash`` the ratio is that of the squashed picture, so that the crop is distorted as held-out pictures are.
    """
    if squash:
        side = max(height, width)
        left, top, right, lower = crop_box(side, side, least, rng)
        return left * width / side, top * height / side, right * width / side, lower * height / side
    for _ in range(10):
        area = height * width * rng.uniform(least, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def preview(job: Job, indices: Sequence[int], versions: int = 5) -> list[list[Picture]]:
    """Of each picture at ``indices``: what held-out ones look like to the network, then ``versions`` of training's."""
    augmentation = Augmentation.of(job.plan, job.preprocessing)
    rows = []
    for index in indices:
        picture = job.pictures[index]
        seen = [np.random.default_rng((job.plan.seed, epoch, index)) for epoch in range(versions)]
        rows.append([fit(picture, job.preprocessing), *(augmentation(picture, rng) for rng in seen)])
    return rows
