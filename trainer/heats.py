"""Heats of a race: one plan carried out on all folds but one and judged on that one, kept so that none is run twice."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.events import Epoch, Step, Stopped
from trainer.head import folds_of
from trainer.job import Job, Trained
from trainer.networks import logits
from trainer.plan import Plan
from trainer.strategies import strategy
from zoo.dataset import PARTS, Dataset, Split, split
from zoo.errors import BadPlan
from zoo.features import Extractor
from zoo.settings import Settings
from zoo.store import Store, read_json, write_json

WATCHED = 6  # one in so many of the pictures learned from chooses the best epoch
OUT = len(PARTS)  # the place of pictures that no part holds: the dataset's test part


class Interrupted(Exception):
    """A person stopped the race."""


@dataclass(frozen=True, eq=False)
class Heat:
    """What came of one: ``predicted`` classes of the pool's ``rows``; the least loss on what it was watched by."""

    rows: NDArray[np.int64]
    predicted: NDArray[np.int64]
    seconds: float
    loss: float
    stepped: bool


@dataclass(frozen=True)
class _Lane(Job):
    """A run's work on a split of the race's own: its part "test" is the judged fold."""

    parts: Split

    @cached_property
    def split(self) -> Split:
        return self.parts


@dataclass(frozen=True)
class Course:
    """Where a race is run: every picture but the test part's, parted into ``folds``.

    Attributes:
        folder: where heats work and are kept.
        stop: asked often; true once a person wants it to end.
        forward_seconds: of a frozen pass over one picture; heats that find features known are charged for them.
    """

    dataset: Dataset
    store: Store
    settings: Settings
    folder: Path
    stop: Callable[[], bool]
    folds: int
    seed: int = 0
    forward_seconds: float = 0.0

    @cached_property
    def pool(self) -> NDArray[np.int64]:
        """(N,) indices of the pictures that are raced on."""
        return split(self.dataset, self.seed).of("train", "select", "calibration")

    @cached_property
    def y(self) -> NDArray[np.int64]:
        return self.dataset.y[self.pool]

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        return self.dataset.groups[self.pool]

    @cached_property
    def fold(self) -> NDArray[np.int64]:
        """(N,) fold of each picture of the pool."""
        return folds_of(self.y, self.groups, self.seed, self.folds)

    def heat(self, plan: Plan, fold: int) -> Heat:
        """Carry ``plan`` out on the other folds and ask it about this one.

        Raises:
            Interrupted: a person stopped it.
            StudioError: the plan cannot be carried out.
        """
        parts = self._parts(fold)
        rows = np.flatnonzero(self.fold == fold)
        kept = self.folder / "heats" / f"{self._key(plan, parts)}.json"
        known = read_json(kept)
        if known is None:
            known = self._run(plan, parts, rows)
            write_json(kept, known)
        return Heat(rows, np.array(known["predicted"]), known["seconds"], known["loss"], known["stepped"])

    def _run(self, plan: Plan, parts: Split, rows: NDArray[np.int64]) -> dict[str, Any]:
        """Its folder holds checkpoints, so that a heat cut short goes on."""
        room = self.folder / "heats" / self._key(plan, parts)
        lane = _Lane(plan, self.dataset, self.store, self.settings, room, self.stop, parts)
        lane.__dict__["extractor"] = extractor = Extractor(lane.card, self.dataset, self.store, self.settings)
        begun, losses, stepped = time.perf_counter(), list[float](), False
        trained: Trained | None = None
        for event in strategy(plan.strategy).fit(lane):
            if self.stop() or isinstance(event, Stopped):
                raise Interrupted
            if isinstance(event, Epoch):
                losses.append(event.loss)
            stepped = stepped or isinstance(event, Step)
            trained = event if isinstance(event, Trained) else trained
        assert trained is not None
        took = time.perf_counter() - begun - extractor.seconds
        predicted = logits(trained.network, trained.embed(self.pool[rows])).argmax(axis=1)
        shutil.rmtree(room, ignore_errors=True)
        seconds = took + self.forward_seconds * len(self.pool)
        return {
            "predicted": predicted.tolist(),
            "seconds": seconds,
            "loss": min(losses, default=0.0),
            "stepped": stepped,
        }

    def _parts(self, fold: int) -> Split:
        parts = np.full(len(self.dataset), OUT, dtype=np.int8)
        inside = self.fold != fold
        watched = folds_of(self.y[inside], self.groups[inside], self.seed + 1, WATCHED) == 0
        rest = self.pool[inside]
        parts[self.pool[~inside]] = PARTS.index("test")
        parts[rest[watched]], parts[rest[~watched]] = PARTS.index("select"), PARTS.index("train")
        if not len(rest[~watched]) or inside.all():
            raise BadPlan(
                f"{len(self.pool)} pictures are too few to race on.", "Add pictures: eight a class is a start."
            )
        return Split(parts, self.seed)

    def _key(self, plan: Plan, parts: Split) -> str:
        told = {name: value for name, value in plan.as_json().items() if not name.startswith("predicted")}
        facts = json.dumps([told, self.dataset.id, parts.id], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:24]
