"""What goes out comes back: the same pictures, labels and parts, under names that are safe everywhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import PictureFolder, drawn
from zoo.dataset import PARTS, Dataset, Split, split
from zoo.errors import BadExport, NotFound
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store
from zoo.takeout import GIVEN_AS, Format, safe, take_out

Take = Callable[[Path | str], Dataset]


@pytest.fixture
def take(store: Store, settings: Settings) -> Take:
    return lambda source: intake(source, store, settings)


def known(dataset: Dataset) -> list[tuple[str, str, str]]:
    return sorted((item.sha, dataset.classes[item.label], item.given) for item in dataset.items)


def as_exported(dataset: Dataset, parted: Split) -> list[tuple[str, str, str]]:
    return sorted(
        (item.sha, dataset.classes[item.label], GIVEN_AS[PARTS[part]])
        for item, part in zip(dataset.items, parted.parts.tolist(), strict=True)
    )


@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_what_goes_out_comes_back_with_its_labels_and_parts(
    kind: Format, picture_folder: PictureFolder, take: Take, tmp_path: Path
) -> None:
    top = picture_folder(("cat", "dog", "con"), 10)
    shutil.copy(top / "cat" / "cat_000.png", top / "dog" / "copy.png")
    dataset = take(top)
    parted = split(dataset, seed=3)
    take_out(dataset, parted, tmp_path / "out", kind)
    back = take(tmp_path / "out")
    assert sorted((sha, label.lstrip("_"), part) for sha, label, part in known(back)) == as_exported(dataset, parted)
    assert len(set(back.groups.tolist())) == len(set(dataset.groups.tolist()))
    take_out(back, split(back), tmp_path / "again", kind)
    assert take(tmp_path / "again").fingerprint == back.fingerprint
    assert known(take(tmp_path / "again")) == known(back)


def test_exported_parquet_is_read_by_hugging_faces_library(
    picture_folder: PictureFolder, take: Take, tmp_path: Path
) -> None:
    import datasets

    dataset = take(picture_folder(("cat", "dog"), 10))
    parted = split(dataset)
    files = take_out(dataset, parted, tmp_path / "out", "parquet")
    names = {"train": "train", "validation": "val", "test": "test"}
    data_files = {name: str(tmp_path / "out" / "data" / f"{name}-*.parquet") for name in names}
    read = datasets.load_dataset("parquet", data_files=data_files, cache_dir=str(tmp_path / "cache"))
    assert read["train"].features["label"].names == ["cat", "dog"]
    assert isinstance(read["train"].features["image"], datasets.Image)
    assert {name: len(part) for name, part in read.items()} == {
        name: sum(GIVEN_AS[PARTS[number]] == part for number in parted.parts) for name, part in names.items()
    }
    assert read["train"][0]["image"].size == (64, 48)
    assert Path("split.json") in files


def test_a_folder_holds_the_original_bytes(picture_folder: PictureFolder, take: Take, tmp_path: Path) -> None:
    top = picture_folder(("cat", "dog"), 5)
    dataset = take(top)
    take_out(dataset, split(dataset), tmp_path / "out", "folder")
    before = sorted(path.read_bytes() for path in top.rglob("*.png"))
    assert sorted(path.read_bytes() for path in (tmp_path / "out").rglob("*.png")) == before


def test_a_split_is_reused_by_its_id(picture_folder: PictureFolder, take: Take, store: Store) -> None:
    parted = split(take(picture_folder(2, 10)), seed=7)
    parted.save(store)
    again = Split.load(store, parted.id)
    assert (again.id, again.seed) == (parted.id, 7)
    assert np.array_equal(again.parts, parted.parts)
    with pytest.raises(NotFound):
        Split.load(store, "../../etc/passwd")


@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_nothing_is_overwritten_and_nothing_is_left_half(
    kind: Format, picture_folder: PictureFolder, take: Take, tmp_path: Path
) -> None:
    top = picture_folder(("cat", "dog"), 3)
    dataset = take(top)
    with pytest.raises(BadExport, match="there already"):
        take_out(dataset, split(dataset), top, kind)
    with pytest.raises(BadExport, match="cannot be made"):
        take_out(dataset, split(dataset), top / "cat" / "cat_000.png" / "out", kind)
    drawn(4, 4).save(top / "dog" / "dog_002.png")
    with pytest.raises(BadExport, match="no longer the picture"):
        take_out(dataset, split(dataset), tmp_path / "out" / "deep", kind)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_split_lies_beside_it(picture_folder: PictureFolder, take: Take, tmp_path: Path) -> None:
    dataset = take(picture_folder(2, 5))
    parted = split(dataset, seed=2)
    take_out(dataset, parted, tmp_path / "out", "folder")
    value = json.loads((tmp_path / "out" / "split.json").read_text())
    assert (value["split"], value["seed"], value["dataset"]) == (parted.id, 2, dataset.id)
    assert [one["part"] for one in value["pictures"]] == [PARTS[part] for part in parted.parts]


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "",
        "a/b",
        "a\\b",
        "CON",
        "nul.txt",
        "x" * 300,
        "=1+1",
        "a\nb",
        "\0",
        "<b>",
        "c:",
        "é" * 150,
        ".hidden",
    ],
)
def test_hostile_24_names_are_safe_on_every_system(name: str) -> None:
    taken: set[str] = set()
    first, second = safe(name, taken), safe(name, taken)
    assert first.casefold() != second.casefold()
    for one in (first, second):
        assert one
        assert not set(one) & set('/\\:*?"<>|\0\n')
        assert one[0] != "."
        assert one[-1] not in ". "
        assert len(one.encode()) <= 220
        assert one.partition(".")[0].upper() not in ("CON", "NUL")


def test_names_that_differ_in_capitals_alone_are_told_apart() -> None:
    taken: set[str] = set()
    assert safe("Cat.jpg", taken) == "Cat.jpg"
    assert safe("cat.JPG", taken) == "cat 2.JPG"
