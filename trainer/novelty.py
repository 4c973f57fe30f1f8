"""Does a picture look like anything the classifier was trained on? And which answers are still possible?

The gate is a Mahalanobis distance to the nearest class mean under one shrunk covariance (Lee et al., NeurIPS 2018;
Ledoit & Wolf 2004), on L2-normalised features. The set is split-conformal with adaptive scores (Romano et al., 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from zoo.errors import BadClassifier
from zoo.probe import unit

ACCEPT = 0.95  # share of familiar pictures the gate lets through
MISS = 0.1  # how often a prediction set may lack the truth


@dataclass(frozen=True)
class Gate:
    """How far a picture's features are from all classes, and how far is too far.

    Attributes:
        means: (C, k) class means in whitened coordinates; whiten: (D, k).
        threshold: distance that 95 % of the calibration pictures stay below; infinite where there were too few.
    """

    means: NDArray[np.float32]
    whiten: NDArray[np.float32]
    threshold: float

    def distance(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N,) Mahalanobis distance of raw features (N, D) to the nearest class mean."""
        rows, means = unit(x) @ self.whiten.astype(np.float64), self.means.astype(np.float64)
        gaps = (rows**2).sum(axis=1)[:, None] + (means**2).sum(axis=1) - 2 * rows @ means.T  # (N, C)
        return np.asarray(np.sqrt(np.maximum(gaps.min(axis=1), 0)))

    def save(self, path: Path) -> None:
        np.savez(path, allow_pickle=False, means=self.means, whiten=self.whiten, threshold=np.array(self.threshold))

    @classmethod
    def load(cls, path: Path) -> Gate | None:
        """The gate at ``path``; None where there is none.

        Raises:
            BadClassifier: the file is damaged.
        """
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(stored["means"], stored["whiten"], float(stored["threshold"]))
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise BadClassifier(f"{path.name} of this classifier is damaged.", "Export it again.") from error


def fit_gate(x: NDArray[np.float32], y: NDArray[np.int64], calibration: NDArray[np.float32], classes: int) -> Gate:
    """A gate from training features (N, D) and labels; its threshold from calibration features (M, D).

    Directions that hold less than a millionth of the variance are left out.
    """
    from sklearn.covariance import LedoitWolf

    rows = unit(x)
    means = np.stack(
        [rows[y == label].mean(axis=0) if (y == label).any() else rows.mean(axis=0) for label in range(classes)]
    )
    shrunk = LedoitWolf(assume_centered=True, store_precision=False).fit(rows - means[y])
    variance, directions = np.linalg.eigh(shrunk.covariance_)
    keep = variance > variance[-1] * 1e-6
    whiten = directions[:, keep] / np.sqrt(variance[keep])
    gate = Gate((means @ whiten).astype(np.float32), whiten.astype(np.float32), math.inf)
    if len(calibration) < math.ceil(1 / (1 - ACCEPT)):
        return gate
    return Gate(gate.means, gate.whiten, float(np.quantile(gate.distance(calibration), ACCEPT)))


def set_threshold(probabilities: NDArray[np.float64], y: NDArray[np.int64]) -> float | None:
    """Probability mass a set must reach to hold the truth 9 times of 10; None below ⌈1/0.1⌉ − 1 calibration pictures.

    Args:
        probabilities: (M, C) of calibration pictures; y: (M,) their labels.
    """
    m = len(y)
    if m < math.ceil(1 / MISS) - 1:
        return None
    order = np.argsort(-probabilities, axis=1, kind="stable")
    mass = np.cumsum(np.take_along_axis(probabilities, order, axis=1), axis=1)
    place = (order == y[:, None]).argmax(axis=1)
    needed = np.sort(mass[np.arange(m), place])
    rank = math.ceil((m + 1) * (1 - MISS))
    return float(needed[rank - 1]) if rank <= m else 1.0


def prediction_set(probabilities: NDArray[np.float64], threshold: float) -> list[int]:
    """Classes, likeliest first, up to and including the one at which their mass reaches ``threshold``."""
    order = np.argsort(-probabilities, kind="stable")
    mass = np.cumsum(probabilities[order])
    return [int(index) for index in order[: int(np.searchsorted(mass, threshold - 1e-12)) + 1]]
