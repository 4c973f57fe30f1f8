"""Training pictures in batches, augmented. What a picture looks like depends on seed, epoch and index alone.

So a run that resumes in the middle of an epoch sees what it would have seen, on any number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset, Sampler

from zoo.backbone import Picture, Preprocessing
from zoo.network import RESAMPLING, fit
from zoo.pictures import Pictures


@dataclass(frozen=True)
class Augmentation:
    """Random crop of at least ``crop`` of the picture's area, resized to the input, then a flip half of the time."""

    preprocessing: Preprocessing
    crop: float
    flip: bool

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """(size, size, 3) uint8."""
        if self.crop >= 1:
            seen = fit(picture, self.preprocessing)
        else:
            box = _crop_box(picture.shape[0], picture.shape[1], self.crop, rng)
            size = (self.preprocessing.size, self.preprocessing.size)
            how = RESAMPLING[self.preprocessing.interpolation]
            seen = np.asarray(Image.fromarray(picture).resize(size, how, box=box))
        return np.ascontiguousarray(seen[:, ::-1]) if self.flip and rng.random() < 0.5 else seen


def _crop_box(height: int, width: int, least: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Left, upper, right, lower of a random crop with an aspect ratio between 3:4 and 4:3 (Szegedy et al. 2015)."""
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


class TrainingPictures(Dataset[tuple[NDArray[np.uint8], int]]):
    """Pairs of an augmented picture (size, size, 3) and its label, for the pictures at ``indices``."""

    def __init__(
        self, pictures: Pictures, y: NDArray[np.int64], augmentation: Augmentation, seed: int, epoch: int
    ) -> None:
        self._pictures, self._y = pictures, y
        self._augmentation, self._seed, self._epoch = augmentation, seed, epoch

    def __len__(self) -> int:
        return len(self._y)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], int]:
        rng = np.random.default_rng((self._seed, self._epoch, index))
        return self._augmentation(self._pictures[index], rng), int(self._y[index])


class Batches(Sampler[list[int]]):
    """The batches of one epoch, in an order that its seed decides, from batch ``done`` on.

    What does not fill a batch on every process waits for another epoch: a smaller batch would weigh its pictures more.
    """

    def __init__(
        self, indices: NDArray[np.int64], size: int, seed: int, epoch: int, processes: int = 1, done: int = 0
    ) -> None:
        order = np.random.default_rng((seed, epoch)).permutation(indices)
        count = max(len(order) // size // processes, 1) * processes
        self._batches: list[Any] = [order[size * n : size * (n + 1)].tolist() for n in range(done, count)]

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)
