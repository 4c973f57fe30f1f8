"""Many pictures asked at once, each answer with the set of classes that a person's demand for certainty leaves.

Archives are unpacked and pictures decoded in the same limited child as those of a dataset.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Protocol

import numpy as np

from trainer.conformal import MISS
from trainer.prediction import Prediction
from zoo.backbone import Picture
from zoo.errors import BadPicture, StudioError
from zoo.names import clean
from zoo.pictures import SIDE
from zoo.repair import harmless
from zoo.sandbox import Progress, Sandbox
from zoo.settings import Settings
from zoo.store import Store, read_json

MOST = 500  # pictures asked at once
MOST_ENTRIES = 20_000  # of an archive
ARCHIVES = (".zip", ".tar", ".gz", ".tgz")
COLUMNS = ("file", "answer", "probability", "set", "unknown", "novelty", "ms", "problem")


class Answering(Protocol):
    """Whatever answers: served without torch, or by a process with it."""

    def predict(self, pictures: Sequence[Picture]) -> list[Prediction]: ...


@dataclass(frozen=True, kw_only=True)
class Row:
    """One file's answer, or the sentence that says why there is none."""

    name: str
    picture: Picture | None = None
    answer: Prediction | None = None
    problem: str = ""


def levels(folder: Path) -> dict[float, float]:
    """How often a set may lack the truth → the threshold for that, strictest last; what calibration was enough for."""
    facts = read_json(folder / "studio.json") or {}
    found = {float(miss): float(threshold) for miss, threshold in (facts.get("set_thresholds") or {}).items()}
    if not found and facts.get("set_threshold") is not None:
        found = {MISS: float(facts["set_threshold"])}
    return dict(sorted(found.items(), reverse=True))


def narrowed(answer: Prediction, threshold: float | None) -> Prediction:
    """``answer`` with the set at another threshold, of its ten likeliest classes; all of them where there is none."""
    kept: list[str] = []
    before = 0.0
    for label, share in answer.top:
        if kept and threshold is not None and before > threshold + 1e-9:
            break
        kept.append(label)
        before += share
    return replace(answer, set=tuple(kept))


def asked(
    paths: Sequence[Path],
    classifier: Answering,
    threshold: float | None,
    store: Store,
    settings: Settings,
    told: Progress = lambda *_: None,
) -> tuple[list[Row], int]:
    """A row for each picture in ``paths``, files and archives of them, and how many beyond ``MOST`` were left out."""
    with tempfile.TemporaryDirectory(dir=store.uploads) as room, Sandbox(settings.threads) as sandbox:
        files, rows = _files(paths, Path(room), sandbox, settings, told)
        more, files = max(0, len(files) - MOST), files[:MOST]
        pixels = Path(room) / "pixels"
        outcomes = sandbox.decode([path for _, path in files], pixels, SIDE, told)
        shown = np.memmap(pixels, dtype=np.uint8, mode="r") if pixels.stat().st_size else np.zeros(0, np.uint8)
        for number, ((name, _), outcome) in enumerate(zip(files, outcomes, strict=True)):
            if isinstance(outcome, BadPicture):
                rows.append(Row(name=name, problem=str(outcome)))
            else:
                offset, height, width = outcome.span
                picture = np.array(shown[offset : offset + height * width * 3]).reshape(height, width, 3)
                said = narrowed(classifier.predict([picture])[0], threshold)
                rows.append(Row(name=name, picture=picture, answer=said))
            told("answer", number + 1, len(files))
    return rows, more


def _files(
    paths: Sequence[Path], room: Path, sandbox: Sandbox, settings: Settings, told: Progress
) -> tuple[list[tuple[str, Path]], list[Row]]:
    """What is to be asked about, by name, and rows for what cannot be."""
    files: list[tuple[str, Path]] = []
    rows: list[Row] = []
    for number, path in enumerate(paths):
        if not path.name.lower().endswith(ARCHIVES):
            files.append((clean(path.name, 200), path))
            continue
        into = room / str(number)
        into.mkdir()
        try:
            members = sandbox.unpack(path, into, settings.max_upload_mb << 20, MOST_ENTRIES, told)
        except StudioError as error:
            rows.append(Row(name=clean(path.name, 200), problem=str(error)))
            continue
        files += [(clean(one.name, 200), into / one.file) for one in members if one.file]
        rows += [Row(name=clean(one.name, 200), problem=one.why) for one in members if not one.file]
    return files, rows


def as_csv(rows: Sequence[Row]) -> str:
    """One line a file; no cell is a formula to a spreadsheet."""
    text = StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerows(harmless(cells) for cells in map(_cells, rows))
    return text.getvalue()


def _cells(row: Row) -> Iterator[str]:
    said = row.answer
    if said is None:
        yield from (row.name, "", "", "", "", "", "", row.problem)
        return
    yield from (row.name, said.label, f"{said.probability:.4f}", " | ".join(said.set), "yes" if said.unknown else "no")
    yield from ("" if said.novelty is None else f"{said.novelty:.3f}", f"{1000 * said.seconds:.1f}", "")
