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
    """Pictures that every one of ``probes`` finds mislabelled, surest first; suggested is the likeliest other class."""
    beliefs = [probabilities(probe.scores, y) for probe in probes]
    agreed = np.logical_and.reduce([doubted(belief, y) for belief in beliefs])
    mean = np.mean(beliefs, axis=0)
    mean[np.arange(len(y)), y] = -1  # what it is labelled is no suggestion
    suspects = [
        Suspect(int(index), int(y[index]), int(mean[index].argmax()), float(mean[index].max()))
        for index in np.flatnonzero(agreed)
    ]
    return sorted(suspects, key=lambda suspect: (-suspect.score, suspect.index))


def doubted(p: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) whether a label is to be doubted, given left-out probabilities (N, C).

    Confident learning, pruned by noise rate (Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating
    Uncertainty in Dataset Labels", sections 3.1 and 3.2): a picture counts as class j where its probability of j
    reaches the mean that pictures labelled j have; as many of those labelled i are doubted as count as j, namely those
    that are likeliest j rather than i.
    """
    counted = _counted(p, y)
    found = np.zeros(len(y), dtype=bool)
    for i, j in zip(*np.nonzero(counted), strict=True):
        rows = np.flatnonzero(y == i)
        margin = p[rows, j] - p[rows, i]
        surest = np.argsort(-margin, kind="stable")[: counted[i, j] if i != j else 0]
        found[rows[surest[margin[surest] > 0]]] = True
    return found


def _counted(p: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """(C, C) pictures labelled i that are j, scaled so that each row sums to the pictures labelled i."""
    classes = p.shape[1]
    joint = np.zeros((classes, classes))
    seen = _confident_class(p, y)
    np.add.at(joint, (y[seen >= 0], seen[seen >= 0]), 1)
    np.fill_diagonal(joint, np.maximum(joint.diagonal(), 1))
    joint *= np.bincount(y, minlength=classes)[:, None] / joint.sum(axis=1, keepdims=True)
    return np.rint(joint).astype(np.int64)


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
