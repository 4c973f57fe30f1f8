"""The bin of runs: what was deleted stays, out of sight, until it is restored, emptied, or pushed out by newer ones.

A deleted run is its folder under another name, so deleting and restoring are one rename each. Callers hold the lock
"runs".
"""

from __future__ import annotations

from pathlib import Path

from trainer.folder import RunFolder
from zoo.errors import NotFound
from zoo.store import read_json, write_json

KEPT = 20  # runs: a count, as a clock that jumps would empty it too early or never
MARK, GONE = ".trash-", ".gone-"


def binned(runs: Path) -> list[RunFolder]:
    """What is in the bin, the latest deleted first."""
    folders = [RunFolder(path) for path in runs.glob(f"{MARK}*") if path.is_dir()]
    return sorted(folders, key=lambda folder: (-_order(folder), folder.id))


def put(folder: RunFolder) -> list[Path]:
    """Into the bin; gives back what it pushed out, for the caller to remove."""
    runs = folder.path.parent
    before = binned(runs)
    write_json(folder.path / "DELETED", 1 + max(map(_order, before), default=0))
    folder.path.rename(runs / f"{MARK}{folder.id}")
    return [doomed(old) for old in before[KEPT - 1 :]]


def take_out(runs: Path, run_id: str) -> RunFolder:
    """Out of the bin, as it was.

    Raises:
        NotFound: it is not in there.
    """
    binned_run = found(runs, run_id)
    here = runs / binned_run.id.removeprefix(MARK)
    binned_run.path.rename(here)
    (here / "DELETED").unlink(missing_ok=True)
    return RunFolder(here)


def found(runs: Path, run_id: str) -> RunFolder:
    """That run in the bin.

    Raises:
        NotFound: it is not in there.
    """
    path = runs / f"{MARK}{run_id}"
    if not path.is_dir():
        raise NotFound(f"There is no deleted run {run_id!r}.", "List them with: python -m trainer runs --trash.")
    return RunFolder(path)


def doomed(folder: RunFolder) -> Path:
    """``folder`` under a name that nobody looks for; what a crash leaves of it the next supervisor clears up."""
    gone = folder.path.with_name(GONE + folder.id.removeprefix(MARK))
    folder.path.rename(gone)
    return gone


def _order(folder: RunFolder) -> int:
    value = read_json(folder.path / "DELETED")
    return value if isinstance(value, int) else 0
