"""Datasets grow: a new revision, nothing twice, the old one as it was; bursts stay together."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import PictureFolder, drawn
from zoo.adding import add, merge
from zoo.bursts import burst, developed, held
from zoo.dataset import Dataset, split
from zoo.errors import BadUpload, NotFound
from zoo.intake import intake
from zoo.pictures import Pictures
from zoo.sandbox import Sandbox
from zoo.settings import Settings
from zoo.store import Store

Take = Callable[[Path | str], Dataset]


@pytest.fixture
def take(store: Store, settings: Settings) -> Take:
    return lambda source: intake(source, store, settings)


def test_pictures_of_one_class_can_be_added(
    picture_folder: PictureFolder, take: Take, store: Store, settings: Settings
) -> None:
    before = take(picture_folder(("cat", "dog"), 3))
    after = add(before, picture_folder(("dog",), 2, name="more", seed=5), store, settings)
    assert after.counts == {"cat": 3, "dog": 5}
    assert (after.parent, "2 pictures added" in after.change) == (before.id, True)
    assert Dataset.load(store, before.id) == before
    assert Dataset.load(store, after.id) == after
    assert len(Pictures.open(store, after)) == 8


def test_only_the_pictures_that_are_added_are_decoded_and_the_others_are_as_if_they_had_been(
    picture_folder: PictureFolder, take: Take, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = picture_folder(("cat", "dog"), 4)
    before = take(top)
    more = picture_folder(("dog",), 2, name="more", seed=5)
    decoded: list[str] = []
    counted = Sandbox._decode_some

    def counting(self: Sandbox, files: Sequence[Path], indices: list[int], *rest: Any) -> list[int]:
        decoded.extend(files[index].name for index in indices)
        return counted(self, files, indices, *rest)

    monkeypatch.setattr(Sandbox, "_decode_some", counting)
    after = add(before, more, store, settings)
    assert len(decoded) == 2
    for path in (more / "dog").iterdir():
        shutil.copy(path, top / "dog" / f"more_{path.name}")
    whole = take(top)
    assert {item.sha: replace(item, file="", name="", group=0) for item in after.items} == {
        item.sha: replace(item, file="", name="", group=0) for item in whole.items
    }
    seen, anew = Pictures.open(store, after), Pictures.open(store, whole)
    row = {item.sha: index for index, item in enumerate(whole.items)}
    order = np.array([row[item.sha] for item in after.items])
    assert all(np.array_equal(seen[index], anew[int(place)]) for index, place in enumerate(order))
    assert np.array_equal(seen.thumbnails(np.arange(10)), anew.thumbnails(order))


def test_a_picture_that_was_changed_on_the_disk_is_decoded_again(
    picture_folder: PictureFolder, take: Take, store: Store, settings: Settings
) -> None:
    top = picture_folder(("cat", "dog"), 3)
    before = take(top)
    shutil.copy(top / "dog" / "dog_001.png", top / "dog" / "dog_000.png")
    after = add(before, picture_folder(("dog",), 2, name="more", seed=5), store, settings)
    assert hashlib.sha256((top / "dog" / "dog_001.png").read_bytes()).hexdigest() in {one.sha for one in after.items}
    gone = {one.sha for one in before.items} - {one.sha for one in after.items}
    assert len(gone) == 1


def test_a_class_can_be_added_out_of_an_archive(
    picture_folder: PictureFolder, take: Take, store: Store, settings: Settings, tmp_path: Path
) -> None:
    before = take(picture_folder(("cat", "dog"), 3))
    more = picture_folder(("owl", "rat"), 2, name="more", seed=5)
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        for path in more.rglob("*.png"):
            archive.write(path, path.relative_to(more))
    after = add(before, tmp_path / "more.zip", store, settings)
    (tmp_path / "more.zip").unlink()
    assert after.counts == {"cat": 3, "dog": 3, "owl": 2, "rat": 2}
    assert all((after.root / item.file).is_file() for item in after.items)


def test_the_same_picture_is_not_taken_twice(
    picture_folder: PictureFolder, take: Take, store: Store, settings: Settings
) -> None:
    top = picture_folder(("cat", "dog"), 3)
    before = take(top)
    more = picture_folder(("cat", "owl"), 2, name="more", seed=5)
    shutil.copy(top / "cat" / "cat_000.png", more / "cat" / "again.png")
    shutil.copy(top / "dog" / "dog_000.png", more / "cat" / "other.png")
    after = add(before, more, store, settings)
    assert after.counts == {"cat": 5, "dog": 3, "owl": 2}
    assert {one.path: one.why for one in after.skipped} == {
        "cat/again.png": "It is there already, as 'cat'.",
        "cat/other.png": "It is there already, as 'dog'.",
    }
    assert add(before, top, store, settings) == before


def test_what_holds_no_picture_adds_nothing_and_says_so(
    picture_folder: PictureFolder, take: Take, store: Store, settings: Settings, tmp_path: Path
) -> None:
    before = take(picture_folder(("cat", "dog"), 3))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadUpload, match="no pictures in 'empty'"):
        add(before, tmp_path / "empty", store, settings)
    (tmp_path / "torn" / "cat").mkdir(parents=True)
    (tmp_path / "torn" / "cat" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    with pytest.raises(BadUpload, match="None of the 1 pictures in 'torn' can be read"):
        add(before, tmp_path / "torn", store, settings)


def test_an_original_that_is_gone_or_torn_stands_in_nobodys_way(
    picture_folder: PictureFolder, take: Take, store: Store, settings: Settings, tmp_path: Path
) -> None:
    top = picture_folder(("cat", "dog"), 4)
    torn = b"\x89PNG\r\n\x1a\n torn"
    (top / "cat" / "torn.png").write_bytes(torn)
    before = take(top)
    (top / "dog" / "dog_000.png").unlink()
    added = add(before, picture_folder(("cat",), 1, name="new", seed=9), store, settings)
    assert added.counts == {"cat": 5, "dog": 3}
    (tmp_path / "same" / "cat").mkdir(parents=True)
    (tmp_path / "same" / "cat" / "torn.png").write_bytes(torn)
    with pytest.raises(BadUpload, match="None of the 1 pictures in 'same' can be read"):
        add(before, tmp_path / "same", store, settings)


def test_merging_joins_classes_by_name_and_copies_across_both(
    picture_folder: PictureFolder, take: Take, store: Store, settings: Settings
) -> None:
    top = picture_folder(("cat", "dog"), 3, size=(200, 150))
    first = take(top)
    other = picture_folder(("dog", "owl"), 3, name="other", seed=5)
    with (top / "cat" / "cat_000.png").open("rb") as file:
        from PIL import Image

        Image.open(file).save(other / "owl" / "smaller.jpg", quality=80)
    merged = merge(first, take(other), store, settings)
    assert merged.counts == {"cat": 3, "dog": 6, "owl": 4}
    group = {item.name: item.group for item in merged.items}
    assert group["cat/cat_000.png"] == group["owl/smaller.jpg"]


def frames(kind: int, count: int) -> list[bytes]:
    found = []
    for seed in range(count):
        out = BytesIO()
        drawn(kind, seed).save(out, "JPEG")
        found.append(out.getvalue())
    return found


def test_bursts_of_the_page_are_pictures_of_one_group_each(store: Store, settings: Settings) -> None:
    tray = burst(store, "cup", frames(0, 5))
    assert burst(store, "pen", frames(1, 4), tray) == tray
    burst(store, "cup", frames(2, 3), tray)
    assert held(store, tray) == {"cup": 8, "pen": 4}
    dataset = developed(store, settings, tray)
    assert dataset.counts == {"cup": 8, "pen": 4}
    assert len(set(dataset.groups.tolist())) == 3
    parts = split(dataset).parts
    assert all(len(set(parts[dataset.groups == group].tolist())) == 1 for group in range(3))


def test_a_burst_of_one_class_is_added_to_a_dataset(
    picture_folder: PictureFolder, take: Take, store: Store, settings: Settings
) -> None:
    before = take(picture_folder(("cat", "dog"), 3))
    tray = burst(store, "owl", frames(3, 4))
    with pytest.raises(BadUpload, match="one class, 'owl'"):
        developed(store, settings, tray)
    after = developed(store, settings, tray, before)
    assert after.counts == {"cat": 3, "dog": 3, "owl": 4}
    assert len({item.group for item in after.items if after.classes[item.label] == "owl"}) == 1


def test_frames_that_are_none_are_refused(store: Store) -> None:
    with pytest.raises(BadUpload, match="neither a JPEG nor a PNG"):
        burst(store, "cup", [b"<html></html>"])
    with pytest.raises(BadUpload, match="no name"):
        burst(store, " \u200b ", frames(0, 1))
    with pytest.raises(BadUpload, match="0 frames"):
        burst(store, "cup", [])
    with pytest.raises(NotFound):
        burst(store, "cup", frames(0, 1), "../../etc")
