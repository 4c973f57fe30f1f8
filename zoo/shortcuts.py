"""Whether the label can be told without looking at the subject: from file size, shape, JPEG quality, brightness or
border alone.

A network finds such shortcuts too, and then fails on pictures from elsewhere (Geirhos et al. 2020, "Shortcut Learning
in Deep Neural Networks").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.backbone import Picture
from zoo.dataset import Dataset, Item
from zoo.pictures import Pictures
from zoo.probe import ridge

BINS = 12
BORDER = 0.05  # share of each side that counts as border
EDGE = 2  # pixels of a frame
GRAY = 1.5  # gray levels that the channels of a picture without colour may differ by
FEWEST = 40  # pictures below which such a guess means nothing
MOST, MOST_CLASSES = 20_000, 200  # pictures and classes that a guess is tried on
FAR = 1 / 3  # of the way from chance to certainty


@dataclass(frozen=True, slots=True)
class Shortcut:
    """``accuracy`` of guessing the class from ``feature`` alone, and ``chance``: always naming the largest class."""

    feature: str
    accuracy: float
    chance: float


@dataclass(frozen=True)
class Looks:
    """What shows of N pictures without their subject.

    Attributes:
        brightness: (N,) mean, 0 to 255.
        border: (N, 12) mean colours of the top, bottom, left and right strips.
        frame: (N, 12) the same of the outermost two pixels.
        colour: (N,) mean distance between the largest and the smallest of red, green and blue.
    """

    brightness: NDArray[np.float64]
    border: NDArray[np.float64]
    frame: NDArray[np.float64]
    colour: NDArray[np.float64]


def looks(pictures: Pictures | Sequence[Picture]) -> Looks:
    """One pass over all ``pictures``."""
    rows = np.array([_looks(pictures[index]) for index in range(len(pictures))])
    return Looks(rows[:, 0], rows[:, 2:14], rows[:, 14:], rows[:, 1])


def shortcuts(dataset: Dataset, seen: Looks) -> list[Shortcut]:
    """Features that alone tell the class far better than chance, the most telling first."""
    chosen = _asked(dataset.y)
    if len(chosen) < FEWEST:
        return []
    _, labels = np.unique(dataset.y[chosen], return_inverse=True)
    chance = float(np.bincount(labels).max() / len(labels))
    found = []
    for feature, values in features(dataset, seen).items():
        if (values == values[0]).all():  # what all pictures share tells nothing
            continue
        probe = ridge(_spread(values[chosen]), labels, dataset.groups[chosen])
        if probe.interval[0] > chance + FAR * (1 - chance):
            found.append(Shortcut(feature, probe.accuracy, chance))
    return sorted(found, key=lambda one: -one.accuracy)


def _asked(y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the pictures a guess is tried on: of the largest classes, and not more than settle the matter."""
    largest = np.argsort(-np.bincount(y), kind="stable")[:MOST_CLASSES]
    chosen = np.flatnonzero(np.isin(y, largest))
    return chosen[:: -(-len(chosen) // MOST)] if len(chosen) else chosen


def features(dataset: Dataset, seen: Looks) -> dict[str, NDArray[np.float64]]:
    """(N, F) numbers for each feature that is known."""
    size = np.array([(item.width, item.height) for item in dataset.items], dtype=float)
    quality = np.array([item.quality for item in dataset.items], dtype=float)
    lengths = np.array([item.length or _length(dataset, item) for item in dataset.items], dtype=float)
    known = {
        "aspect ratio": size[:, :1] / np.maximum(size[:, 1:], 1),
        "picture size": size.prod(axis=1, keepdims=True),
        "brightness": seen.brightness[:, None],
        "border": seen.border,
        "outermost pixels": seen.frame,
    }
    if quality.any():
        known["JPEG quality"] = quality[:, None]
    if lengths.all():
        known["file size"] = lengths[:, None]
    return known


def _looks(picture: Picture) -> NDArray[np.float64]:
    """(26,) brightness, colour, then the mean colours of the four borders, wide and at the very edge."""
    height, width = picture.shape[:2]
    inside = picture[::2, ::2]
    colour = (inside.max(axis=2) - inside.min(axis=2)).mean()
    wide = max(1, round(height * BORDER)), max(1, round(width * BORDER))
    strips = [side for rows, columns in (wide, (EDGE, EDGE)) for side in _strips(picture, rows, columns)]
    return np.concatenate([[inside.mean(), colour], *(strip.reshape(-1, 3).mean(axis=0) for strip in strips)])


def _strips(picture: Picture, rows: int, columns: int) -> tuple[Picture, Picture, Picture, Picture]:
    return picture[:rows], picture[-rows:], picture[:, :columns], picture[:, -columns:]


def _spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, F·BINS): each number as its nearness to quantiles, so that a linear probe can draw any curve."""
    ranks = values.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") / max(1, len(values) - 1)
    for column, rank in zip(values.T, ranks.T, strict=True):  # equal values share their mean rank
        _, member, count = np.unique(column, return_inverse=True, return_counts=True)
        rank[:] = (np.bincount(member, weights=rank) / count)[member]
    centres = np.linspace(0, 1, BINS)
    near: NDArray[np.float64] = np.maximum(0, 1 - np.abs(ranks[:, :, None] - centres) * (BINS - 1))
    return near.reshape(len(values), -1)


def _length(dataset: Dataset, item: Item) -> int:
    try:
        return (dataset.root / item.file).stat().st_size
    except OSError:  # the original may be gone; the decoded pictures are enough for the rest
        return 0
