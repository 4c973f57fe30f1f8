"""Activations at the cut, computed once for a few views of each picture and kept on disk: an epoch costs what follows.

A file holds one view of every picture of a dataset, in single precision where that takes little room, else in half:
there logits differ by up to 1e-4 of the largest. It is filled as pictures are wanted and known by weights,
preprocessing, cut and augmentation; so a second run, another fold or another learning rate computes nothing.
View 0 is the picture as held-out pictures are shown; training takes one of the views at random, that one among them.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trainer.augmentation import Augmentation
from trainer.batches import Indices, Rows
from trainer.cost import width
from trainer.events import Progress
from trainer.halves import Halves
from trainer.job import Embed, Job
from trainer.networks import BATCH, embed
from zoo.errors import BadPlan
from zoo.network import fit, normalised
from zoo.room import amount, cached, evict, free_bytes

LAYOUT = 2  # raised when what is stored changes its meaning
PAGE = 4096
LARGEST = 6e4  # that half precision can hold


class View:
    """One view's activations of N pictures, mapped from a file; ``done`` says of which ones they are there."""

    def __init__(self, path: Path, count: int, shape: tuple[int, ...], kind: type[np.floating[Any]]) -> None:
        start = -(-count // PAGE) * PAGE
        length = start + count * math.prod(shape) * np.dtype(kind).itemsize
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.stat().st_size != length:
            with path.open("wb") as file:
                file.truncate(length)  # takes no room until it is written to
        os.utime(path)
        self.done = np.memmap(path, np.uint8, "r+", shape=(count,))
        self.rows = np.memmap(path, kind, "r+", offset=start, shape=(count, *shape))

    def missing(self, indices: Indices) -> Indices:
        return np.asarray(indices[self.done[indices] == 0])

    def put(self, indices: Indices, values: NDArray[np.float32]) -> None:
        self.rows[indices] = values
        self.rows.flush()  # before it is said to be there
        self.done[indices] = 1


class Activations:
    """The material of a network's second half: what its first half makes of each view of a picture.

    Attributes:
        views: how many views of the training pictures are kept: what the plan asks, or what there is room for.
    """

    def __init__(self, job: Job, halves: Halves, device: torch.device) -> None:
        self._job, self._halves, self._device = job, halves, device
        self._augmentation = Augmentation.of(job.plan, job.preprocessing)
        made = halves.activations(self._input([fit(job.pictures[0], job.preprocessing)]))
        self._shape = _stored(made).shape[1:]
        self._kind: type[np.floating[Any]] = np.float32
        exact = width(self._numbers(job.plan.views)) == 4 and self._needed(job.plan.views) <= self._room()
        self._kind = np.float32 if exact else np.float16
        self.views = self._affordable()
        self._kept = [View(path, len(job.dataset), self._shape, self._kind) for path in self._files[: self.views]]

    @property
    def needed(self) -> int:
        """Bytes on the disk."""
        return self._needed(self.views)

    def build(self) -> Iterator[Progress]:
        """Compute what is missing: every view of the training pictures, the plain one of those that select too."""
        with self._job.store.lock(f"{self._files[0].parent.name}"):
            wanted = [(view, self._kept[view].missing(self._of(view))) for view in range(self.views)]
            total = sum(len(missing) for _, missing in wanted)
            done = 0
            yield Progress(stage="activations", done=0, total=total)
            for view, missing in wanted:
                for first in range(0, len(missing), BATCH):
                    piece = missing[first : first + BATCH]
                    self._kept[view].put(piece, self._computed(view, piece))
                    done += len(piece)
                    if done == total or (first // BATCH) % 4 == 3:
                        yield Progress(stage="activations", done=done, total=total)

    def dataset(self, epoch: int) -> Rows:
        return _Shown(self._kept, self._job.dataset.y, self._job.plan.seed, epoch)

    def inputs(self, batch: torch.Tensor, device: torch.device) -> torch.Tensor:
        x = batch.to(device).float()
        return x.permute(0, 3, 1, 2) if x.ndim == 4 else x

    def embed(self, network: nn.Module, indices: Indices, device: torch.device) -> NDArray[np.float32]:
        if len(self._kept[0].missing(indices)):
            return embed(self._halves.joined(network), self._job.shown(indices), self._job.preprocessing, device)
        network.eval()
        parts = [np.zeros((0, 0), dtype=np.float32)]
        for first in range(0, len(indices), 4 * BATCH):
            piece = torch.from_numpy(np.asarray(self._kept[0].rows[indices[first : first + 4 * BATCH]]))
            with torch.inference_mode():
                x = network.forward_features(self.inputs(piece, device))  # type: ignore[operator]
                parts.append(network.forward_head(x, pre_logits=True).flatten(1).float().cpu().numpy())  # type: ignore[operator]
        return np.concatenate(parts[1:] or parts)

    def embedding(self, network: nn.Module, whole: Embed) -> Embed:
        """``whole``, spared the frozen part of pictures whose plain view is kept in single precision."""

        def read(indices: Indices) -> NDArray[np.float32]:
            here = (self._kept[0].done[indices] == 1) & (self._kind is np.float32)
            rows = [self.embed(network, indices[here], self._device), whole(indices[~here])]
            found = np.concatenate([part for part in rows if len(part)] or rows[:1])
            return np.asarray(found[np.argsort(np.r_[np.flatnonzero(here), np.flatnonzero(~here)])])

        return read

    def _of(self, view: int) -> Indices:
        return self._job.split.of("train") if view else self._job.split.of("train", "select")

    def _computed(self, view: int, indices: Indices) -> NDArray[np.float32]:
        job = self._job
        shown = []
        for index in indices.tolist():
            rng = np.random.default_rng((job.plan.seed, view, index))
            picture = job.pictures[index]
            shown.append(self._augmentation(picture, rng) if view else fit(picture, job.preprocessing))
        with torch.inference_mode():
            made = self._halves.activations(self._input(shown))
        if self._kind is np.float16 and not bool((made.abs() < LARGEST).all()):
            raise BadPlan("The activations at this cut are too large to be kept.", "Choose another cut, or full.")
        return _stored(made)

    def _input(self, shown: list[Any]) -> torch.Tensor:
        return normalised(np.stack(shown), self._job.preprocessing, self._device)

    def _file(self, view: int) -> Path:
        """Named after everything that decides what is in it, but the pictures' place in a split."""
        job = self._job
        look = asdict(self._augmentation) | {"seed": job.plan.seed} if view else asdict(job.preprocessing)
        whole = [LAYOUT, self._kind.__name__, job.card.id, job.card.revision, self._halves.place, job.dataset.id]
        key = hashlib.sha256(json.dumps([*whole, look, view]).encode()).hexdigest()[:24]
        name = hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:16]
        return job.store.features / f"prefix-{name}" / f"{key}.view"

    @property
    def _files(self) -> list[Path]:
        return [self._file(view) for view in range(self._job.plan.views)]

    def _room(self) -> int:
        """Bytes that there would be for them if they were the only cache."""
        job, mine = self._job, set(self._files)
        others = sum(one.length for one in cached(job.store) if one.path not in mine)
        return min(job.settings.cache_gb * 10**9, free_bytes(job.store) + others)

    def _affordable(self) -> int:
        """How many views there is room for, which is made if need be.

        Raises:
            BadPlan: not even for the plain one.
        """
        job, mine, most = self._job, set(self._files), self._room()
        views = job.plan.views
        while views and self._needed(views) > most:
            views -= 1
        if not views:
            raise BadPlan(
                f"The activations at this cut take {amount(self._needed(1))}, and there is room for {amount(most)}.",
                "Choose a later cut or full, make room where STUDIO_HOME points, or raise STUDIO_CACHE_GB.",
            )
        needed = self._needed(views)
        evict(job.store, max(0, job.settings.cache_gb * 10**9 - needed), keep=mine)
        if needed > (free := free_bytes(job.store)):
            others = sum(one.length for one in cached(job.store) if one.path not in mine)
            evict(job.store, max(0, others - (needed - free)), keep=mine)
        return views

    def _needed(self, views: int) -> int:
        return self._numbers(views) * np.dtype(self._kind).itemsize

    def _numbers(self, views: int) -> int:
        return sum(len(self._of(view)) for view in range(views)) * math.prod(self._shape)


class _Shown(Rows):
    """A view's activations and the label, by a picture's index; which view depends on seed, epoch and index alone."""

    def __init__(self, kept: list[View], y: Indices, seed: int, epoch: int) -> None:
        self._kept, self._y, self._seed, self._epoch = kept, y, seed, epoch

    def __len__(self) -> int:
        return len(self._y)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], int]:
        first = np.random.default_rng((self._seed, index)).integers(len(self._kept))
        view = self._kept[(int(first) + self._epoch) % len(self._kept)]  # each of them once in as many epochs
        return np.asarray(view.rows[index]), int(self._y[index])


def _stored(made: torch.Tensor) -> NDArray[np.float32]:
    """Channels last, as a convolution will want it."""
    made = made.permute(0, 2, 3, 1) if made.ndim == 4 else made
    return np.asarray(made.float().cpu().numpy())
