"""A look at a dataset: what is wrong with it, what leakage costs, what more pictures would bring; kept for its edits.

A quick look needs pixels only. A thorough one needs a backbone's features: a process of its own computes them
(``python -m zoo look``), so that the page never loads torch, and leaves them where the page can read them.
"""

from __future__ import annotations

import io
import os
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo import sources
from zoo.background import identity, living, spawn
from zoo.dataset import Dataset
from zoo.errors import StudioError
from zoo.explorer import MAPPED, neighbours_map
from zoo.features import Extractor
from zoo.finding import Finding
from zoo.findings import findings
from zoo.health import JUDGES, HealthReport, check
from zoo.pictures import see
from zoo.settings import Settings
from zoo.shortcuts import Shortcut
from zoo.store import Store, checked_id, read_json, write_bytes, write_json
from zoo.suspects import Suspect

PAIR = 2
PULSE = 0.5  # seconds between two words on how far it is

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What was found.

    Attributes:
        thorough: features were looked at, so that labels are doubted too.
        leakage, curve: the documents of ``zoo.leakage`` and ``zoo.curve``, where they could be measured.
        edited: the dataset was edited since they were measured; findings follow its edits.
    """

    findings: tuple[Finding, ...]
    thorough: bool
    leakage: dict[str, Any] | None
    curve: dict[str, Any] | None
    edited: bool


def look(dataset: Dataset, store: Store, settings: Settings) -> Look:
    """What is known of ``dataset`` or of what it was edited from; looked at quickly where nothing is."""
    base = _base(store, dataset.id)
    known = read_json(_folder(store, base) / "facts.json")
    if known is None:
        base = dataset.id
        known = _keep(check(dataset, store, settings, labels=False), store, thorough=False)
    return _followed(dataset, known, edited=base != dataset.id)


def revise(store: Store, old: Dataset, new: Dataset) -> str:
    """Save ``new``, edited from ``old`` without adding pictures, judged by what is known of ``old``; its id."""
    new.save(store)
    see(store, old, new)
    if new.id != old.id and not (_folder(store, new.id) / "facts.json").exists():
        write_json(_folder(store, new.id) / "of.json", {"of": _base(store, old.id)})
    return new.id


def features(dataset: Dataset, store: Store) -> Floats | None:
    """(N, D) of the first judge's last tap; None until a thorough look has computed them."""
    return _rows(dataset, store, "features.npy")


def plane(dataset: Dataset, store: Store) -> Floats | None:
    """(N, 2) of t-SNE's map, where there is one."""
    return _rows(dataset, store, "plane.npy")


