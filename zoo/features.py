"""Features at every depth, kept on disk by picture content, weights and preprocessing: nothing is computed twice."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from zoo import sources
from zoo.backbone import Backbone, Card
from zoo.dataset import Dataset
from zoo.errors import BackboneUnavailable
from zoo.pictures import SIDE, Pictures
from zoo.settings import Settings
from zoo.store import Store, new_id

LAYOUT = 1  # raised when what is stored changes its meaning
Told = Callable[[int, int], None]


def silent(done: int, total: int) -> None:
    """Progress nobody asked for."""


@dataclass(frozen=True)
class Features:
    """Features of N pictures by one backbone.

    Attributes:
        taps: per tap of the card, first to last, (N, D_tap) float32.
        ms_per_picture: wall milliseconds a picture, as last measured on this machine.
        seconds: wall seconds spent on them now; 0 where all were known already.
    """

    card: Card
    taps: tuple[NDArray[np.float32], ...]
    ms_per_picture: float
    seconds: float

    @property
    def head(self) -> NDArray[np.float32]:
        """(N, D) of the last tap: what a classification layer reads."""
        return self.taps[-1]


class Extractor:
    """The features of one dataset's pictures by one backbone, which is loaded when a picture is new to it.

    ``seconds`` adds up the wall time of every forward pass it made.
    """

    def __init__(self, card: Card, dataset: Dataset, store: Store, settings: Settings, fresh: bool = False) -> None:
        self.card = card
        self._shas = [item.sha for item in dataset.items]
        self._dataset = dataset
        self._store = store
        self._settings = settings
        self._backbone: Backbone | None = None
        self._pictures: Pictures | None = None
        self._row: dict[str, int] = {}
        self._taps: list[NDArray[np.float32]] = []
        self._ms = 0.0
        self.seconds = 0.0
        if not fresh and card.revision:
            self._read_known()

    def rows(self, indices: Sequence[int] | NDArray[np.int64], told: Told = silent) -> Features:
        """Features of the pictures at ``indices``, in that order."""
        wanted = [self._shas[index] for index in indices]
        missing = list({sha: index for sha, index in zip(wanted, indices, strict=True) if sha not in self._row}.items())
        seconds = self._compute(missing, told) if missing else 0.0
        order = [self._row[sha] for sha in wanted]
        return Features(self.card, tuple(tap[order] for tap in self._taps), self._ms, seconds)

    def _compute(self, missing: list[tuple[str, int]], told: Told) -> float:
        from zoo.forward import forward, use_threads

        if self._backbone is None:
            use_threads(self._settings.threads)
            self._backbone = sources.load(self.card.id, self._settings)
            self.card = self._backbone.card
            side = max(SIDE, int(self.card.preprocessing.size / self.card.preprocessing.crop))
            self._pictures = Pictures.open(self._store, self._dataset, side)
        assert self._pictures is not None
        done = forward(self._backbone, [self._pictures[index] for _, index in missing], told)
        if not all(np.isfinite(tap).all() for tap in done.taps):
            raise BackboneUnavailable(f"{self.card.id} gives values that are no numbers.", "Choose another backbone.")
        self.seconds += done.seconds
        if len(missing) >= 32 or not self._ms:  # a handful of pictures times the start more than the speed
            self._ms = done.ms_per_picture
        self._write([sha for sha, _ in missing], done.taps)
        return done.seconds

    def _folder(self) -> Path:
        card = self.card
        facts = [LAYOUT, card.revision, asdict(card.preprocessing), card.taps]
        return self._store.features / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]

    def _write(self, shas: list[str], taps: list[NDArray[np.float32]]) -> None:
        folder = self._folder()
        folder.mkdir(exist_ok=True)
        draft = folder / f".{new_id()}"
        arrays = {f"tap{index}": tap for index, tap in enumerate(taps)}
        try:
            with draft.open("wb") as file:
                np.savez(file, allow_pickle=False, sha=np.array(shas), ms=np.array(self._ms), **arrays)
            os.replace(draft, folder / f"{new_id()}.npz")
        finally:
            draft.unlink(missing_ok=True)
        self._add(shas, taps)

    def _read_known(self) -> None:
        """What earlier comparisons computed of this dataset's pictures, oldest first."""
        wanted, names = set(self._shas), list[str]()
        parts: list[list[NDArray[np.float32]]] = []
        for shard in sorted(self._folder().glob("*.npz"), key=lambda path: path.stat().st_mtime_ns):
            try:
                with np.load(shard, allow_pickle=False) as stored:
                    mine = np.array([sha in wanted for sha in stored["sha"].tolist()], dtype=bool)
                    if mine.any():
                        parts.append([stored[f"tap{index}"][mine] for index in range(len(self.card.taps))])
                        names += stored["sha"][mine].tolist()
                        self._ms = float(stored["ms"])
            except (ValueError, KeyError, BadZipFile):
                shard.unlink(missing_ok=True)  # damaged: computed again
        if parts:
            self._add(names, [np.concatenate(tap) for tap in zip(*parts, strict=True)])

    def _add(self, shas: list[str], taps: list[NDArray[np.float32]]) -> None:
        first = len(self._taps[0]) if self._taps else 0
        self._row.update({sha: first + index for index, sha in enumerate(shas)})
        self._taps = [np.concatenate(pair) for pair in zip(self._taps, taps, strict=True)] if self._taps else list(taps)
