"""Datasets that are odd as a whole, and pictures that are odd in earnest, through the confined child to the pixels."""

from __future__ import annotations

import io
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from zoo.dataset import Dataset, Item, split
from zoo.decode import encode_jpeg
from zoo.errors import BadUpload
from zoo.facts import WORDS
from zoo.health import check
from zoo.intake import intake
from zoo.pictures import Pictures
from zoo.settings import Settings
from zoo.store import Store

PictureFolder = Callable[..., Path]
Take = Callable[[Path], Dataset]


@pytest.fixture
def take(store: Store, settings: Settings) -> Take:
    return lambda source: intake(source, store, settings)


def saved(path: Path, image: Image.Image, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


RED = (220, 30, 40)


def odd_pictures(top: Path) -> dict[str, str]:
    """Red pictures stored in every odd way; the name of each and what is to be told of it."""
    red = Image.new("RGB", (40, 30), RED)
    clear = Image.new("RGBA", (40, 30), (*RED, 255))
    exif: Any = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[36867] = "2020:02:29 12:00:00"
    saved(top / "cmyk.jpg", red.convert("CMYK"), quality=95)
    saved(top / "palette.png", red.convert("P", palette=Image.Palette.ADAPTIVE))
    saved(top / "alpha.png", clear)
    saved(top / "turned.jpg", red, exif=exif, quality=95)
    saved(top / "profile.jpg", red, icc_profile=b"no profile at all", quality=95)
    saved(top / "animated.gif", red, save_all=True, append_images=[Image.new("RGB", (40, 30), "blue")])
    saved(top / "pages.tiff", red, save_all=True, append_images=[Image.new("RGB", (40, 30), "blue")])
    saved(top / "modern.webp", red, quality=95)
    saved(top / "modern.avif", red, quality=95)
    return {
        "cmyk.jpg": "printing inks (CMYK) turned into RGB",
        "palette.png": "palette turned into colours",
        "alpha.png": "transparency laid on white",
        "turned.jpg": "turned as EXIF says",
        "profile.jpg": "",
        "animated.gif": "palette turned into colours, first frame or page taken",
        "pages.tiff": "first frame or page taken",
        "modern.webp": "",
        "modern.avif": "",
    }


def test_hostile_12_and_14_odd_pictures_are_their_right_pixels_and_say_what_was_repaired(
    picture_folder: PictureFolder, take: Take, store: Store
) -> None:
    top = picture_folder(1, 2)
    wanted = odd_pictures(top / "red")
    dataset = take(top)
    assert dataset.skipped == ()
    pictures = Pictures.open(store, dataset)
    found = {Path(item.name).name: (item, pictures[index]) for index, item in enumerate(dataset.items)}
    for name, repaired in wanted.items():
        item, pixels = found[name]
        assert item.repaired == repaired, name
        assert abs(pixels.astype(int) - RED).max() <= 24, name
        assert item.length == (top / "red" / name).stat().st_size
    assert {word for item in dataset.items for word in item.repaired.split(", ") if word} <= WORDS
    turned = found["turned.jpg"][0]
    assert (turned.width, turned.height, turned.taken) == (30, 40, 1582977600.0)
    assert turned.quality == 95
    assert found["cmyk.jpg"][0].mode == "CMYK"


def test_hostile_12_deep_and_one_bit_pictures_keep_their_shades(tmp_path: Path, take: Take, store: Store) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (48, 1))
    saved(tmp_path / "d" / "a" / "deep.png", Image.fromarray(ramp))
    saved(tmp_path / "d" / "a" / "float.tiff", Image.fromarray((ramp / 65535).astype(np.float32)))
    saved(tmp_path / "d" / "b" / "bit.png", Image.fromarray(ramp > 30_000))
    dataset = take(tmp_path / "d")
    pictures = Pictures.open(store, dataset)
    deep, real, bit = (pictures[index][0, :, 0].astype(int) for index in range(3))
    assert abs(deep - np.linspace(0, 255, 64)).max() <= 1.5
    assert abs(real - np.linspace(0, 255, 64)).max() <= 1.5
    assert set(bit.tolist()) == {0, 255}
    assert [item.mode for item in dataset.items] == ["I;16", "F", "1"]
    assert [item.repaired for item in dataset.items] == ["values deeper than 8 bits scaled"] * 2 + [""]


def test_hostile_13_strips_and_single_pixels_in_a_folder(picture_folder: PictureFolder, take: Take) -> None:
    top = picture_folder(2, 2)
    Image.new("RGB", (20_000, 1)).save(top / "class_0" / "strip.png")
    Image.new("RGB", (1, 1), "blue").save(top / "class_1" / "dot.png")
    dataset = take(top)
    assert len(dataset) == 5
    assert [(one.path, "strip" in one.why) for one in dataset.skipped] == [("class_0/strip.png", True)]


