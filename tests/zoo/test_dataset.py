"""Splits that keep a dataset honest, and datasets that are known by their content."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.dataset import PARTS, Dataset, Item, split
from zoo.errors import BadUpload, NotFound
from zoo.store import Store, write_bytes


def made(
    labels: list[int], groups: list[int] | None = None, parts: list[str] | None = None, classes: int | None = None
) -> Dataset:
    count = len(labels)
    items = tuple(
        Item(file=f"{i}", name=f"{i}", label=label, sha=f"{i:064x}", given=given_part, group=group)
        for i, (label, group, given_part) in enumerate(
            zip(labels, groups or range(count), parts or [""] * count, strict=True)
        )
    )
    names = tuple(f"c{i}" for i in range(classes or max(labels) + 1))
    return Dataset(root=Path("/nowhere"), title="made", classes=names, items=items)


labelled = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=2, max_size=80)


@settings(max_examples=150, deadline=None)
@given(labelled, st.integers(0, 5))
def test_no_split_parts_a_group(pairs: list[tuple[int, int]], seed: int) -> None:
    dataset = made([label for label, _ in pairs], [group for _, group in pairs], classes=4)
    parts = split(dataset, seed).parts
    for group in set(dataset.groups.tolist()):
        assert len(set(parts[dataset.groups == group].tolist())) == 1


@settings(max_examples=150, deadline=None)
@given(labelled, st.integers(0, 5))
def test_every_class_keeps_a_picture_to_train_on(pairs: list[tuple[int, int]], seed: int) -> None:
    dataset = made([label for label, _ in pairs], [group for _, group in pairs], classes=4)
    train = split(dataset, seed).of("train")
    assert set(dataset.y[train].tolist()) == set(dataset.y.tolist())


@pytest.mark.parametrize("sizes", [(100, 100, 100), (400, 60, 25), (1000, 20)])
def test_parts_and_classes_have_their_shares(sizes: tuple[int, ...]) -> None:
    dataset = made([label for label, size in enumerate(sizes) for _ in range(size)])
    parts = split(dataset).parts
    for label, size in enumerate(sizes):
        shares = np.bincount(parts[dataset.y == label], minlength=4) / size
        assert shares == pytest.approx([0.6, 0.1, 0.1, 0.2], abs=max(0.01, 1.5 / size))


def test_shares_are_kept_where_pictures_come_in_pairs() -> None:
    dataset = made([i // 100 for i in range(300)], [i // 2 for i in range(300)])
    shares = np.bincount(split(dataset).parts, minlength=4) / 300
    assert shares == pytest.approx([0.6, 0.1, 0.1, 0.2], abs=0.02)


def test_a_seed_gives_its_split_again_and_another_seed_another() -> None:
    dataset = made([i % 3 for i in range(120)])
    assert split(dataset, 1).id == split(dataset, 1).id
    assert (split(dataset, 1).parts == split(dataset, 1).parts).all()
    assert split(dataset, 1).id != split(dataset, 2).id


def test_a_given_test_part_is_the_test_part() -> None:
    dataset = made([i % 2 for i in range(100)], parts=["test" if i < 30 else "train" for i in range(100)])
    found = split(dataset)
    assert found.of("test").tolist() == list(range(30))
    assert len(found.of("select")) == pytest.approx(9, abs=3)
    assert len(found.of("calibration")) == pytest.approx(9, abs=3)


def test_a_given_val_part_is_shared_by_select_and_calibration() -> None:
    dataset = made([i % 2 for i in range(100)], parts=["val" if i < 20 else "train" for i in range(100)])
    found = split(dataset)
    val = set(range(20))
    held = set(found.of("select", "calibration", "test").tolist())
    assert set(found.of("select", "calibration").tolist()) <= val
    assert len(found.of("select")) == pytest.approx(len(found.of("calibration")), abs=2)
    assert val <= held
    assert 15 <= len(found.of("test")) <= 22


def test_all_three_given_parts_are_honoured() -> None:
    parts = ["train"] * 60 + ["val"] * 20 + ["test"] * 20
    found = split(made([i % 2 for i in range(100)], parts=parts))
    assert found.of("train").tolist() == list(range(60))
    assert set(found.of("select", "calibration").tolist()) == set(range(60, 80))
    assert found.of("test").tolist() == list(range(80, 100))


def test_hostile_18_a_class_with_one_picture_trains() -> None:
    dataset = made([0] * 30 + [1])
    assert 30 in split(dataset).of("train")


def test_of_gives_indices_of_several_parts_in_order() -> None:
    found = split(made([i % 2 for i in range(50)]))
    assert sorted(np.concatenate([found.of(part) for part in PARTS]).tolist()) == list(range(50))
    together = found.of("train", "test")
    assert together.tolist() == sorted(together.tolist())


def test_a_dataset_comes_back_as_it_was_saved(store: Store) -> None:
    dataset = made([0, 1, 1])
    dataset.save(store)
    assert Dataset.load(store, dataset.id) == dataset
    assert dataset.counts == {"c0": 1, "c1": 2}


def test_the_fingerprint_follows_content_and_labels_and_not_the_place() -> None:
    dataset = made([0, 1, 1])
    assert replace(dataset, root=Path("/elsewhere"), title="other").id == dataset.id
    moved = replace(dataset, items=(replace(dataset.items[0], label=1), *dataset.items[1:]))
    assert moved.id != dataset.id
    changed = replace(dataset, items=(replace(dataset.items[0], sha="f" * 64), *dataset.items[1:]))
    assert changed.id != dataset.id


@pytest.mark.parametrize("bad", ["../../etc/passwd", "", "a/b", "A" * 16, "0" * 16, "x" * 100])
def test_an_id_that_is_none_finds_nothing(bad: str, store: Store) -> None:
    with pytest.raises(NotFound):
        Dataset.load(store, bad)


def test_fewer_than_two_classes_are_refused() -> None:
    with pytest.raises(BadUpload, match="one class, 'c0'"):
        made([0, 0])


def test_a_dataset_saved_before_there_were_columns_still_loads(store: Store) -> None:
    dataset = made([0, 1, 0], groups=[0, 1, 0], parts=["train", "val", ""])
    items = [asdict(item) for item in dataset.items]
    value = {"root": str(dataset.root), "title": dataset.title, "classes": dataset.classes, "items": items}
    old = store.datasets / f"{dataset.id}.json"
    write_bytes(old, json.dumps(value | {"skipped": []}).encode())
    loaded = Dataset.load(store, dataset.id)
    assert loaded == dataset
    loaded.save(store)
    old.unlink()
    assert Dataset.load(store, dataset.id) == dataset
    assert dataset.items[1:] == tuple(dataset.items)[1:]
