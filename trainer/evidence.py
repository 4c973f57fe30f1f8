"""What a finished run keeps of its pictures: what it said of each, so that any later question needs no network.

``evidence.npz`` in the run's folder: probabilities after calibration, novelty, and the features that the last layer
reads, of the pictures of every part (of very large datasets a share of the training part only).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from zoo.dataset import PARTS, Dataset, Part
from zoo.errors import NotFound
from zoo.store import new_id

FILE = "evidence.npz"
MOST_TRAINING = 20_000  # pictures of the training part that are kept
NUMBERS = 200_000_000  # feature values kept in all: 400 MB


@dataclass(frozen=True, eq=False)
class Evidence:
    """N pictures of one dataset as one classifier saw them.

    Attributes:
        rows: (N,) their indices in the dataset.
        part: (N,) indices into ``PARTS``.
        probabilities: (N, C), calibrated, single precision.
        novelty: (N,) distances of the gate, 1 at its threshold; NaN where it has none.
        features: (N, D) half precision, (N, 0) where they would be too many to keep.
    """

    rows: NDArray[np.int64]
    part: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32]
    features: NDArray[np.float16]

    def of(self, *names: Part) -> Evidence:
        """Only the pictures of these parts."""
        kept = np.isin(self.part, [PARTS.index(name) for name in names])
        return Evidence(*(values[kept] for values in vars(self).values()))

    def labels(self, dataset: Dataset) -> NDArray[np.int64]:
        """(N,) the labels that ``dataset`` gives them."""
        return dataset.y[self.rows]

    def sure(self) -> NDArray[np.float64]:
        """(N, C) in double precision, rows summing to 1."""
        wide = self.probabilities.astype(np.float64)
        return np.asarray(wide / np.maximum(wide.sum(axis=1, keepdims=True), 1e-12))

    def save(self, folder: Path) -> None:
        draft = folder / f".draft-{new_id()}.npz"
        np.savez(draft, allow_pickle=False, **vars(self))
        draft.replace(folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Evidence:
        """What the run in ``folder`` kept.

        Raises:
            NotFound: nothing, or it is damaged.
        """
        try:
            with np.load(folder / FILE, allow_pickle=False) as stored:
                return cls(*(stored[name] for name in cls.__dataclass_fields__))
        except (OSError, ValueError, KeyError, BadZipFile):
            raise NotFound("This run kept no answers to look through.", "Train it again.") from None
