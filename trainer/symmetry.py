"""Which transformations leave a picture what it is: mirroring and quarter turns, tried on held-out pictures.

A probe is fitted to the frozen features of pictures as they are and asked about held-out ones as they are, mirrored and
turned. What costs it less than one standard error of its accuracy does no harm and may augment training; what costs
more would teach wrong things, as mirroring does where letters or digits are read.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.head import folds_of
from zoo import sources
from zoo.backbone import Picture
from zoo.dataset import Dataset, split
from zoo.errors import BadUpload
from zoo.features import Extractor
from zoo.forward import forward
from zoo.judging import few_threads
from zoo.pictures import SIDE, Pictures
from zoo.probe import even, ridge
from zoo.runtime import Runtime
from zoo.settings import Settings
from zoo.store import Store, read_json, write_json

HELD = 128  # pictures that are transformed, about
FEWEST = 16  # held-out pictures below which nothing can be said
ANY_ANGLE = 180.0
AS_THEY_ARE = ("linear_head", "earlier_layer")  # strategies that show the network no picture but as it is


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One transformation: held-out accuracy as they are and transformed, the standard error of the former."""

    name: str
    accuracy: float
    transformed: float
    error: float

    @property
    def harmless(self) -> bool:
        return self.accuracy - self.transformed < self.error

    @property
    def sentence(self) -> str:
        found = f"{self.name.capitalize()}, {self.transformed:.0%} of held-out pictures are recognised"
        if self.harmless:
            return f"{found}, as they are {self.accuracy:.0%}: it does no harm."
        return f"{found} instead of {self.accuracy:.0%}: it would teach wrong things, so it is not done."


@dataclass(frozen=True, kw_only=True)
class Symmetry:
    """What may be done to pictures of a dataset in training."""

    mirrored: Trial
    turned: Trial

    @property
    def fields(self) -> dict[str, Any]:
        """The plan's fields that follow."""
        return {"flip": self.mirrored.harmless, "rotate": ANY_ANGLE if self.turned.harmless else 0.0}

    @property
    def sentences(self) -> tuple[str, str]:
        return self.mirrored.sentence, self.turned.sentence


def known(dataset: str, backbone: str, settings: Settings) -> Symmetry | None:
    """What ``measure`` found earlier, without loading anything heavy."""
    value = read_json(_file(dataset, backbone, Store(settings.home)))
    return Symmetry(mirrored=Trial(**value["mirrored"]), turned=Trial(**value["turned"])) if value else None


def measure(dataset: Dataset, backbone: str, store: Store, settings: Settings, seed: int = 0) -> Symmetry:
    """Try both on some pictures outside the test part, and keep what was found.

    Raises:
        BadUpload: too few pictures to hold some out.
        BackboneUnavailable: the backbone cannot be had.
    """
    pool = split(dataset, seed).of("train", "select", "calibration")
    y, groups = dataset.y[pool], dataset.groups[pool]
    held = folds_of(y, groups, seed, max(2, round(len(pool) / HELD))) == 0
    if held.sum() < FEWEST or len(np.unique(y[~held])) < 2:
        raise BadUpload(
            f"{len(pool)} pictures are too few to try mirroring on.", "Add pictures: ten a class is a start."
        )
    card = sources.card(backbone, settings)
    extractor = Extractor(card, dataset, store, settings, expected=len(dataset))
    learned = extractor.rows(pool[~held]).head
    with few_threads(len(pool)):
        probe = _Ridge(learned, y[~held], len(dataset.classes))
    as_they_are = probe.right(extractor.rows(pool[held]).head, y[held])
    share = (as_they_are.sum() + 1) / (len(as_they_are) + 2)  # never an error of nothing
    error = float(np.sqrt(share * (1 - share) / len(as_they_are)))
    preprocessing = card.preprocessing
    pictures = Pictures.open(store, dataset, max(SIDE, int(preprocessing.size / preprocessing.crop)))
    shown = [pictures[int(index)] for index in pool[held]]
    engine = Runtime(store, settings).known(extractor.card)
    network = engine[0] if engine else sources.load(backbone, settings)
    trials = []
    for name, change in (("mirrored", np.fliplr), ("turned by a quarter", np.rot90)):
        changed: list[Picture] = [np.ascontiguousarray(change(picture)) for picture in shown]
        right = probe.right(forward(network, changed).taps[-1], y[held])
        trials.append(
            Trial(name=name, accuracy=float(as_they_are.mean()), transformed=float(right.mean()), error=error)
        )
    found = Symmetry(mirrored=trials[0], turned=trials[1])
    write_json(_file(dataset.id, backbone, store), asdict(found))
    return found


def tried(dataset: Dataset, backbone: str, strategy: str, store: Store, settings: Settings) -> Symmetry | None:
    """What is known or, where ``strategy`` augments, now found out; None where there are too few pictures to say."""
    found = known(dataset.id, backbone, settings)
    if found is not None or strategy in AS_THEY_ARE:
        return found
    try:
        return measure(dataset, backbone, store, settings)
    except BadUpload:
        return None


class _Ridge:
    """Ridge on one-hot labels in its dual form, with the penalty that leave-one-out prefers."""

    def __init__(self, x: NDArray[np.float32], y: NDArray[np.int64], classes: int) -> None:
        rows, targets = even(x), np.eye(classes)[y]
        self._mean, self._share = rows.mean(axis=0), targets.mean(axis=0)
        centred = rows - self._mean
        gram = centred @ centred.T
        penalty = ridge(x, y, classes=classes).penalty * float(np.trace(gram)) / x.shape[1]
        duals = np.linalg.solve(gram + penalty * np.eye(len(y)), targets - self._share)
        self._weight = centred.T @ duals

    def right(self, x: NDArray[np.float32], y: NDArray[np.int64]) -> NDArray[np.bool_]:
        scores = (even(x) - self._mean) @ self._weight + self._share
        return np.asarray(scores.argmax(axis=1) == y)


def _file(dataset: str, backbone: str, store: Store) -> Path:
    return store.root / "symmetry" / f"{dataset}-{hashlib.sha256(backbone.encode()).hexdigest()[:12]}.json"
