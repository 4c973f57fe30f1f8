"""A person says what a picture really is: it goes into the dataset, and a probe learns it at once.

What is solved anew is a probe, ridge regression on frozen features, and not the classifier, which stays as it is until
it is trained again. The test part is left out of it. ``corrections`` in the run's folder keeps the features of what was
put right, so that the next correction builds on it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evidence import Evidence
from trainer.folder import RunFolder
from zoo.adding import add
from zoo.columns import Columns
from zoo.dataset import Dataset, split
from zoo.edits import relabel
from zoo.errors import BadUpload, NotFound
from zoo.judging import few_threads
from zoo.look import revise
from zoo.names import clean
from zoo.probe import even, ridge
from zoo.sandbox import Progress
from zoo.settings import Settings
from zoo.store import Store, write_bytes

FROZEN = ("linear_head", "earlier_layer")  # strategies whose last layer reads frozen features
PLACE = "corrections"
TABLE = "correction.csv"
COLUMNS = Columns("file", "label", "", "")
LONGEST = 100

Row = NDArray[np.floating]
Known = dict[str, Row]  # features by the hash of the picture's file


@dataclass(frozen=True, kw_only=True)
class Solved:
    """The probe before and after.

    Attributes:
        pictures: how many it learned from before.
        before, after: share right, each picture told by the fit without it, with 95 % intervals.
        said, says: the class it gives the picture before and after.
        was, now: its score for the right class, 1 for certain.
    """

    pictures: int
    before: float
    before_interval: tuple[float, float]
    after: float
    after_interval: tuple[float, float]
    said: str
    says: str
    was: float
    now: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def solve(dataset: Dataset, known: Known, sha: str, row: Row, label: str) -> Solved:
    """The probe on what is ``known`` of ``dataset``, before and after the picture ``sha``, its ``row``, is ``label``.

    Raises:
        BadUpload: it is so already.
        NotFound: too little is known for a probe.
    """
    with few_threads(len(known)):
        return _solved(dataset, known, sha, row, label)


def _solved(dataset: Dataset, known: Known, sha: str, row: Row, label: str) -> Solved:
    shas = list(dataset.held.texts("sha"))
    if sha in shas and dataset.classes[dataset.y[shas.index(sha)]] == label:
        raise _already(label)
    rows = np.array([index for index, one in enumerate(shas) if one in known], dtype=np.int64)
    if len(rows) < 2 or len(np.unique(dataset.y[rows])) < 2:
        raise NotFound("This run kept no features of its pictures.", "Train again with the new revision.")
    classes = dataset.classes if label in dataset.classes else (*dataset.classes, label)
    x = np.stack([known[shas[index]] for index in rows]).astype(np.float32)
    y, groups, right = dataset.y[rows], dataset.groups[rows], classes.index(label)
    before = ridge(x, y, groups, len(classes))
    at = np.flatnonzero(np.array([shas[index] == sha for index in rows]))
    if len(at):
        was = before.scores[at[0]]
        learned, told, together = x, y.copy(), groups
        told[at] = right
    else:
        was = scores(x, y, len(classes), before.penalty, row)
        own = dataset.groups[shas.index(sha)] if sha in shas else dataset.groups.max() + 1
        learned = np.concatenate([x, row[None].astype(np.float32)])
        told, together = np.append(y, right), np.append(groups, own)
    after = ridge(learned, told, together, len(classes))
    now = scores(learned, told, len(classes), after.penalty, row)
    return Solved(
        pictures=len(rows), before=before.accuracy, before_interval=before.interval, after=after.accuracy,
        after_interval=after.interval, said=classes[int(was.argmax())], says=classes[int(now.argmax())],
        was=float(was[right]), now=float(now[right]),
    )  # fmt: skip


def scores(x: Row, y: NDArray[np.int64], classes: int, penalty: float, shown: Row) -> NDArray[np.float64]:
    """(C,) what the ridge probe with that penalty, fitted to all of ``x``, gives ``shown`` (D,)."""
    rows, target = even(x), np.eye(classes)[y]
    middle, share = rows.mean(axis=0), target.mean(axis=0)
    rows, target = rows - middle, target - share
    strength = penalty * ((rows**2).sum() / rows.shape[1] or 1.0)
    new = even(np.asarray(shown)[None])[0] - middle
    if len(rows) <= rows.shape[1]:
        weights = rows.T @ np.linalg.solve(rows @ rows.T + strength * np.eye(len(rows)), target)
    else:
        weights = np.linalg.solve(rows.T @ rows + strength * np.eye(rows.shape[1]), rows.T @ target)
    return np.asarray(share + new @ weights)


def base(run: Path, seat: str, store: Store) -> Dataset:
    """What a correction goes into: ``seat`` where that was made of the run's dataset, else the run's dataset."""
    own = RunFolder(run).plan().dataset
    try:
        at = first = Dataset.load(store, seat or own)
        while at.id != own and at.parent:
            at = Dataset.load(store, at.parent)
        return first if at.id == own else Dataset.load(store, own)
    except NotFound:
        return Dataset.load(store, own)


def frozen(run: Path) -> bool:
    """Whether what the classifier's last layer reads is what the frozen backbone gives."""
    return RunFolder(run).plan().strategy in FROZEN


