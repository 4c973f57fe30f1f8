"""Whether the label can be told without looking at the subject: from file size, shape, brightness or border alone.

A network finds such shortcuts too, and then fails on pictures from elsewhere (Geirhos et al. 2020, "Shortcut Learning
in Deep Neural Networks").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.backbone import Picture
from zoo.dataset import Dataset
from zoo.pictures import Pictures
from zoo.probe import ridge

BINS = 12
BORDER = 0.05  # share of each side that counts as border
FEWEST = 40  # pictures below which such a guess means nothing
FAR = 1 / 3  # of the way from chance to certainty


@dataclass(frozen=True, slots=True)
class Shortcut:
    """``accuracy`` of guessing the class from ``feature`` alone, and ``chance``: always naming the largest class."""

    feature: str
    accuracy: float
    chance: float


def shortcuts(dataset: Dataset, pictures: Pictures) -> list[Shortcut]:
    """Features that alone tell the class far better than chance, the most telling first."""
    if len(dataset) < FEWEST:
        return []
    chance = float(np.bincount(dataset.y).max() / len(dataset))
    found = []
    for feature, values in _features(dataset, pictures).items():
        probe = ridge(_spread(values), dataset.y, dataset.groups, classes=len(dataset.classes))
        if probe.interval[0] > chance + FAR * (1 - chance):
            found.append(Shortcut(feature, probe.accuracy, chance))
    return sorted(found, key=lambda one: -one.accuracy)


def _features(dataset: Dataset, pictures: Pictures) -> dict[str, NDArray[np.float64]]:
    """(N, F) numbers for each feature."""
    size = np.array([(item.width, item.height) for item in dataset.items], dtype=float)
    looks = np.array([_looks(pictures[index]) for index in range(len(pictures))])
    features = {
        "aspect ratio": size[:, :1] / size[:, 1:],
        "picture size": size.prod(axis=1, keepdims=True),
        "brightness": looks[:, :1],
        "border": looks[:, 1:],
    }
    lengths = [_length(dataset, index) for index in range(len(dataset))]
    if all(lengths):
        features["file size"] = np.array(lengths, dtype=float)[:, None]
    return features


def _looks(picture: Picture) -> NDArray[np.float64]:
    """(13,) mean brightness, then the mean colours of the top, bottom, left and right borders."""
    height, width = picture.shape[:2]
    rows, columns = max(1, round(height * BORDER)), max(1, round(width * BORDER))
    strips = (picture[:rows], picture[-rows:], picture[:, :columns], picture[:, -columns:])
    colours = [strip.reshape(-1, 3).mean(axis=0) for strip in strips]
    return np.concatenate([[picture[::2, ::2].mean()], *colours])


def _spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, F·BINS): each number as its nearness to quantiles, so that a linear probe can draw any curve."""
    ranks = values.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") / max(1, len(values) - 1)
    for column, rank in zip(values.T, ranks.T, strict=True):  # equal values share their mean rank
        _, member, count = np.unique(column, return_inverse=True, return_counts=True)
        rank[:] = (np.bincount(member, weights=rank) / count)[member]
    centres = np.linspace(0, 1, BINS)
    near: NDArray[np.float64] = np.maximum(0, 1 - np.abs(ranks[:, :, None] - centres) * (BINS - 1))
    return near.reshape(len(values), -1)


def _length(dataset: Dataset, index: int) -> int:
    try:
        return (dataset.root / dataset.items[index].file).stat().st_size
    except OSError:  # the original may be gone; the decoded pictures are enough for the rest
        return 0
