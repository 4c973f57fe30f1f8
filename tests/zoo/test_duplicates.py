"""Copies are found however they were saved; pictures that only resemble each other are not."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from zoo.backbone import Picture
from zoo.decode import read_picture
from zoo.duplicates import alike, close_pairs, difference_hash, grouped, same
from zoo.intake import SAMPLE
from zoo.pictures import Pictures


def found(pictures: Sequence[Picture]) -> list[tuple[int, int]]:
    hashes = np.array([np.frombuffer(difference_hash(picture), dtype=np.uint8) for picture in pictures])
    return alike(cast(Pictures, pictures), close_pairs(hashes))


def recompressed(image: Image.Image) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=50)
    return Image.open(out).convert("RGB")


WAYS: dict[str, tuple[Callable[[Image.Image], Image.Image], float]] = {
    "recompressed": (recompressed, 0.95),
    "made smaller": (lambda image: image.resize((image.width * 3 // 5, image.height * 3 // 5)), 0.9),
    "made brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.05), 0.9),
    "mirrored": (lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), -0.1),
}


@pytest.mark.parametrize("way", WAYS)
def test_copies_of_real_drawings_are_recognised(way: str) -> None:
    """The hash promises nothing for mirrored copies."""
    change, least = WAYS[way]
    originals = [read_picture(path) for path in sorted(SAMPLE.rglob("*.jpg"))[::6]]
    pairs = [found([picture, np.asarray(change(Image.fromarray(picture)))]) for picture in originals]
    share = float(np.mean([pair == [(0, 1)] for pair in pairs]))
    assert share >= least if least > 0 else share < 0.2


def test_close_pairs_are_those_that_comparing_all_gives() -> None:
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


def test_the_sample_has_the_copies_that_a_person_sees() -> None:
    paths = sorted(SAMPLE.rglob("*.jpg"))
    pairs = found([read_picture(path) for path in paths])
    assert {Path(paths[i]).parent for i, _ in pairs} == {SAMPLE / "birds", SAMPLE / "music", SAMPLE / "vehicles"}
    assert len(pairs) == 8
