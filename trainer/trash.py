"""The bin of runs: what was deleted stays, out of sight, until it is restored, emptied, or pushed out by newer ones.

A deleted run is its folder under another name, so deleting and restoring are one rename each. Callers hold the lock
"runs". What a run that is gone for good left in a cluster's storage is remembered until it is gone there, too.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from filelock import Timeout

from trainer.folder import RunFolder
from zoo.command import tell
from zoo.errors import BadPlan, NotFound
from zoo.storage import Storage, telling
from zoo.store import Store, checked_id, read_json, write_json

KEPT = 20  # runs: a count, as a clock that jumps would empty it too early or never
MARK, GONE = ".trash-", ".gone-"
LEFT = ".left-"  # a file for each run whose files in the cluster's storage are still to be removed


def binned(runs: Path) -> list[RunFolder]:
    """What is in the bin, the latest deleted first."""
    folders = [RunFolder(path) for path in runs.glob(f"{MARK}*") if path.is_dir()]
    return sorted(folders, key=lambda folder: (-_order(folder), folder.id))


def put(folder: RunFolder, storage: str) -> list[Path]:
    """Into the bin; gives back what it pushed out, for the caller to remove. For ``storage`` see ``doomed``."""
    runs = folder.path.parent
    before = binned(runs)
    write_json(folder.path / "DELETED", 1 + max(map(_order, before), default=0))
    folder.path.rename(runs / f"{MARK}{folder.id}")
    return [doomed(old, storage) for old in before[KEPT - 1 :]]


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


def doomed(folder: RunFolder, storage: str) -> Path:
    """``folder`` under a name that nobody looks for; what a crash leaves of it the next supervisor clears up.

    Where there is a ``storage``, the cluster's by its address, what the run may have there is noted for ``clear``.
    """
    run_id = folder.id.removeprefix(MARK)
    if storage and _was_elsewhere(folder):
        (folder.path.parent / f"{LEFT}{run_id}").touch()  # first: of a crash it is too much, and does no harm
    gone = folder.path.with_name(GONE + run_id)
    folder.path.rename(gone)
    return gone


def clear(store: Store, storage: str) -> threading.Thread:
    """Remove from ``storage`` what runs that are gone left there, in a thread that nobody needs to wait for.

    What cannot be removed now is told, and stays noted for the next time; where a removal hangs, others leave it alone.
    """
    thread = threading.Thread(target=_clear, args=(store, storage), daemon=True)
    thread.start()
    return thread


def _clear(store: Store, storage: str) -> None:
    with suppress(Timeout), store.lock("clearing", timeout=0):
        _cleared(store.runs, storage)


def _cleared(runs: Path, storage: str) -> None:
    for note in runs.glob(f"{LEFT}*") if storage else ():
        run_id = note.name.removeprefix(LEFT)
        if any((runs / f"{mark}{run_id}").exists() for mark in ("", MARK)):
            continue  # a crash came between the note and the end
        try:
            with telling():
                Storage.at(storage).below("runs").remove(checked_id(run_id, "run"))
            note.unlink(missing_ok=True)
        except (BadPlan, NotFound, OSError) as error:
            tell(f"Deleted run {run_id} still has files in the cluster's storage; tried again later. {error}")


def _was_elsewhere(folder: RunFolder) -> bool:
    try:
        return folder.plan().engine != "local"
    except BadPlan:
        return True


def _order(folder: RunFolder) -> int:
    value = read_json(folder.path / "DELETED")
    return value if isinstance(value, int) else 0
