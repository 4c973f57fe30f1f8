"""What became of every file is told, and no cell of it is a formula."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import PictureFolder
from zoo.dataset import Dataset, Item, Skipped
from zoo.intake import intake
from zoo.repair import harmless, repair_csv, repair_report
from zoo.settings import Settings
from zoo.store import Store


def test_what_was_read_repaired_and_skipped_is_counted_with_its_reason(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    top = picture_folder(("cat", "dog"), 2)
    picture = Image.open(top / "cat" / "cat_000.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(top / "cat" / "turned.jpg", exif=exif)
    picture.convert("CMYK").save(top / "cat" / "inks.jpg")
    Image.fromarray(np.arange(3000, dtype=np.uint16).reshape(50, 60)).save(top / "cat" / "deep.png")
    (top / "dog" / "broken.png").write_bytes(b"<html></html>")
    (top / "notes.txt").write_bytes(b"x")
    dataset = intake(top, store, settings)
    report = repair_report(dataset)
    assert report["pictures"] == 7
    assert {one["what"]: (one["count"], one["paths"]) for one in report["repaired"]} == {
        "turned as EXIF says": (1, ["cat/turned.jpg"]),
        "printing inks (CMYK) turned into RGB": (1, ["cat/inks.jpg"]),
        "values deeper than 8 bits scaled": (1, ["cat/deep.png"]),
    }
    assert [(one["count"], one["paths"], one["corrupt"]) for one in report["skipped"]] == [
        (1, ["notes.txt"], False),
        (1, ["dog/broken.png"], True),
    ]
    lines = list(csv.DictReader(StringIO(repair_csv(dataset))))
    assert len(lines) == 9
    assert {line["path"]: line["outcome"] for line in lines if line["outcome"] != "read"} == {
        "cat/turned.jpg": "repaired",
        "cat/inks.jpg": "repaired",
        "cat/deep.png": "repaired",
        "notes.txt": "passed over",
        "dog/broken.png": "unreadable",
    }


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " =", "|", "%"])
def test_hostile_25_no_cell_starts_a_formula(start: str) -> None:
    name = f'{start}cmd("calc"),1'
    items = tuple(Item(file="x", name=name, label=label, sha=f"{label:064}") for label in (0, 1))
    dataset = Dataset(root=Path("/x"), title="x", classes=(name, "dog"), items=items, skipped=(Skipped(name, name),))
    for line in csv.reader(StringIO(repair_csv(dataset))):
        assert all(cell == "" or cell.lstrip(" ")[0] not in "=+-@\t\r|%" for cell in line)
    assert harmless(["cat-1", "a=b"]) == ["cat-1", "a=b"]
