"""Frames captured in the page become pictures of one class and one group, so that no split parts them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from zoo.adding import add
from zoo.columns import Columns
from zoo.dataset import Dataset
from zoo.errors import BadUpload
from zoo.intake import intake
from zoo.names import clean
from zoo.sandbox import Progress
from zoo.settings import Settings
from zoo.store import Store, checked_id, new_id, write_bytes

MOST_FRAMES = 1000
MOST_BYTES = 20 << 20  # of one frame
TABLE = "frames.csv"
COLUMNS = Columns("file", "label", "", "group")


def burst(store: Store, label: str, frames: Sequence[bytes], tray: str = "") -> str:
    """Lay ``frames``, JPEG or PNG files, into the tray ``tray`` as one burst of the class ``label``.

    Returns the tray's id, a fresh one where none is given. Frames that are the same to the byte count once.

    Raises:
        BadUpload: there is no frame, no name for the class, or too much of either.
    """
    name = clean(label)
    if not name:
        raise BadUpload("The class has no name.", "Write what the pictures show.")
    different = list(dict.fromkeys(frames))
    if not different or len(different) > MOST_FRAMES:
        raise BadUpload(f"There are {len(different)} frames.", f"Give 1 to {MOST_FRAMES} frames at once.")
    if any(len(frame) > MOST_BYTES or not frame.startswith((b"\xff\xd8\xff", b"\x89PNG")) for frame in different):
        raise BadUpload("A frame is neither a JPEG nor a PNG of ordinary size.", "Capture it again.")
    tray = checked_id(tray, "tray") if tray else new_id()
    group = new_id()
    with store.lock(f"tray-{tray}"):
        rows = _rows(store, tray)
        for number, frame in enumerate(different):
            file = f"{group}_{number:04}" + (".jpg" if frame.startswith(b"\xff") else ".png")
            write_bytes(_place(store, tray) / file, frame)
            rows.append([file, name, group])
        text = StringIO()
        csv.writer(text).writerows([["file", "label", "group"], *rows])
        write_bytes(_place(store, tray) / TABLE, text.getvalue().encode())
    return tray


def held(store: Store, tray: str) -> dict[str, int]:
    """How many frames of each class lie in ``tray``."""
    labels = [label for _, label, _ in _rows(store, checked_id(tray, "tray"))]
    return {label: labels.count(label) for label in dict.fromkeys(labels)}


def developed(
    store: Store,
    settings: Settings,
    tray: str,
    into: Dataset | None = None,
    on_progress: Progress = lambda _stage, _done, _total: None,
) -> Dataset:
    """The dataset that the bursts in ``tray`` are, or ``into`` with them added.

    Raises:
        BadUpload: they are of one class alone, and there is nothing to add them to.
    """
    table = _place(store, checked_id(tray, "tray")) / TABLE
    if into is not None:
        return add(into, table, store, settings, on_progress, COLUMNS)
    return intake(table, store, settings, on_progress, COLUMNS)


def _place(store: Store, tray: str) -> Path:
    return store.root / "frames" / tray


def _rows(store: Store, tray: str) -> list[list[str]]:
    try:
        text = (_place(store, tray) / TABLE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return list(csv.reader(StringIO(text)))[1:]
