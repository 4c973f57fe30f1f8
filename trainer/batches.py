"""Training pictures in batches, augmented. What a picture looks like depends on seed, epoch and index alone.

So a run that resumes in the middle of an epoch sees what it would have seen, on any number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.utils.data import Dataset, Sampler

from trainer.job import Job
from trainer.networks import embed
from zoo.backbone import Picture, Preprocessing
from zoo.network import RESAMPLING, fit, normalised
from zoo.pictures import Pictures

Rows = Dataset[tuple[NDArray[Any], int]]


class Material(Protocol):
    """What a network is trained on: pictures, or whatever a strategy made of them beforehand."""

    def dataset(self, epoch: int) -> Rows:
        """Pairs of an array and a label, by a picture's index in the job's dataset; arrays of one shape."""
        ...

    def inputs(self, batch: torch.Tensor, device: torch.device) -> torch.Tensor:
        """What the network eats, from arrays of ``dataset`` stacked."""
        ...

    def embed(self, network: nn.Module, indices: NDArray[np.int64], device: torch.device) -> NDArray[np.float32]:
        """(len(indices), D): what the last layer reads of each picture, in evaluation mode."""
        ...


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


class TrainingPictures(Rows):
    """Pairs of an augmented picture (size, size, 3) and its label, for the pictures at ``indices``."""

    def __init__(
        self, pictures: Pictures, y: NDArray[np.int64], augmentation: Augmentation, seed: int, epoch: int
    ) -> None:
        self._pictures, self._y = pictures, y
        self._augmentation, self._seed, self._epoch = augmentation, seed, epoch

    def __len__(self) -> int:
        return len(self._y)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], int]:
        rng = np.random.default_rng((self._seed, self._epoch, index))
        return self._augmentation(self._pictures[index], rng), int(self._y[index])


class Augmented:
    """The material that is the job's own pictures, augmented anew each epoch."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._augmentation = Augmentation(job.preprocessing, job.plan.crop, job.plan.flip)

    def dataset(self, epoch: int) -> Rows:
        job = self._job
        return TrainingPictures(job.pictures, job.dataset.y, self._augmentation, job.plan.seed, epoch)

    def inputs(self, batch: torch.Tensor, device: torch.device) -> torch.Tensor:
        return normalised(batch, self._job.preprocessing, device)

    def embed(self, network: nn.Module, indices: NDArray[np.int64], device: torch.device) -> NDArray[np.float32]:
        return embed(network, self._job.shown(indices), self._job.preprocessing, device)


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