class Looks:
    """Thorough looks in the background."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, dataset: str) -> None:
        """Begin to look at a dataset, unless somebody is at it.

        Raises:
            NotFound: there is no such dataset.
        """
        self._store.owners.private("A thorough look")
        Dataset.load(self._store, dataset)
        if self.read(dataset)["state"] == "running":
            return
        folder = _folder(self._store, dataset)
        child = spawn("look", dataset, self._settings.home, folder / "log.txt")
        self._children.append(child)
        _tell(folder, child.pid, state="running", message="Starting.", done=0, total=0)

    def read(self, dataset: str) -> dict[str, Any]:
        """State ("", "running", "finished", "failed"), message, and how far it is; "" once its features are evicted."""
        self._children = [child for child in self._children if child.poll() is None]
        self._store.owners.check("datasets", checked_id(dataset, "dataset"))
        folder = _folder(self._store, dataset)
        found: dict[str, Any] = read_json(folder / "state.json") or {"state": ""}
        if found["state"] == "finished" and not (folder / "features.npy").exists():
            return {"state": ""}
        if found["state"] == "running" and living(found) is None:
            found |= {"state": "failed", "message": "The look ended early. Start it again: what it knew is kept."}
        return found

    def stop(self, dataset: str) -> None:
        """End it; features it computed are kept."""
        self._store.owners.check("datasets", checked_id(dataset, "dataset"))
        process = living(read_json(_folder(self._store, dataset) / "state.json"))
        if process is not None:
            process.terminate()
        write_json(_folder(self._store, dataset) / "state.json", {"state": "", "message": "Stopped."})


def answer(dataset_id: str, store: Store, settings: Settings) -> None:
    """Be the process of one thorough look."""
    folder = _folder(store, checked_id(dataset_id, "dataset"))
    stages = {"features": "Measuring the pictures", "labels": "Measuring them again, with another backbone"}

    last = -PULSE

    def told(stage: str, done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last >= PULSE:
            last = time.monotonic()
            _tell(folder, os.getpid(), state="running", message=stages.get(stage, stage), done=done, total=total)

    try:
        told("features", 0, 1)
        dataset = Dataset.load(store, dataset_id)
        judge = Extractor(sources.card(JUDGES[0], settings), dataset, store, settings)
        rows = judge.rows(np.arange(len(dataset)), lambda done, total: told("features", done, total)).head
        told("Drawing the map", 1, 1)
        write_json(folder / "files.json", [item.file for item in dataset.items])
        if len(dataset) <= MAPPED:
            _save(folder / "plane.npy", neighbours_map(rows).astype(np.float32))
        _save(folder / "features.npy", rows)
        _keep(check(dataset, store, settings, on_progress=told), store, thorough=True)
        _tell(folder, os.getpid(), state="finished", message="Measured.", done=1, total=1)
    except StudioError as error:
        _tell(folder, os.getpid(), state="failed", message=str(error), done=0, total=0)


def _keep(report: HealthReport, store: Store, *, thorough: bool) -> dict[str, Any]:
    found, dataset = report.findings, report.dataset
    facts = {
        "files": [item.file for item in dataset.items],
        "copies": [group for one in found if one.kind in ("conflict", "duplicate") for group in one.groups],
        "gray": [i for one in found if one.kind == "colour" and "no colour" in one.title for i in one.pictures],
        "shortcuts": [asdict(one) for one in report.shortcuts],
        "suspects": [
            (i, int(dataset.y[i]), dataset.classes[label])
            for one in found
            if one.kind == "label"
            for i, label in zip(one.fix.pictures, one.fix.labels, strict=True)
        ],
        "twins": [group for one in found if one.kind == "alike" for group in one.groups],
        "thorough": thorough,
        "leakage": None if report.leakage is None else report.leakage.as_json(),
        "curve": None if report.curve is None else report.curve.as_json(),
    }
    write_json(_folder(store, dataset.id) / "facts.json", facts)
    found_now: dict[str, Any] = read_json(_folder(store, dataset.id) / "facts.json")
    return found_now


def _followed(dataset: Dataset, known: dict[str, Any], *, edited: bool) -> Look:
    """The findings of ``dataset`` by what was measured of the pictures it still has."""
    now = {item.file: i for i, item in enumerate(dataset.items)}
    at = [now.get(file, -1) for file in known["files"]]
    copies, twins = (
        [tuple(at[i] for i in group if at[i] >= 0) for group in known.get(kind, ())] for kind in ("copies", "twins")
    )
    gray = np.zeros(len(dataset), dtype=bool)
    gray[[at[i] for i in known["gray"] if at[i] >= 0]] = True
    doubts = [
        Suspect(at[i], int(dataset.y[at[i]]), dataset.classes.index(name), 1.0)
        for i, _, name in known["suspects"]
        if at[i] >= 0 and name in dataset.classes and dataset.classes[dataset.y[at[i]]] != name
    ]
    return Look(
        findings=findings(
            dataset,
            copies=[group for group in copies if len(group) >= PAIR],
            shortcuts=[Shortcut(**one) for one in known["shortcuts"]],
            suspects=doubts,
            twins=[group for group in twins if len(group) >= PAIR],
            gray=gray,
        ),
        thorough=known["thorough"],
        leakage=known["leakage"],
        curve=known["curve"],
        edited=edited,
    )


def _rows(dataset: Dataset, store: Store, name: str) -> Floats | None:
    folder = _folder(store, _base(store, dataset.id))
    files = read_json(folder / "files.json")
    if files is None or not (folder / name).exists():
        return None
    row = {file: i for i, file in enumerate(files)}
    wanted = [row.get(item.file, -1) for item in dataset.items]
    if -1 in wanted:
        return None
    try:
        os.utime(folder / name)  # used, so that eviction takes others first
        found: Floats = np.load(folder / name, mmap_mode="r", allow_pickle=False)[wanted]
    except FileNotFoundError:  # evicted a moment ago
        return None
    return found


def _base(store: Store, dataset_id: str) -> str:
    """The id of what a dataset is judged by: itself, or what it was edited from."""
    folder = _folder(store, dataset_id)
    own = (folder / "facts.json").exists() and (folder / "features.npy").exists()
    return dataset_id if own else str((read_json(folder / "of.json") or {"of": dataset_id})["of"])


def _folder(store: Store, dataset_id: str) -> Path:
    folder = store.datasets / "looks" / checked_id(dataset_id, "dataset")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _save(path: Path, rows: Floats) -> None:
    content = io.BytesIO()
    np.save(content, rows, allow_pickle=False)
    write_bytes(path, content.getvalue())


def _tell(folder: Path, pid: int, **changes: Any) -> None:
    if known := identity(pid):
        write_json(folder / "state.json", known | changes)
