"""Pictures that a dataset has decoded already, for one that is made of it: their pixels are copied."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from zoo.answers import Reading
from zoo.dataset import Dataset
from zoo.duplicates import difference_hash
from zoo.facts import Facts
from zoo.pictures import SIDE, Pictures, there
from zoo.store import Store


@dataclass(frozen=True)
class Earlier:
    """``rows`` says of each file that is to be decoded which picture of ``dataset`` it is; −1 for none of them."""

    dataset: Dataset
    pictures: Pictures
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, store: Store, dataset: Dataset | None, rows: NDArray[np.int64]) -> Earlier | None:
        """None where there is no ``dataset``, or where its pixels are gone."""
        pictures = None if dataset is None else there(store, dataset, SIDE)
        return None if dataset is None or pictures is None else cls(dataset, pictures, rows)

    def length(self, indices: NDArray[np.int64]) -> int:
        """Bytes that the pixels of the files at ``indices`` take, as far as they are the dataset's."""
        rows = self.rows[indices]
        return self.pictures.length(rows[rows >= 0])

    def reading(self, index: int, path: Path, pixels: BinaryIO) -> Reading | None:
        """What decoding ``path``, file ``index``, would give, its pixels added to ``pixels``.

        None where it is none of the dataset's, or no longer what it was.
        """
        row = int(self.rows[index])
        if row < 0:
            return None
        item = self.dataset.items[row]
        try:
            with path.open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == item.sha
                length = file.tell()
        except OSError:
            return None
        if not same:
            return None
        picture = self.pictures[row]
        span = pixels.tell(), *picture.shape[:2]
        pixels.write(picture.tobytes())
        pixels.write(self.pictures.thumbnails(np.array([row]))[0].tobytes())
        facts = Facts(item.taken, item.quality, item.mode, item.repaired)
        return Reading(item.sha, (item.width, item.height), span, difference_hash(picture).hex(), length, facts)
