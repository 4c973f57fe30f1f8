"""Copies are found however they were saved; pictures that only resemble each other are not."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from zoo.backbone import Picture
from zoo.decode import read_picture
from zoo.duplicates import close_pairs, difference_hash, grouped, same
from zoo.intake import SAMPLE
from zoo.lookalikes import lookalikes
from zoo.neighbours import NEIGHBOURS, candidates


def found(pictures: Sequence[Picture]) -> list[tuple[int, int]]:
    return lookalikes(pictures, np.array([np.frombuffer(difference_hash(one), dtype=np.uint8) for one in pictures]))


def cropped(image: Image.Image) -> Image.Image:
    """Five per cent off the left and off the top."""
    return image.crop((image.width // 20, image.height // 20, image.width, image.height))


def recompressed(image: Image.Image) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=50)
    return Image.open(out).convert("RGB")


WAYS: dict[str, tuple[Callable[[Image.Image], Image.Image], float]] = {
    "recompressed": (recompressed, 0.95),
    "made smaller": (lambda image: image.resize((image.width * 3 // 5, image.height * 3 // 5)), 0.9),
    "made brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.05), 0.9),
    "mirrored": (lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 0.95),
    "cropped": (cropped, 0.9),
    "cropped and mirrored": (lambda image: cropped(image).transpose(Image.Transpose.FLIP_LEFT_RIGHT), 0.85),
}


@pytest.mark.parametrize("way", WAYS)
def test_copies_of_real_drawings_are_recognised(way: str) -> None:
    change, least = WAYS[way]
    originals = [read_picture(path) for path in sorted(SAMPLE.rglob("*.jpg"))[::6]]
    pairs = [found([picture, np.asarray(change(Image.fromarray(picture)))]) for picture in originals]
    share = float(np.mean([pair == [(0, 1)] for pair in pairs]))
    assert share >= least


@pytest.mark.parametrize("few", [0, 1000])
def test_close_pairs_are_those_that_comparing_all_gives(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.duplicates.FEW", few)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 256, (300, 32), dtype=np.uint8)
    for copy, bits in zip(range(200, 300), np.tile(np.arange(25), 4), strict=True):
        flips = np.zeros(256, dtype=np.uint8)
        flips[rng.choice(256, bits, replace=False)] = 1
        hashes[copy] = hashes[copy - 200] ^ np.packbits(flips)
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(axis=2)
    wanted = [(i, j) for i in range(300) for j in range(i + 1, 300) if apart[i, j] <= 24]
    missed = set(wanted) - set(close_pairs(hashes))
    assert set(close_pairs(hashes)) <= set(wanted)
    assert len(missed) <= 2


def test_one_picture_or_none_has_no_pairs() -> None:
    assert close_pairs(np.zeros((0, 32), dtype=np.uint8)) == []
    assert close_pairs(np.zeros((1, 32), dtype=np.uint8)) == []


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=20))
def test_groups_are_the_connected_pictures(pairs: list[tuple[int, int]]) -> None:
    numbers = grouped(15, pairs)
    linked = np.eye(15, dtype=bool)
    for one, other in pairs:
        linked[one, other] = linked[other, one] = True
    for _ in range(4):
        linked = linked @ linked
    assert [[a == b for b in numbers] for a in numbers] == linked.tolist()
    assert sorted(set(numbers)) == list(range(len(set(numbers))))


def test_equal_keys_are_paired_with_their_first() -> None:
    assert same(["a", "b", "a", "a", "c"]) == [(0, 2), (0, 3)]


def test_copies_are_found_in_a_crowd_and_only_they() -> None:
    """Enough pictures that not each is compared with each."""
    originals = [read_picture(path) for path in sorted(SAMPLE.rglob("*.jpg"))[::3]]
    mirrored = [np.ascontiguousarray(picture[:, ::-1]) for picture in originals[:20]]
    pairs = found([*originals, *mirrored])
    wanted = {(index, len(originals) + index) for index in range(20)}
    assert len(wanted & set(pairs)) >= 19
    assert len(set(pairs) - wanted) <= 4


def test_candidates_do_not_grow_with_the_square() -> None:
    """Not even where all pictures are nearly one; and what is the same is never left out."""
    noise = np.random.default_rng(0).integers(0, 12, (300, 16, 16))
    small = (np.linspace(0, 200, 256).reshape(16, 16) + noise).astype(np.uint8)
    small[299] = small[0]
    found = [plain for _, plain, _ in candidates(small)]
    assert len(np.concatenate(found)) <= 300 * NEIGHBOURS
    assert [0, 299] in np.concatenate(found).tolist()


def test_shapes_moved_on_a_plain_ground_are_other_pictures() -> None:
    ground = np.full((90, 120, 3), 128, dtype=np.uint8)
    moved = [ground.copy() for _ in range(3)]
    for picture, left in zip(moved, (20, 35, 62), strict=True):
        picture[30:60, left : left + 30] = (200, 40, 40)
    assert found(moved) == []


def test_pictures_of_one_colour_are_one_picture_if_the_colour_is() -> None:
    plain = [np.full((40, 40, 3), level, dtype=np.uint8) for level in (60, 61, 200)]
    assert found(plain) == [(0, 1)]


def test_the_sample_has_the_copies_that_a_person_sees() -> None:
    paths = sorted(SAMPLE.rglob("*.jpg"))
    pairs = found([read_picture(path) for path in paths])
    assert {Path(paths[i]).parent for i, _ in pairs} == {SAMPLE / "birds", SAMPLE / "music", SAMPLE / "vehicles"}
    assert len(pairs) == 8
