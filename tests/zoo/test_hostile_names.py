"""Names that would be markup, templates, paths or invisible: literal text, never taken for what they look like."""

from __future__ import annotations

import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.dataset import Dataset
from zoo.errors import BadUpload
from zoo.intake import intake
from zoo.names import LONGEST, clean
from zoo.settings import Settings
from zoo.store import Store

PictureFolder = Callable[..., Path]

LITERAL = [
    "<script>alert(1)<",
    "<img src=x onerror=alert(1)>",
    "${7*7}",
    "{{7*7}}",
    "`x`",
    "# **bold** [link](x)",
    "🐈 cat",
    "CON",
    "...cat",
    "-rf",
    "=1+1",
    "%2e%2e",
    "a'b\"c",
]


@pytest.mark.parametrize("name", LITERAL)
def test_hostile_24_markup_and_reserved_words_are_literal_text(name: str) -> None:
    assert clean(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat\u202egpj.exe", "catgpj.exe"),
        ("ca\u200bt", "cat"),
        ("\ufeffcat", "cat"),
        ("\u2066cat\u2069", "cat"),
        ("cat\ndog", "cat\\ndog"),
        ("cat\rdog", "cat\\rdog"),
        ("cat\0dog", "cat\\x00dog"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("cat\u2028dog", "cat\\u2028dog"),
        ("\udcff.png", "\\udcff.png"),
        ("cafe\u0301", "caf\u00e9"),
        ("  cat  ", "cat"),
    ],
)
def test_hostile_24_what_cannot_be_seen_is_escaped_or_left_out(name: str, shown: str) -> None:
    assert clean(name) == shown


def test_hostile_24_a_name_of_ten_kilobytes_is_cut_and_stays_its_own() -> None:
    one, other = clean("x" * 10_000 + "a"), clean("x" * 10_000 + "b")
    assert len(one) == len(other) == LONGEST
    assert one != other
    assert "…" in one


@pytest.mark.parametrize("name", [name for name in LITERAL if not name.startswith(".")])
def test_hostile_24_class_folders_keep_their_names(
    name: str, picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    dataset = intake(picture_folder([name, "other"], 2), store, settings)
    assert set(dataset.classes) == {name, "other"}
    assert Dataset.load(store, dataset.id) == dataset


def test_hostile_24_classes_of_an_archive_never_become_paths(
    picture_folder: PictureFolder, store: Store, settings: Settings, tmp_path: Path
) -> None:
    pictures = sorted(picture_folder(1, 8).rglob("*.png"))
    names = ["CON", "<b>", "x" * 10_000, "a\nb", "\u202etac", "=cmd|'C calc'!A0", "{{x}}", "$HOME"]
    with zipfile.ZipFile(tmp_path / "names.zip", "w") as archive:
        for name, picture in zip(names, pictures, strict=True):
            archive.write(picture, f"{name}/0.png")
    dataset = intake(tmp_path / "names.zip", store, settings)
    assert {clean(name) for name in names} == set(dataset.classes)
    assert max(map(len, dataset.classes)) <= LONGEST
    assert {path.name for path in dataset.root.iterdir()} == {f"{index:07}" for index in range(8)}
    assert not any(unicodedata.category(letter) in ("Cc", "Cf") for name in dataset.classes for letter in name)


@pytest.mark.parametrize(
    "twins", [("caf\u00e9", "cafe\u0301"), ("cat", "ca\u200bt"), ("cat", "cat\u202e"), ("cat", " cat")]
)
def test_hostile_24_twins_that_look_the_same_are_explained(
    twins: tuple[str, str], picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    with pytest.raises(BadUpload, match="cannot be told apart") as caught:
        intake(picture_folder([*twins, "other"], 2), store, settings)
    assert "Rename" in caught.value.remedy


def test_letters_that_differ_in_case_are_two_classes(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    if not (picture_folder(["a", "A"], 2) / "a" / "A_000.png").exists():
        assert set(intake(picture_folder(["a", "A"], 2), store, settings).classes) == {"a", "A"}


def test_a_file_whose_name_is_not_unicode_is_listed(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    top = picture_folder(2, 2)
    try:
        (top / "class_0" / "\udcff.png").write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes only Unicode names")
    dataset = intake(top, store, settings)
    assert [one.path for one in dataset.skipped] == ["class_0/\\udcff.png"]
    assert Dataset.load(store, dataset.id) == dataset
