"""Does a picture look like anything the classifier was trained on?

The gate is a Mahalanobis distance to the nearest class mean under one shrunk covariance (Lee et al., NeurIPS 2018;
Ledoit & Wolf 2004), on L2-normalised features.
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
LEAST = 1e-6  # share of the largest variance below which a direction is left out


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
    rows = unit(x)
    means = np.stack(
        [rows[y == label].mean(axis=0) if (y == label).any() else rows.mean(axis=0) for label in range(classes)]
    )
    whiten = _whitening(rows - means[y])
    gate = Gate((means @ whiten).astype(np.float32), whiten.astype(np.float32), math.inf)
    if len(calibration) < math.ceil(1 / (1 - ACCEPT)):
        return gate
    return Gate(gate.means, gate.whiten, float(np.quantile(gate.distance(calibration), ACCEPT)))


def _whitening(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """(D, k) after which the shrunk covariance of ``residuals`` (N, D) is the identity."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    n, d = residuals.shape
    shrinkage = float(ledoit_wolf_shrinkage(residuals, assume_centered=True))
    floor = shrinkage * float((residuals**2).sum()) / n / d
    if n < d:  # the covariance has n directions; all others share the floor
        _, s, vt = np.linalg.svd(residuals, full_matrices=False)
        variance, directions = (1 - shrinkage) * s**2 / n + floor, vt.T
        if floor > variance.max() * LEAST:
            steeper = directions * (1 / np.sqrt(variance) - 1 / np.sqrt(floor))
            return np.asarray(np.eye(d) / np.sqrt(floor) + steeper @ vt)
    else:
        variance, directions = np.linalg.eigh((1 - shrinkage) * residuals.T @ residuals / n)
        variance = variance + floor
    keep = variance > variance.max() * LEAST
    return np.asarray(directions[:, keep] / np.sqrt(variance[keep]))
