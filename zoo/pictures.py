"""Every picture of a dataset decoded once, into one memory-mapped file of pixels that each backbone reads.

The file is the pixels of all pictures, each followed by its thumbnail of 16 × 16 grays, then (N, 3) 64-bit integers
that say where each lies (byte offset, height, width), then ``N`` and a mark. It is a cache: deleting it costs a second
decoding and nothing else.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from zoo.answers import Reading, stored
from zoo.backbone import Picture
from zoo.dataset import Dataset
from zoo.duplicates import SMALL, thumbnail
from zoo.errors import BadPicture, BadUpload
from zoo.sandbox import Progress, Sandbox
from zoo.settings import usable_cores
from zoo.store import Store, new_id, read_json, write_json
from zoo.texts import Texts

SIDE = 320
MOST_MAPPED = 64 << 20  # bytes of pixels that a process keeps in its memory because it once read them

_AROUND = 1 << 16  # bytes that the system maps around one that is read

_END = struct.Struct("<8sQ")
_MARK = b"zoopics2"


class Pictures:
    """(H, W, 3) uint8 pictures by index, read only; ``shas`` are those of the files they were decoded from."""

    def __init__(self, pixels: mmap.mmap | NDArray[np.uint8], spans: NDArray[np.int64], shas: Sequence[str]) -> None:
        self._map = pixels
        self._flat = np.frombuffer(pixels, dtype=np.uint8)
        self._spans = spans
        self._read = 0
        self.shas = shas

    def __len__(self) -> int:
        return len(self.shas)

    def __getitem__(self, index: int) -> Picture:
        offset, height, width = map(int, self._spans[index])
        self._release(height * width * 3)
        return self._flat[offset : offset + height * width * 3].reshape(height, width, 3)

    def length(self, rows: NDArray[np.int64]) -> int:
        """Bytes that the pictures at ``rows`` take, their thumbnails included."""
        return int((self._spans[rows, 1] * self._spans[rows, 2] * 3).sum()) + len(rows) * SMALL * SMALL

    def thumbnails(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(R, 16, 16) mean grays of the pictures at ``rows``."""
        if not isinstance(self._map, mmap.mmap):
            return np.array([thumbnail(self[row]) for row in rows.tolist()], dtype=np.uint8).reshape(-1, SMALL, SMALL)
        found = np.empty((len(rows), SMALL * SMALL), dtype=np.uint8)
        for place, (offset, height, width) in enumerate(self._spans[rows].tolist()):
            start = offset + height * width * 3
            self._release(_AROUND)
            found[place] = self._flat[start : start + SMALL * SMALL]
        return found.reshape(-1, SMALL, SMALL)

    def _release(self, length: int) -> None:
        """Give pages back that were read a while ago; who still looks at them gets them out of the disk's cache."""
        self._read += length
        if self._read > MOST_MAPPED and isinstance(self._map, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            self._read = 0
            self._map.madvise(mmap.MADV_DONTNEED)

    @classmethod
    def open(cls, store: Store, dataset: Dataset, side: int = SIDE, told: Progress = lambda *_: None) -> Pictures:
        """The pictures of ``dataset``, shorter side at most ``side``, in its order; decoded again if evicted.

        Raises:
            BadUpload: an original is gone, or is not the picture it was.
        """
        shas = dataset.held.texts("sha")
        with store.lock(f"pictures-{path_of(store, shas, side).stem}"):
            return there(store, dataset, side) or _rebuilt(store, dataset, side, told)

    def subset(self, rows: Sequence[int]) -> Pictures:
        """The pictures at ``rows``, in that order; no pixel is copied."""
        return Pictures(
            self._map, self._spans[np.asarray(rows, dtype=np.int64)], Texts.of(self.shas[row] for row in rows)
        )


class Files(Sequence[Path]):
    """The paths of ``names`` below ``root``, each made when it is asked for."""

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self._root, self._names = root, names

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> list[Path]: ...
    def __getitem__(self, index: int | slice) -> Path | list[Path]:
        if isinstance(index, slice):
            return [self._root / name for name in self._names[index]]
        return self._root / self._names[index]


def path_of(store: Store, shas: Sequence[str], side: int) -> Path:
    """Where the pixels of files with these hashes, in this order, are kept."""
    joined = shas.joined if isinstance(shas, Texts) else "".join(shas).encode()
    return store.pictures / f"{hashlib.sha256(joined).hexdigest()[:24]}-{side}.bin"


def draft_of(store: Store) -> Path:
    """A fresh name for pixels that are still being written."""
    return store.pictures / f".draft-{new_id()}"


def finish(draft: Path, path: Path, spans: NDArray[np.int64], shas: Sequence[str]) -> Pictures:
    """Close ``draft`` with its index and put it in place, whole. A crash of the machine may lose it, as a cache may."""
    with draft.open("ab") as file:
        file.write(spans.astype("<i8").tobytes())
        file.write(_END.pack(_MARK, len(spans)))
    found = mapped(draft, shas)
    os.replace(draft, path)
    if found is None:
        raise ValueError(f"the index of {path.name} does not fit its pixels")
    return found


def mapped(path: Path, shas: Sequence[str]) -> Pictures | None:
    """What ``finish`` wrote at ``path``; None where that is missing or damaged. It counts as used now."""
    try:
        with path.open("rb") as file:
            pixels = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with suppress(PermissionError):  # of another user
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
    except (FileNotFoundError, ValueError):
        return None
    end = len(pixels) - _END.size
    start = end - 24 * len(shas)
    if start < 0 or _END.unpack(pixels[end:]) != (_MARK, len(shas)):
        return None
    spans = np.frombuffer(pixels[start:end], dtype="<i8").reshape(-1, 3).astype(np.int64)
    if (spans < 0).any() or (spans[:, 0] + spans[:, 1] * spans[:, 2] * 3 + stored(0, 0) > start).any():
        return None
    return Pictures(pixels, spans, shas)


def see(store: Store, old: Dataset, new: Dataset) -> None:
    """Let ``new``, edited from ``old``, look at the pixels of ``old`` wherever they are decoded; none is copied."""
    shas, before = new.held.texts("sha"), old.held.texts("sha")
    row = {sha: index for index, sha in enumerate(before)}
    if shas == before or not row.keys() >= set(shas):
        return
    stem = path_of(store, before, 0).stem.removesuffix("0")
    for known in (*store.pictures.glob(f"{stem}*.bin"), *store.pictures.glob(f"{stem}*.view")):
        side = known.stem.rpartition("-")[2]
        if known.suffix == ".bin":
            base, count, rows = known.name, len(before), list(range(len(before)))
        else:
            seen = read_json(known)
            base, count, rows = seen["of"], seen["count"], seen["rows"]
        path = path_of(store, shas, int(side))
        write_json(path.with_suffix(".view"), {"of": base, "count": count, "rows": [rows[row[sha]] for sha in shas]})


def there(store: Store, dataset: Dataset, side: int) -> Pictures | None:
    """What ``Pictures.open`` gives without decoding anything; None where it would have to."""
    shas = dataset.held.texts("sha")
    path = path_of(store, shas, side)
    return mapped(path, shas) or _seen(path, shas)


def _seen(path: Path, shas: Sequence[str]) -> Pictures | None:
    """What ``see`` arranged; None where it did not, or where those pixels are gone."""
    seen = read_json(path.with_suffix(".view"))
    base = None if seen is None else mapped(path.parent / seen["of"], ("",) * seen["count"])
    if base is None:
        return None
    found = base.subset(seen["rows"])
    found.shas = shas
    return found


def _rebuilt(store: Store, dataset: Dataset, side: int, told: Progress) -> Pictures:
    held = dataset.held
    shas, files, names = (held.texts(name) for name in ("sha", "file", "name"))
    draft = draft_of(store)
    try:
        with Sandbox(usable_cores()) as sandbox:
            readings = sandbox.decode(Files(dataset.root, files), draft, side, told)
        for reading, sha, name in zip(readings, shas, names, strict=True):
            _check(reading, sha, name)
        return finish(draft, path_of(store, shas, side), readings.column("span"), shas)
    finally:
        draft.unlink(missing_ok=True)


def _check(reading: Reading | BadPicture, sha: str, name: str) -> None:
    if isinstance(reading, BadPicture):
        raise BadUpload(f"{name!r} can no longer be read. {reading.problem}", "Give the pictures again.")
    if reading.sha != sha:
        raise BadUpload(f"{name!r} is another picture than when it was read first.", "Give the pictures again.")
