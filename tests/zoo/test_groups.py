"""What belongs together is kept together, and a class that is merely numbered through is not."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import drawn
from zoo.duplicates import grouped
from zoo.groups import alike, by_name, by_time, same_key
from zoo.pictures import Pictures


def crowds(pairs: list[tuple[int, int]], count: int) -> set[frozenset[int]]:
    numbers = grouped(count, pairs)
    found = {number: frozenset(i for i in range(count) if numbers[i] == number) for number in numbers}
    return {crowd for crowd in found.values() if len(crowd) > 1}


@pytest.mark.parametrize(
    "form", ["cardboard{}.jpg", "img_{:04}.jpg", "IMG_{:05}.jpg", "00{:03}.png", "a/image-{:02}.png", "DSC{:05}.JPG"]
)
def test_a_plain_counter_joins_nothing(form: str) -> None:
    names = [form.format(number) for number in range(1, 41)]
    assert by_name(names, ["cat"] * 40) == ([], [])


def test_variants_of_many_shots_are_groups() -> None:
    names = [f"cat/IMG_{shot:03}_{variant}.jpg" for shot in range(10) for variant in "abc"]
    sure, unsure = by_name(names, ["cat"] * 30)
    assert crowds(sure, 30) == {frozenset(range(start, start + 3)) for start in range(0, 30, 3)}
    assert unsure == []


def test_two_variants_alone_are_no_habit_and_must_look_alike() -> None:
    names = [f"{number}.jpg" for number in range(10)] + ["IMG_7_a.jpg", "IMG_7_b.jpg"]
    sure, unsure = by_name(names, ["cat"] * 12)
    assert (sure, crowds(unsure, 12)) == ([], {frozenset((10, 11))})


def test_frames_of_several_videos_are_a_group_each() -> None:
    names = [f"video{video}_frame_{frame:04}.jpg" for video in range(4) for frame in range(20)]
    sure, _ = by_name(names, ["cat"] * 80)
    assert crowds(sure, 80) == {frozenset(range(start, start + 20)) for start in range(0, 80, 20)}


def test_frames_without_a_video_must_look_alike() -> None:
    sure, unsure = by_name([f"frame_{frame:04}.jpg" for frame in range(120)], ["cat"] * 120)
    assert sure == []
    assert crowds(unsure, 120) == {frozenset(range(120))}


def test_roboflow_variants_are_one_group_across_folders() -> None:
    names = [f"{part}/cat/IMG_1_jpg.rf.{'0123456789abcdef' * 2}{part}.jpg" for part in ("train", "valid")]
    assert crowds(by_name(names, ["cat", "cat"])[0], 2) == {frozenset((0, 1))}


def test_copies_with_a_number_must_look_alike() -> None:
    names = ["cat.jpg", *[f"cat ({number}).jpg" for number in range(1, 20)]]
    sure, unsure = by_name(names, ["cat"] * 20)
    assert sure == []
    assert crowds(unsure, 20) == {frozenset(range(20))}


def test_names_join_no_two_classes() -> None:
    names = [f"IMG_{shot:03}_{variant}.jpg" for shot in range(10) for variant in "ab"]
    assert by_name(names, [str(index % 2) for index in range(20)]) == ([], [])


def test_a_burst_is_what_was_taken_within_seconds() -> None:
    taken = [100.0, 101.5, 200.0, 103.0, 0.0, 0.0, 101.0]
    labels = ["cat"] * 6 + ["dog"]
    assert crowds(by_time(taken, labels), 7) == {frozenset((0, 1, 3))}


def test_a_time_that_a_whole_class_has_says_nothing() -> None:
    assert by_time([1000.0] * 50, ["cat"] * 50) == []


def test_a_persons_own_groups_are_groups() -> None:
    assert crowds(same_key(["a", "", "b", "a", "", "b"]), 6) == {frozenset((0, 3)), frozenset((2, 5))}


def test_what_does_not_look_alike_is_not_joined() -> None:
    same, other = np.asarray(drawn(0, 1)), np.asarray(drawn(3, 5))
    flat = np.concatenate([one.ravel() for one in (same, same, other)])
    spans = np.array([[index * same.size, *same.shape[:2]] for index in range(3)])
    assert alike(Pictures(flat, spans, ("a", "b", "c")), [(0, 1), (1, 2)]) == [(0, 1)]
