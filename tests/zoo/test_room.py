"""Caches keep to their budget, the longest unused go first, and what will not fit is said before it is begun."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from zoo.dataset import Dataset
from zoo.errors import BadUpload
from zoo.intake import intake
from zoo.pictures import Pictures
from zoo.room import amount, cached, evict, make_room
from zoo.settings import Settings
from zoo.store import Store

PictureFolder = Callable[..., Path]


def put(path: Path, length: int, age: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(length))
    used = time.time() - age
    os.utime(path, (used, used))
    return path


def test_the_longest_unused_caches_go_first_and_no_more_than_must(store: Store) -> None:
    old = put(store.pictures / "old.bin", 100, 9000)
    older = put(store.features / "x" / "older.npz", 100, 99_000)
    shard = put(store.features / "x" / "0a1b" / "tap0.npy", 100, 500_000)
    new = put(store.pictures / "new.bin", 100, 5000)
    looked = put(store.datasets / "looks" / "0123456789abcdef" / "features.npy", 100, 999_000)
    assert [one.path for one in cached(store)] == [looked, shard, older, old, new]
    assert evict(store, 200) == 300
    assert not looked.exists()
    assert not shard.exists()
    assert not older.exists()
    assert evict(store, 150) == 100
    assert not old.exists()
    assert new.exists()


def test_what_was_just_used_and_what_is_kept_stays(store: Store) -> None:
    fresh = put(store.pictures / "fresh.bin", 100, 1)
    kept = put(store.pictures / "kept.bin", 100, 9000)
    put(store.pictures / "old.bin", 100, 5000)
    assert evict(store, 0, keep=[kept]) == 100
    assert fresh.exists()
    assert kept.exists()


def test_what_can_be_made_again_for_answering_and_taking_away_counts_too(store: Store) -> None:
    network = put(store.root / "served" / "0123" / "network.onnx", 100, 9000)
    export = put(store.root / "takeaway" / "run-onnx" / "classifier-onnx" / "classifier.onnx", 100, 8000)
    said = put(export.parents[1] / "said.json", 20, 8000)
    young = put(store.root / "takeaway" / "run-web" / "said.json", 20, 1)
    assert evict(store, 140) == 100
    assert not network.exists()
    assert said.exists()
    assert evict(store, 0) == 120  # an export goes whole
    assert not said.parent.exists()
    assert [one.name for one in (store.root / "takeaway").iterdir()] == ["run-web"]
    assert young.exists()


def test_opening_pictures_counts_as_use(picture_folder: PictureFolder, store: Store, settings: Settings) -> None:
    dataset = intake(picture_folder(2, 2), store, settings)
    (path,) = store.pictures.glob("*.bin")
    os.utime(path, (0, 0))
    Pictures.open(store, dataset)
    assert evict(store, 0) == 0 or path.exists()


def test_an_intake_evicts_and_what_was_evicted_comes_back(
    picture_folder: PictureFolder, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = intake(picture_folder(2, 2), store, settings)
    (path,) = store.pictures.glob("*.bin")
    os.utime(path, (0, 0))
    monkeypatch.setattr("zoo.intake.evict", lambda store, most: evict(store, 0))
    intake(picture_folder(2, 3, name="more", seed=1), store, settings)
    assert not path.exists()
    assert len(Pictures.open(store, Dataset.load(store, dataset.id))) == 4


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_disk_that_is_too_small_is_said_before_all_is_decoded(
    picture_folder: PictureFolder, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """400 pictures of 57.6 kB decoded are 23 MB; 20 MB are free beside what must stay so."""
    top = picture_folder(2, 200, size=(160, 120))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, (256 << 20) + 14 * 10**6))
    seen = []
    with pytest.raises(
        BadUpload, match=r"400 pictures would take about .* MB on the disk, and 14 MB can be had"
    ) as bad:
        intake(top, store, settings, lambda stage, done, _: seen.append(done) if stage == "decode" else None)
    assert "STUDIO_HOME" in bad.value.remedy
    assert max(seen) <= 64
    assert not list(store.pictures.glob(".draft-*"))


def test_room_is_made_of_old_caches_before_anyone_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    old = put(store.pictures / "old.bin", 3000, 9000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, (256 << 20) + (1000 if old.exists() else 4000)))
    make_room(store, 3500, "It")
    assert not old.exists()
    with pytest.raises(BadUpload, match=r"It would take about 4\.5 kB on the disk, and 4 kB can be had"):
        make_room(store, 4500, "It")


@pytest.mark.parametrize(("length", "said"), [(12_345, "12.3 kB"), (4_200_000, "4.2 MB"), (37_800_000_000, "37.8 GB")])
def test_amounts_are_said_as_people_do(length: int, said: str) -> None:
    assert amount(length) == said


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 8 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    may = sys.platform == "linux" and os.geteuid() == 0
    if not may or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk: NOT tested here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_real_disk_that_fills_while_decoding_is_said_to_be_full(
    small_disk: Path, picture_folder: PictureFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forecast is made to err, as when something else fills the disk meanwhile."""
    monkeypatch.setattr("zoo.resume.make_room", lambda *_: None)
    top = picture_folder(2, 100, size=(400, 300))
    store = Store(small_disk)
    with pytest.raises(BadUpload, match="disk is full"):
        intake(top, store, settings)
    assert not list(store.pictures.glob(".draft-*"))


def test_a_real_small_disk_is_refused_beforehand(
    small_disk: Path, picture_folder: PictureFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.room.SPARE", 1 << 20)
    monkeypatch.setattr("zoo.sandbox.SPARE_DISK", 0)
    with pytest.raises(BadUpload, match="200 pictures would take about"):
        intake(picture_folder(2, 100, size=(400, 300)), Store(small_disk), settings)