def test_hostile_14_heic_is_read_where_its_plugin_is_there_and_explained_where_not(
    picture_folder: PictureFolder, take: Take
) -> None:
    top = picture_folder(2, 2)
    try:
        import pillow_heif  # type: ignore[import-not-found,unused-ignore]

        pillow_heif.register_heif_opener()
        Image.new("RGB", (40, 30), RED).save(top / "class_0" / "photo.heic")
        expected = 5
    except ImportError:
        (top / "class_0" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
        expected = 4
    dataset = take(top)
    assert len(dataset) == expected
    assert all("pillow-heif" in one.why and "JPEG" in one.why for one in dataset.skipped)


def test_hostile_14_this_pillow_reads_webp_and_avif() -> None:
    assert features.check("webp")
    assert features.check("avif")


def test_hostile_15_what_is_served_of_a_polyglot_is_its_pixels(
    picture_folder: PictureFolder, take: Take, store: Store
) -> None:
    top = picture_folder(2, 2)
    payload = b"<script>alert(1)</script>PK\x03\x04"
    for kind in ("JPEG", "PNG", "GIF", "BMP"):
        out = io.BytesIO()
        Image.new("RGB", (20, 20), RED).save(out, kind)
        (top / "class_0" / f"both.{kind.lower()}").write_bytes(out.getvalue() + payload)
    dataset = take(top)
    pictures = Pictures.open(store, dataset)
    assert len(dataset) == 8
    assert not any(payload[:8] in encode_jpeg(pictures[index]) for index in range(8))
    assert payload[:8] not in next(store.pictures.glob("*.bin")).read_bytes()


def many(classes: int) -> Dataset:
    items = tuple(
        Item(file=str(index), name=str(index), label=index // 2, sha=f"{index:064x}", group=index, width=8, height=8)
        for index in range(2 * classes)
    )
    return Dataset(root=Path(), title="many", classes=tuple(map(str, range(classes))), items=items)


@pytest.mark.slow
def test_hostile_17_fifty_thousand_classes_are_split_and_kept_without_a_table_of_pictures_by_classes(
    store: Store,
) -> None:
    dataset = many(50_000)
    tracemalloc.start()
    try:
        parts = split(dataset).parts
        dataset.save(store)
        assert Dataset.load(store, dataset.id).id == dataset.id
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000 * 1000  # a kilobyte a picture; a table of bits would be 625 MB, one of numbers 40 GB
    assert set(dataset.y[parts == 0].tolist()) == set(range(50_000))


@pytest.mark.slow
def test_hostile_17_fifty_thousand_classes_have_no_shortcut_looked_for_in_all() -> None:
    from zoo.shortcuts import looks, shortcuts

    dataset = many(50_000)
    flat = np.random.default_rng(0).integers(0, 255, len(dataset) * 12, dtype=np.uint8)
    spans = np.array([(12 * index, 2, 2) for index in range(len(dataset))])
    seen = looks(Pictures(flat, spans, tuple(item.sha for item in dataset.items)))
    tracemalloc.start()
    try:
        assert shortcuts(dataset, seen) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500 << 20


@pytest.mark.slow
def test_hostile_17_hundreds_of_classes_of_one_picture_each_are_a_dataset(
    picture_folder: PictureFolder, take: Take, store: Store, settings: Settings
) -> None:
    dataset = take(picture_folder(300, 1, size=(16, 16)))
    assert len(dataset.classes) == 300
    report = check(dataset, store, settings, labels=False)
    assert report.pictures == 300
    assert len(split(dataset).of("train")) == 300


def test_hostile_19_one_picture_in_two_parts_and_under_two_labels_is_named(
    picture_folder: PictureFolder, take: Take, store: Store, settings: Settings
) -> None:
    top = picture_folder(2, 4, inside="train", size=(160, 120))
    shutil.copytree(top / "train", top / "test")
    for label in (0, 1):  # the test part's own pictures, but for one that leaks
        for number in range(4):
            path = top / "test" / f"class_{label}" / f"class_{label}_{number:03}.png"
            if (label, number) != (0, 0):
                noise = np.random.default_rng([label, number]).integers(0, 255, (120, 160, 3), np.uint8)
                Image.fromarray(noise).save(path)
    shutil.copy(top / "train" / "class_0" / "class_0_001.png", top / "train" / "class_1" / "other_label.png")
    report = check(take(top), store, settings, labels=False)
    assert any("test/class_0/class_0_000.png" in crowd for crowd in report.leaks)
    assert any("train/class_1/other_label.png" in crowd for crowd in report.conflicts)
    assert report.sentences


def test_hostile_23_a_class_that_is_only_in_the_test_part_is_kept_and_tested(
    picture_folder: PictureFolder, take: Take
) -> None:
    top = picture_folder(("cat", "dog"), 4, inside="train")
    shutil.copytree(top / "train", top / "test")
    (top / "test" / "dog").rename(top / "test" / "wolf")
    try:
        dataset = take(top)
    except BadUpload as refused:
        pytest.fail(str(refused))
    parts = split(dataset)
    wolf = dataset.classes.index("wolf")
    assert wolf not in set(dataset.y[parts.of("train", "select", "calibration")].tolist())
    assert wolf in set(dataset.y[parts.of("test")].tolist())
