"""Each fault is found with its pictures, and its fix touches no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zoo.dataset import Dataset, Item, Skipped
from zoo.finding import Finding, Fix
from zoo.findings import findings
from zoo.shortcuts import Shortcut
from zoo.suspects import Suspect
from zoo.twins import twins


def made(*items: Item, skipped: tuple[Skipped, ...] = (), classes: tuple[str, ...] = ("cat", "dog")) -> Dataset:
    return Dataset(root=Path("/nowhere"), title="made", classes=classes, items=items, skipped=skipped)


def item(index: int, label: int, **more: object) -> Item:
    facts: dict[str, object] = {"sha": f"{index:064x}", "group": index, "width": 200, "height": 150, "mode": "RGB"}
    return Item(file=f"{index}", name=f"{index}.jpg", label=label, **(facts | more))  # type: ignore[arg-type]


def plain(count: int = 24) -> list[Item]:
    return [item(index, index % 2) for index in range(count)]


def kinds(found: tuple[Finding, ...]) -> dict[str, Finding]:
    return {one.kind: one for one in found}


def test_a_sound_dataset_has_no_findings() -> None:
    assert findings(made(*plain())) == ()


def test_of_copies_the_largest_stays() -> None:
    items = plain()
    items[2] = item(2, 0, width=400, height=300)
    found = kinds(findings(made(*items), copies=[(0, 2, 4)]))["duplicate"]
    assert found.groups == ((0, 2, 4),)
    assert (found.fix.kind, found.fix.pictures) == ("remove", (0, 4))


def test_of_a_picture_with_two_labels_the_majority_stays_and_a_tie_goes() -> None:
    items = plain()
    items[6] = item(6, 1)
    found = kinds(findings(made(*items), copies=[(0, 2, 3), (6, 8)]))["conflict"]
    assert found.severity == "high"
    assert found.fix.pictures == (3, 6, 8)


def test_of_a_leak_the_training_copy_goes() -> None:
    items = [item(index, index % 2, given="train" if index < 16 else "test") for index in range(24)]
    items[20] = item(20, 0, given="test", group=4)
    assert [one.severity for one in findings(made(*items))] == ["low"]  # a group, but not seen to be copies
    found = findings(made(*items), copies=[(4, 20)])
    assert found[0].kind == "leak"
    assert found[0].groups == ((4, 20),)
    assert found[0].fix.pictures == (4,)


def test_suspects_are_relabelled_as_suggested() -> None:
    suspects = [Suspect(3, 1, 0, 0.9), Suspect(4, 0, 1, 0.8)]
    found = kinds(findings(made(*plain()), suspects=suspects))["label"]
    assert (found.fix.kind, found.fix.pictures, found.fix.labels) == ("relabel", (3, 4), (0, 1))
    assert found.as_json(made(*plain()))["fix"]["labels"] == ["cat", "dog"]


def test_a_class_without_colour_is_grave_and_one_odd_picture_is_not() -> None:
    class_wide = [item(index, index % 2, mode="L" if index % 2 else "RGB") for index in range(24)]
    assert kinds(findings(made(*class_wide)))["colour"].severity == "high"
    odd = [*plain(), item(24, 0, mode="CMYK")]
    found = kinds(findings(made(*odd)))["colour"]
    assert (found.severity, found.pictures) == ("low", (24,))


def test_gray_pixels_in_colour_files_count_as_no_colour() -> None:
    gray = np.arange(24) % 2 == 1
    assert "dog" in kinds(findings(made(*plain()), gray=gray))["colour"].sentence


def test_sizes_that_stand_out_are_named() -> None:
    odd = [item(24, 0, width=20, height=15), item(25, 1, width=4000, height=3000), item(26, 0, width=500, height=60)]
    found = [one for one in findings(made(*plain(), *odd)) if one.kind == "size"]
    assert {one.title: one.pictures for one in found} == {
        "Pictures very small": (24,),
        "Pictures very large": (25,),
        "Pictures oddly shaped": (26,),
    }


def test_small_and_uneven_classes_are_named() -> None:
    items = [item(index, 0) for index in range(40)] + [item(40 + index, 1) for index in range(3)]
    found = kinds(findings(made(*items)))
    assert found["few"].pictures == (40, 41, 42)
    assert found["few"].fix.kind == "none"  # one class would remain
    assert "dog" in found["imbalance"].sentence


def test_corrupt_files_and_shortcuts_have_no_button() -> None:
    dataset = made(*plain(), skipped=(Skipped("torn.jpg", "It is damaged.", corrupt=True), Skipped("x.txt", "Text.")))
    found = kinds(findings(dataset, shortcuts=[Shortcut("border", 0.9, 0.5)]))
    assert found["corrupt"].files == ("torn.jpg",)
    assert found["shortcut"].groups
    assert {found["corrupt"].fix.kind, found["shortcut"].fix.kind} == {"none"}


@pytest.mark.parametrize("fix", [("remove", "x", ()), ("none", "x", (1,)), ("relabel", "x", (1, 2), (0,))])
def test_a_fix_that_makes_no_sense_is_refused(fix: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match="a fix"):
        Fix(*fix)  # type: ignore[arg-type]


def test_what_two_backbones_take_for_one_thing_is_offered_to_stay_together() -> None:
    rng = np.random.default_rng(0)
    seen = [rng.normal(size=(24, 40)), rng.normal(size=(24, 30))]
    for x in seen:
        x[[5, 9]] = x[2] + 0.2 * rng.normal(size=(2, x.shape[1]))
        x[:] += 3  # what all pictures share makes none alike
    seen[0][14] = seen[0][16]  # one backbone alone
    groups = np.arange(24)
    assert twins(seen, groups) == [(2, 5, 9)]
    groups[[2, 5, 9]] = 2
    assert twins(seen, groups) == []
    found = kinds(findings(made(*plain()), twins=[(2, 5, 9)]))["alike"]
    assert (found.fix.kind, found.fix.pictures) == ("group", (2, 5, 9))
    together = made(*(replace(one, group=2) if one.name in ("5.jpg", "9.jpg") else one for one in plain()))
    assert findings(together, twins=[(2, 5, 9)]) == ()
