"""Edits give revisions that know their parent, undo ends where it began, and nothing is decoded twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import PictureFolder
from zoo import edits
from zoo.dataset import Dataset
from zoo.errors import BadUpload
from zoo.intake import intake
from zoo.look import look, revise
from zoo.pictures import Pictures
from zoo.settings import Settings
from zoo.store import Store


@pytest.fixture
def dataset(picture_folder: PictureFolder, store: Store, settings: Settings) -> Dataset:
    return intake(picture_folder(("ant", "bee", "cat"), 4), store, settings)


def test_a_revision_names_its_parent_and_what_changed(dataset: Dataset) -> None:
    after = edits.relabel(dataset, [0, 1], "bee")
    assert after.counts == {"ant": 2, "bee": 6, "cat": 4}
    assert after.parent == dataset.id != after.id
    assert after.change == "2 pictures relabelled as bee."
    assert edits.relabel(dataset, [0], "ant") is dataset
    assert edits.relabel(dataset, [0], "dog").counts["dog"] == 1
    assert edits.move(dataset, [0], "test").items[0].given == "test"
    assert edits.rename_class(dataset, "ant", "emmet").classes == ("emmet", "bee", "cat")
    assert edits.call_class(dataset, "ant", "emmet").classes == ("emmet", "bee", "cat")
    assert edits.call_class(dataset, "ant", " cat").counts == {"bee": 4, "cat": 8}
    assert edits.leave_out_class(dataset, "ant").counts == {"bee": 4, "cat": 4}
    assert edits.relabel_each(dataset, {0: 1, 4: 0}).y[[0, 4]].tolist() == [1, 0]


def test_a_class_without_pictures_goes_and_two_must_stay(dataset: Dataset) -> None:
    after = edits.remove(dataset, range(4))
    assert after.classes == ("bee", "cat")
    assert set(after.y.tolist()) == {0, 1}
    with pytest.raises(BadUpload, match="Fewer than two classes"):
        edits.remove(after, range(4))


@pytest.mark.parametrize("indices", [[], [-1], [99]])
def test_pictures_that_are_not_there_cannot_be_edited(dataset: Dataset, indices: list[int]) -> None:
    with pytest.raises(BadUpload, match="No such picture"):
        edits.remove(dataset, indices)


def test_a_group_moves_together(dataset: Dataset) -> None:
    grouped = Dataset(
        root=dataset.root,
        title="",
        classes=dataset.classes,
        items=tuple(item if i else replace(item, group=dataset.items[1].group) for i, item in enumerate(dataset.items)),
    )
    assert [item.given for item in edits.move(grouped, [0], "val").items[:3]] == ["val", "val", ""]


def test_what_is_grouped_by_hand_is_one_group_with_all_that_its_members_were_with(dataset: Dataset) -> None:
    after = edits.group(dataset, [(0, 5), (9, 5)])
    assert len({after.items[i].group for i in (0, 5, 9)}) == 1
    assert len({item.group for item in after.items}) == len({item.group for item in dataset.items}) - 2
    assert after.parent == dataset.id != after.id


def test_names_that_no_class_may_have_are_refused(dataset: Dataset) -> None:
    with pytest.raises(BadUpload, match="needs a name"):
        edits.relabel(dataset, [0], "  ")
    with pytest.raises(BadUpload, match="already"):
        edits.rename_class(dataset, "ant", "bee")
    with pytest.raises(BadUpload, match="no part"):
        edits.move(dataset, [0], "../x")


def test_undo_never_goes_in_circles(dataset: Dataset, store: Store) -> None:
    there = edits.relabel(dataset, [0], "bee")
    back = edits.relabel(there, [0], "ant")
    for old, new in ((dataset, there), (there, back)):
        revise(store, old, new)
    assert back.id == dataset.id
    assert Dataset.load(store, there.id).parent == dataset.id
    assert Dataset.load(store, back.id).parent == ""


def test_an_edited_dataset_looks_at_the_pixels_that_are_decoded_already(
    dataset: Dataset, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Pictures.open(store, dataset)
    once = edits.remove(dataset, [1, 5])
    twice = edits.remove(once, [0])
    revise(store, dataset, once)
    revise(store, once, twice)
    monkeypatch.setattr("zoo.pictures._rebuilt", lambda *_: pytest.fail("decoded again"))
    for edited in (once, twice):
        after = Pictures.open(store, edited)
        assert after.shas == tuple(item.sha for item in edited.items)
        for index, item in enumerate(edited.items):
            assert np.array_equal(after[index], before[dataset.items.index(item)])


def test_pixels_that_are_gone_are_decoded_again(dataset: Dataset, store: Store) -> None:
    after = edits.remove(dataset, [0])
    revise(store, dataset, after)
    for file in store.pictures.glob("*.bin"):
        file.unlink()
    assert len(Pictures.open(store, after)) == len(after)


def test_findings_follow_the_edits(picture_folder: PictureFolder, store: Store, settings: Settings) -> None:
    folder = picture_folder(("ant", "bee"), 12)
    (folder / "bee" / "again.png").write_bytes((folder / "ant" / "ant_003.png").read_bytes())
    dataset = intake(folder, store, settings)
    found = next(one for one in look(dataset, store, settings).findings if one.kind == "conflict")
    fixed = edits.remove(dataset, found.fix.pictures)
    revise(store, dataset, fixed)
    seen = look(fixed, store, settings)
    assert seen.edited
    assert "conflict" not in [one.kind for one in seen.findings]
    assert "conflict" in [one.kind for one in look(dataset, store, settings).findings]
