"""Room on the disk: caches within their budget, the longest unused gone first; what will not fit is said before."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import BadUpload
from zoo.store import Store

SPARE = 256 << 20  # bytes that stay free, for the logs, checkpoints and journals of everything else
FRESH = 600  # seconds in which what was just made or read is nobody's to take away


@dataclass(frozen=True, slots=True)
class Cached:
    """A file that can be made again: its length, and when it was last used."""

    path: Path
    length: int
    used: float


def cached(store: Store) -> list[Cached]:
    """Decoded pictures, features, and what thorough looks measured, the longest unused first."""
    return sorted(_cached(store), key=lambda one: one.used)


def evict(store: Store, most: int, keep: Collection[Path] = ()) -> int:
    """Delete caches, the longest unused first, until at most ``most`` bytes are left; how many bytes that freed.

    What ``keep`` names, and what was used minutes ago, stays even if that is more. A process that has one of them
    open goes on reading it.
    """
    found = cached(store)
    total, freed, now = sum(one.length for one in found), 0, time.time()
    for one in found:
        if total - freed <= most:
            break
        if one.path in keep or now - one.used < FRESH:
            continue
        with suppress(OSError):  # gone already, or open on a system that forbids it then
            _delete(one.path)
            freed += one.length
    return freed


def make_room(store: Store, needed: int, what: str) -> None:
    """See to it that ``needed`` bytes fit on the disk, if need be in place of caches.

    Raises:
        BadUpload: they do not fit; ``what`` says what would need them.
    """
    free = free_bytes(store)
    if needed > free:
        total = sum(one.length for one in cached(store))
        evict(store, max(0, total - (needed - free)))
        free = free_bytes(store)
    if needed > free:
        raise BadUpload(
            f"{what} would take about {amount(needed)} on the disk, and {amount(free)} can be had.",
            "Make room where STUDIO_HOME points, or give fewer pictures.",
        )


def owned(store: Store) -> list[Path]:
    """Where datasets of whoever asks lie, their own copies of pictures included, and their runs, deleted ones too."""
    names = store.owners.own("datasets")
    files = [path for name in names for path in (store.datasets / name, store.datasets / f"{name}.jsonl")]
    runs = [path for name in store.owners.own("runs") for path in store.runs.glob(f"*{name}")]  # the bin is a prefix
    return [*(path for path in files if path.exists()), *runs]


def free_bytes(store: Store) -> int:
    """Bytes that may still be taken where ``store`` lies."""
    return max(0, shutil.disk_usage(store.pictures).free - SPARE)


def amount(length: int) -> str:
    """``length`` bytes, as a person says it."""
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if length >= size:
            return f"{length / size:.3g} {unit}"
    return f"{length / 1000:.3g} kB"


def _cached(store: Store) -> Iterator[Cached]:
    paths = [*store.pictures.glob("*.bin"), *store.pictures.glob("known-*"), *store.features.glob("*/*.npz")]
    paths += [*store.features.glob("*/*/*.npy"), *store.datasets.glob("looks/*/*.npy")]
    paths += store.features.glob("prefix-*/*")  # activations of training from a cut
    paths += store.root.glob("originals/*/*")  # on a node of a cluster, which can have them again
    paths += store.root.glob("served/*/*.onnx")  # networks made ready to answer
    for path in paths:
        with suppress(FileNotFoundError):
            found = path.stat()
            length = min(found.st_size, getattr(found, "st_blocks", found.st_size) * 512)  # some are filled piecemeal
            yield Cached(path, length, max(found.st_atime, found.st_mtime))
    for folder in store.root.glob("takeaway/*/"):  # exports made to be taken away, each whole or gone
        with suppress(FileNotFoundError):
            files = [one.stat() for one in folder.rglob("*") if one.is_file()]
            used = max((max(one.st_atime, one.st_mtime) for one in files), default=folder.stat().st_mtime)
            yield Cached(folder, sum(one.st_size for one in files), used)


def _delete(path: Path) -> None:
    if not path.is_dir():
        return path.unlink()
    gone = path.with_name(f".{path.name}.{time.time_ns()}")
    path.rename(gone)  # nobody may find half of it
    return shutil.rmtree(gone)
