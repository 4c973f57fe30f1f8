"""Training pictures in batches, made ready ahead. What one looks like depends on seed, epoch and index alone.

So a run that resumes in the middle of an epoch sees what it would have seen, on any number of processes and threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset

from trainer.augmentation import Augmentation
from trainer.job import Job
from trainer.networks import embed
from zoo.pictures import Pictures

Rows = Dataset[tuple[NDArray[Any], int]]
Batch = tuple[torch.Tensor, torch.Tensor]  # arrays stacked, labels
Indices = NDArray[np.int64]

AHEAD = 2  # batches that are ready before they are asked for
PIECE = 8  # pictures that a thread prepares at a time
REPEATS = 1000  # epochs apart, so that a picture shown again in an epoch is another crop of it


class Material(Protocol):
    """What a network is trained on: pictures, or whatever a strategy made of them beforehand."""

    def dataset(self, epoch: int) -> Rows:
        """Pairs of an array and a label, by a picture's index in the job's dataset; arrays of one shape.

        Read from several threads at once.
        """
        ...

    def inputs(self, batch: torch.Tensor, device: torch.device) -> torch.Tensor:
        """What the network eats, from arrays of ``dataset`` stacked."""
        ...

    def embed(self, network: nn.Module, indices: Indices, device: torch.device) -> NDArray[np.float32]:
        """(len(indices), D): what the last layer reads of each picture, in evaluation mode."""
        ...


class TrainingPictures(Rows):
    """Pairs of an augmented picture (size, size, 3) and its label."""

    def __init__(self, pictures: Pictures, y: Indices, augmentation: Augmentation, seed: int, epoch: int) -> None:
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
        self._augmentation = Augmentation.of(job.plan, job.preprocessing)
        self._levels: tuple[torch.Tensor, ...] | None = None

    def dataset(self, epoch: int) -> Rows:
        job = self._job
        return TrainingPictures(job.pictures, job.dataset.y, self._augmentation, job.plan.seed, epoch)

    def inputs(self, batch: torch.Tensor, device: torch.device) -> torch.Tensor:
        """As ``zoo.network.normalised``, without a GPU having to wait for it."""
        if self._levels is None:
            shown = self._job.preprocessing
            levels = (torch.tensor(values, device=device).view(1, 3, 1, 1) * 255 for values in (shown.mean, shown.std))
            self._levels = tuple(levels)
        mean, std = self._levels
        return (batch.to(device, non_blocking=True).permute(0, 3, 1, 2).float() - mean) / std

    def embed(self, network: nn.Module, indices: Indices, device: torch.device) -> NDArray[np.float32]:
        return embed(network, self._job.shown(indices), self._job.preprocessing, device)


def order(rows: Indices, y: Indices, seed: int, epoch: int, evenly: bool = False) -> NDArray[np.int64]:
    """(N, 2): indices in the order of ``epoch``, and how often each was there before in it.

    ``evenly`` shows every class of ``y`` equally often: the rare ones again and again, the frequent ones in part.
    """
    rng = np.random.default_rng((seed, epoch))
    if not evenly:
        return np.stack([rng.permutation(rows), np.zeros_like(rows)], axis=1)
    classes = rng.permutation(np.unique(y[rows]))
    quota = np.full(len(classes), len(rows) // len(classes))
    quota[: len(rows) % len(classes)] += 1
    chosen = []
    for label, count in zip(classes, quota.tolist(), strict=True):
        members = rows[y[rows] == label]
        times = -(-count // len(members))
        again = [np.stack([rng.permutation(members), np.full(len(members), time)], axis=1) for time in range(times)]
        chosen.append(np.concatenate(again)[:count])
    return rng.permutation(np.concatenate(chosen))


def batches(
    ordered: NDArray[np.int64], size: int, processes: int = 1, rank: int = 0, accumulate: int = 1
) -> list[NDArray[np.int64]]:
    """The epoch's batches of process ``rank``: all processes have equally many, all of ``size``.

    What does not fill a step waits for another epoch: a smaller step would weigh its pictures more. So an epoch has the
    same steps however they are shared and accumulated.
    """
    whole = len(ordered) // (size * processes * accumulate) * accumulate
    count = (whole or max(len(ordered) // size // processes, 1)) * processes
    return [ordered[size * n : size * (n + 1)] for n in range(rank, count, processes)]


def ready(
    parts: Sequence[NDArray[np.int64]], material: Material, epoch: int, threads: int, pin: bool
) -> Generator[Batch, None, None]:
    """Each of ``parts`` as a batch, in their order; the next ones are prepared in ``threads`` meanwhile.

    Pillow gives the interpreter up while it resizes, so threads are enough, and nothing of them outlives the run.
    """
    shown = {
        again: material.dataset(epoch + REPEATS * again) for again in {int(n) for part in parts for n in part[:, 1]}
    }

    def read(piece: NDArray[np.int64]) -> list[tuple[NDArray[Any], int]]:
        return [shown[again][index] for index, again in piece.tolist()]

    with ThreadPoolExecutor(threads, thread_name_prefix="pictures") as pool:
        waiting: deque[list[Future[list[tuple[NDArray[Any], int]]]]] = deque()
        try:
            for part in parts:
                pieces = [part[first : first + PIECE] for first in range(0, len(part), PIECE)]
                waiting.append([pool.submit(read, piece) for piece in pieces])
                if len(waiting) > AHEAD:
                    yield _batch(waiting.popleft(), pin)
            while waiting:
                yield _batch(waiting.popleft(), pin)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _batch(pieces: list[Future[list[tuple[NDArray[Any], int]]]], pin: bool) -> Batch:
    pairs = [pair for piece in pieces for pair in piece.result()]
    arrays = torch.from_numpy(np.stack([array for array, _ in pairs]))
    labels = torch.tensor([label for _, label in pairs])
    return (arrays.pin_memory(), labels.pin_memory()) if pin else (arrays, labels)