def kept(run: Path, store: Store) -> Known:
    """Features kept by a run whose backbone stayed frozen, the test part left out, and those of earlier corrections."""
    evidence = Evidence.load(run).of("train", "select", "calibration")
    if not evidence.features.shape[1]:
        return corrected(run)
    shas = Dataset.load(store, RunFolder(run).plan().dataset).held.texts("sha")
    found = {shas[int(row)]: one for row, one in zip(evidence.rows, evidence.features, strict=True)}
    width = evidence.features.shape[1:]
    return found | {sha: row for sha, row in corrected(run).items() if row.shape == width}


def held_back(run: Path, store: Store) -> set[str]:
    """Hashes of the run's test pictures."""
    plan = RunFolder(run).plan()
    dataset = Dataset.load(store, plan.dataset)
    shas = dataset.held.texts("sha")
    return {shas[int(index)] for index in split(dataset, plan.seed).of("test")}


def corrected(run: Path) -> Known:
    """Features of what was put right before."""
    return {path.stem: np.load(path, allow_pickle=False) for path in sorted((run / PLACE).glob("*.npy"))}


def remember(run: Path, sha: str, row: Row) -> None:
    """Keep the features of a picture that was put right."""
    content = io.BytesIO()
    np.save(content, np.asarray(row, dtype=np.float32), allow_pickle=False)
    write_bytes(run / PLACE / f"{sha}.npy", content.getvalue())


def forget(run: Path, sha: str) -> None:
    """Undo ``remember``."""
    (run / PLACE / f"{sha}.npy").unlink(missing_ok=True)


def hashed(content: bytes) -> str:
    """As a dataset knows a picture's file."""
    return hashlib.sha256(content).hexdigest()


def named(label: str) -> str:
    """A class's name as a person wrote it.

    Raises:
        BadUpload: it is none.
    """
    name = clean((label or "").strip(), LONGEST)
    if not name:
        raise BadUpload("Nothing says what it is.", "Choose a class, or write a new one.")
    return name


def _already(label: str) -> BadUpload:
    return BadUpload(f"It is in the dataset already, as {label!r}.", "Choose another class, or leave it.")


def take(
    dataset: Dataset, content: bytes, label: str, store: Store, settings: Settings, told: Progress = lambda *_: None
) -> Dataset:
    """The next revision of ``dataset``: the picture in the file ``content`` is there, as ``label``.

    Raises:
        BadUpload: it cannot be read, or is there already, called so.
    """
    name, sha = named(label), hashed(content)
    at = [index for index, one in enumerate(dataset.held.texts("sha")) if one == sha]
    if at:
        after = relabel(dataset, at, name)
        if after.id == dataset.id:
            raise _already(name)
        revise(store, dataset, after)
        return after
    with tempfile.TemporaryDirectory(dir=store.uploads) as room:
        file = "picture" + (".jpg" if content.startswith(b"\xff\xd8\xff") else ".png")
        (Path(room) / file).write_bytes(content)
        with (Path(room) / TABLE).open("w", encoding="utf-8", newline="") as table:
            csv.writer(table).writerows([["file", "label"], [file, name]])
        change = f"1 picture put right as {name}."
        return add(dataset, Path(room) / TABLE, store, settings, told, COLUMNS, change)
