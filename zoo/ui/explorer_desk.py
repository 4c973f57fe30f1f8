"""Probes that the page keeps ready for the datasets that people are editing, and what each says of every picture."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.dataset import Dataset
from zoo.explorer import MOST, Desk, Standing
from zoo.look import features, plane
from zoo.pictures import Pictures
from zoo.store import Store

KEPT = 2  # probes at once; each may hold a few hundred MB
PLAIN = 3_000  # pictures, up to which the page looks at pixels itself while there are no features
THUMB = 8


@dataclass(frozen=True)
class Judged:
    """What the probe says of a dataset's N pictures.

    Attributes:
        margin: (N,) how clearly the own class wins; below 0 it does not.
        predicted: (N,) the class given by the fit without the picture.
        plane: (N, 2) where each lies on the map.
        measured: by a backbone's features, not by coarse pixels.
    """

    standing: Standing
    margin: NDArray[np.float64]
    predicted: NDArray[np.int64]
    plane: NDArray[np.floating]
    measured: bool


@dataclass
class _Laid:
    desk: Desk
    files: dict[str, int]
    measured: bool
    groups: dict[str, int]


class Desks:
    """The last few probes, each followed through its dataset's edits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._laid: list[_Laid] = []
        self._lock = threading.Lock()

    def judge(self, dataset: Dataset) -> Judged | None:
        """What the probe says of ``dataset`` as it is now; None where there are too many pictures, or no features."""
        if len(dataset) > MOST:
            return None
        with self._lock:
            laid = self._follow(dataset) or self._lay(dataset)
            if laid is None:
                return None
            desk, near = laid.desk, plane(dataset, self._store)
            where = desk.plane() if near is None else near
            return Judged(desk.standing, desk.margin, desk.predicted, where, laid.measured)

    def _follow(self, dataset: Dataset) -> _Laid | None:
        """A probe that this dataset was edited from, arranged to it."""
        measured = features(dataset, self._store) is not None
        for laid in self._laid:
            rows = [laid.files.get(item.file, -1) for item in dataset.items]
            same = all(laid.groups.get(item.file) == item.group for item in dataset.items)
            if laid.measured == measured and same and -1 not in rows and rows == sorted(rows):
                laid.desk.arrange(np.array(rows), dataset.y, len(dataset.classes))
                if len(laid.desk) != len(laid.files) and laid.desk.fresh:
                    self._index(laid, dataset)
                return laid
        return None

    def _lay(self, dataset: Dataset) -> _Laid | None:
        found = features(dataset, self._store)
        if found is None and len(dataset) > PLAIN:
            return None
        rows = _pixels(Pictures.open(self._store, dataset)) if found is None else found
        desk = Desk(rows, dataset.y, dataset.groups, len(dataset.classes))
        laid = _Laid(desk, {}, found is not None, {})
        self._index(laid, dataset)
        self._laid = [laid, *self._laid[: KEPT - 1]]
        return laid

    def _index(self, laid: _Laid, dataset: Dataset) -> None:
        laid.files = {item.file: i for i, item in enumerate(dataset.items)}
        laid.groups = {item.file: item.group for item in dataset.items}


def _pixels(pictures: Pictures) -> NDArray[np.float32]:
    """(N, 192) of pictures shrunk to 8 × 8: what anything must beat."""
    small = [
        np.asarray(Image.fromarray(pictures[i]).resize((THUMB, THUMB), Image.Resampling.BOX)).ravel()
        for i in range(len(pictures))
    ]
    return np.asarray(np.stack(small) / 255, dtype=np.float32)
