"""The decoded cache: every picture once, whole or absent, made again when it was evicted."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.dataset import Dataset
from zoo.decode import read_picture
from zoo.errors import BadUpload
from zoo.intake import intake
from zoo.pictures import Pictures, path_of
from zoo.settings import Settings
from zoo.store import Store


@pytest.fixture
def dataset(picture_folder: Callable[..., Path], store: Store, settings: Settings) -> Dataset:
    top = picture_folder(2, 4, size=(400, 360))
    Image.new("RGB", (30, 900), "red").save(top / "class_0" / "strip.png")
    Image.new("RGB", (1, 1), "blue").save(top / "class_1" / "dot.png")
    return intake(top, store, settings)


def forget(store: Store) -> None:
    for path in store.pictures.iterdir():
        path.unlink()


def test_every_picture_is_what_decoding_its_file_gives(dataset: Dataset, store: Store) -> None:
    pictures = Pictures.open(store, dataset)
    assert len(pictures) == len(dataset) == 10
    assert pictures.shas == tuple(item.sha for item in dataset.items)
    for index, item in enumerate(dataset.items):
        assert (pictures[index] == read_picture(dataset.root / item.file, side=320)).all()
        assert min(pictures[index].shape[:2]) <= 320
        assert pictures[index].dtype == np.uint8


def test_intake_has_decoded_already(dataset: Dataset, store: Store) -> None:
    shutil.rmtree(dataset.root)
    assert len(Pictures.open(store, dataset)) == 10


def test_evicted_pictures_are_decoded_again_and_are_the_same(dataset: Dataset, store: Store) -> None:
    before = [Pictures.open(store, dataset)[index].copy() for index in range(10)]
    forget(store)
    after = Pictures.open(store, dataset)
    assert all((after[index] == before[index]).all() for index in range(10))


def test_pictures_already_open_survive_eviction(dataset: Dataset, store: Store) -> None:
    pictures = Pictures.open(store, dataset)
    wanted = pictures[3].copy()
    forget(store)
    assert (pictures[3] == wanted).all()


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "stretched"])
def test_a_damaged_cache_is_made_again(damage: str, dataset: Dataset, store: Store) -> None:
    wanted = Pictures.open(store, dataset)[0].copy()
    path = path_of(store, [item.sha for item in dataset.items], 320)
    content = path.read_bytes()
    spoiled = {
        "cut": content[:-100],
        "empty": b"",
        "garbage": bytes(len(content)),
        "stretched": content[:-40] + (1 << 40).to_bytes(8, "little") + content[-32:],
    }
    path.write_bytes(spoiled[damage])
    assert (Pictures.open(store, dataset)[0] == wanted).all()
    assert path.read_bytes()[-16:] == content[-16:]


def test_another_side_is_another_cache(dataset: Dataset, store: Store) -> None:
    small = Pictures.open(store, dataset, side=64)
    assert small[0].shape == (64, 71, 3)
    assert Pictures.open(store, dataset)[0].shape == (320, 356, 3)


def test_originals_that_changed_or_went_are_not_passed_off(dataset: Dataset, store: Store) -> None:
    forget(store)
    victim = dataset.root / dataset.items[0].file
    Image.new("RGB", (9, 9)).save(victim)
    with pytest.raises(BadUpload, match="another picture"):
        Pictures.open(store, dataset)
    victim.unlink()
    with pytest.raises(BadUpload, match="no longer"):
        Pictures.open(store, dataset)
    assert list(store.pictures.iterdir()) == []


def open_and_add(root: Path, dataset_id: str) -> int:
    store = Store(root)
    pictures = Pictures.open(store, Dataset.load(store, dataset_id))
    return sum(int(pictures[index].sum()) for index in range(len(pictures)))


def test_two_processes_may_make_the_cache_at_once(dataset: Dataset, store: Store) -> None:
    forget(store)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.starmap(open_and_add, [(store.root, dataset.id)] * 2)
    assert found == [open_and_add(store.root, dataset.id)] * 2
    assert len(list(store.pictures.iterdir())) == 1


def test_a_relabelled_dataset_reads_the_same_pixels(dataset: Dataset, store: Store) -> None:
    shutil.rmtree(dataset.root)
    renamed = Dataset(root=dataset.root, title="x", classes=("a", "b"), items=dataset.items)
    assert len(Pictures.open(store, renamed)) == 10
