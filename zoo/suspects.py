"""Labels that two backbones, judging independently, would not have given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.probe import Probe

TEMPERATURES = np.geomspace(0.02, 2, 25)


@dataclass(frozen=True, slots=True)
class Suspect:
    """Picture ``index`` is labelled ``given`` and looks like ``suggested``; ``score`` in 0…1 is the belief in that."""

    index: int
    given: int
    suggested: int
    score: float


def label_suspects(probes: Sequence[Probe], y: NDArray[np.int64]) -> list[Suspect]:
    """Pictures that every one of ``probes`` finds mislabelled, and as the same class, surest first.

    Confident learning (Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels"):
    a picture counts as class j where its left-out probability of j reaches the mean that pictures labelled j have.
    """
    beliefs = [probabilities(probe.scores, y) for probe in probes]
    seen_as = np.array([_confident_class(belief, y) for belief in beliefs])  # (B, N)
    agreed = (seen_as == seen_as[0]).all(axis=0) & (seen_as[0] >= 0) & (seen_as[0] != y)
    mean = np.mean(beliefs, axis=0)
    suspects = [
        Suspect(int(index), int(y[index]), int(seen_as[0, index]), float(mean[index, seen_as[0, index]]))
        for index in np.flatnonzero(agreed)
    ]
    return sorted(suspects, key=lambda suspect: (-suspect.score, suspect.index))


def probabilities(scores: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N, C): left-out regression scores through a softmax whose temperature fits the labels best."""
    rows = np.arange(len(y))
    choices = [_softmax(scores / temperature) for temperature in TEMPERATURES]
    return min(choices, key=lambda p: -float(np.log(np.maximum(p[rows, y], 1e-12)).mean()))


def _confident_class(p: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) the likeliest class among those whose threshold is reached, −1 where none is."""
    threshold = np.array([p[y == j, j].mean() if (y == j).any() else np.inf for j in range(p.shape[1])])
    reached = np.where(p >= threshold, p, -1.0)
    return np.where(reached.max(axis=1) >= 0, reached.argmax(axis=1), -1)


def _softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))
