"""Many pictures asked at once, sets at another level, and a probe that learns what a person puts right."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import PictureFolder
from trainer.asking import MOST, as_csv, asked, narrowed
from trainer.corrections import hashed, scores, solve, take
from trainer.prediction import Prediction, said
from zoo.backbone import Picture
from zoo.errors import BadUpload
from zoo.intake import intake
from zoo.probe import ridge
from zoo.settings import Settings
from zoo.store import Store

CLASSES = ("=cmd", "b", "c")


class Constant:
    """Answers the same whatever it is shown."""

    def predict(self, pictures: Sequence[Picture]) -> list[Prediction]:
        return [said(CLASSES, np.array([0.6, 0.3, 0.1]), 1.5, 0.95, 0.01) for _ in pictures]


def test_many_at_once_are_answered_or_told_why_not_and_no_cell_is_a_formula(
    store: Store, settings: Settings, picture_folder: PictureFolder, tmp_path: Path
) -> None:
    bundle, broken = tmp_path / "some.zip", tmp_path / "=broken.jpg"
    broken.write_bytes(b"no picture")
    with zipfile.ZipFile(bundle, "w") as made:
        for number, path in enumerate(sorted(picture_folder(1, 3).rglob("*.png"))):
            made.write(path, f"inside/{number}.png")
    (tmp_path / "no.zip").write_bytes(b"not a zip")
    rows, more = asked([bundle, broken, tmp_path / "no.zip"], Constant(), 0.5, store, settings)
    told = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert more == 0 < MOST
    assert [row["answer"] for row in told].count("'=cmd") == 3
    assert next(row for row in told if row["file"] == "'=broken.jpg")["problem"]
    assert next(row for row in told if row["file"] == "no.zip")["problem"]
    assert not any(cell.startswith("=") for row in told for cell in row.values())
    assert not list(store.uploads.iterdir())


def test_a_set_grows_with_what_it_must_promise() -> None:
    answer = Constant().predict([np.zeros((2, 2, 3), np.uint8)])[0]
    assert narrowed(answer, 0.5).set == CLASSES[:1]
    assert narrowed(answer, 0.6).set == CLASSES[:2]
    assert narrowed(answer, 0.9).set == CLASSES
    assert narrowed(answer, None).set == CLASSES
    assert narrowed(answer, 0.0) == replace(answer, set=CLASSES[:1])


def test_a_picture_put_right_is_a_new_revision_and_the_probe_learns_it(
    store: Store, settings: Settings, picture_folder: PictureFolder, tmp_path: Path
) -> None:
    before = intake(picture_folder(2, 8), store, settings)
    content = next(picture_folder(("other",), 1, name="more", seed=5).rglob("*.png")).read_bytes()
    rng = np.random.default_rng(0)
    known = {item.sha: rng.normal(size=16) + 6 * np.eye(16)[item.label] for item in before.items}
    row = rng.normal(size=16) + 6 * np.eye(16)[9]
    sha = hashed(content)
    found = solve(before, known, sha, row, "something new")
    assert found.says == "something new" != found.said
    assert found.now > found.was
    assert found.pictures == 16
    x, y = np.stack([known[item.sha] for item in before.items]).astype(np.float32), before.y
    probe = ridge(x, y, before.groups, 2)
    assert found.before == probe.accuracy
    rest = np.arange(16) != 3
    alone = scores(x[rest], y[rest], 2, probe.penalty, x[3])
    assert alone.argmax() == y[3]
    after = take(before, content, "something new", store, settings)
    assert after.parent == before.id
    assert after.counts["something new"] == 1
    assert after.change == "1 picture put right as something new."
    again = take(after, content, "class_0", store, settings)
    assert again.counts["class_0"] == before.counts["class_0"] + 1
    with pytest.raises(BadUpload):
        take(again, content, "class_0", store, settings)
