"""One run's work on the bench: its plan, its pictures, its split, and what a strategy hands back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from trainer.events import Event, Progress
from trainer.plan import Plan
from zoo import sources
from zoo.backbone import Card, Picture, Preprocessing, Trainable
from zoo.dataset import Dataset, Split, split
from zoo.errors import BadPlan
from zoo.features import Extractor
from zoo.pictures import SIDE, Pictures
from zoo.settings import Settings
from zoo.store import Store

if TYPE_CHECKING:
    from torch import nn

Embed = Callable[[NDArray[np.int64]], NDArray[np.float32]]


@dataclass(frozen=True)
class Job:
    """What a strategy works with.

    Attributes:
        folder: the run's folder; checkpoints go to ``folder / "checkpoint"``.
        stop: asked often; true once a person wants the run to stop.
    """

    plan: Plan
    dataset: Dataset
    store: Store
    settings: Settings
    folder: Path
    stop: Callable[[], bool]

    @classmethod
    def open(cls, plan: Plan, folder: Path, settings: Settings, stop: Callable[[], bool]) -> Job:
        store = Store(settings.home)
        return cls(plan, Dataset.load(store, plan.dataset), store, settings, folder, stop)

    @cached_property
    def split(self) -> Split:
        return split(self.dataset, self.plan.seed)

    @cached_property
    def card(self) -> Card:
        """The backbone's card, its preprocessing as the plan's framing has it."""
        card = sources.card(self.plan.backbone, self.settings)
        if self.plan.framing == "crop":
            return card
        return replace(card, preprocessing=replace(card.preprocessing, crop=1.0, squash=True))

    @cached_property
    def backbone(self) -> Trainable:
        """The frozen backbone.

        Raises:
            BadPlan: it has no network to train.
        """
        loaded = sources.load(self.plan.backbone, self.settings)
        if not isinstance(loaded, Trainable):
            raise BadPlan(f"{self.plan.backbone} is a yardstick and cannot be trained.", "Choose a backbone.")
        return loaded

    @cached_property
    def pictures(self) -> Pictures:
        preprocessing = self.card.preprocessing
        return Pictures.open(self.store, self.dataset, max(SIDE, int(preprocessing.size / preprocessing.crop)))

    @cached_property
    def extractor(self) -> Extractor:
        return Extractor(self.card, self.dataset, self.store, self.settings)

    @property
    def pid(self) -> int:
        return os.getpid()

    @property
    def preprocessing(self) -> Preprocessing:
        return self.card.preprocessing

    def reading(self, indices: NDArray[np.int64]) -> Iterator[Progress]:
        """Compute the frozen features of the pictures at ``indices`` a piece at a time, so that a stop is heard."""
        yield Progress(stage="features", done=0, total=len(indices))
        for first in range(0, len(indices), 128):
            piece = indices[first : first + 128]
            self.extractor.rows(piece)
            yield Progress(stage="features", done=first + len(piece), total=len(indices))

    def shown(self, indices: NDArray[np.int64]) -> list[Picture]:
        """The pictures at ``indices``, views into the cache."""
        return [self.pictures[int(index)] for index in indices]


@dataclass(frozen=True)
class Trained:
    """What a strategy hands back.

    Attributes:
        network: the whole network, its last layer linear over the dataset's classes.
        embed: what that last layer reads, (len(indices), D), for pictures of the dataset.
        expected: accuracy out of fold on the pictures it was trained on, None where none was measured.
        forward_seconds: wall seconds that went into frozen forward passes.
        unseen: (M, C) logits out of fold and (M,) labels, which help to choose the temperature, where there are such.
        kept_bytes: what it keeps on the disk besides the run's folder and frozen features.
    """

    network: nn.Module
    embed: Embed
    expected: float | None
    forward_seconds: float
    unseen: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None
    kept_bytes: int = 0


@runtime_checkable
class Strategy(Protocol):
    """How deep to train. One file in ``trainer/strategies`` offers one as ``STRATEGY``."""

    name: str
    title: str
    why: str

    def fit(self, job: Job) -> Iterator[Event | Trained]:
        """Yield events; at the end one ``Trained``, or a ``Stopped`` where ``job.stop()`` came true.

        Under a launcher every process iterates, and the events of the first are the run's.
        """
        ...
