"""Paired bootstrap: sure where the data are, unsure where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.judging import doubt
from zoo.probe import Z, wilson
from zoo.quadrant import place
from zoo.resample import accuracies, at_once, balanced, behind, difference, gain_of_best, mid_p


def test_a_clear_winner_is_sure_and_equals_are_not() -> None:
    rng = np.random.default_rng(0)
    right = np.stack([rng.random(400) < share for share in (0.9, 0.9, 0.6)])
    shares = accuracies(right, np.arange(400))
    assert difference(shares[:, 2], shares[:, 0])[1] < 0
    low, high = difference(shares[:, 1], shares[:, 0])
    assert low < 0 < high


def test_resamples_are_paired() -> None:
    right = np.random.default_rng(0).random((1, 100)) < 0.5
    shares = accuracies(np.repeat(right, 2, axis=0), np.arange(100))
    assert (shares[:, 0] == shares[:, 1]).all()


def test_the_best_of_equal_taps_gains_nothing() -> None:
    right = np.random.default_rng(0).random((8, 300)) < 0.7
    assert abs(gain_of_best(right, np.arange(300)).mean()) < 0.04


def test_an_earlier_tap_that_is_truly_better_makes_the_data_unlike() -> None:
    rng = np.random.default_rng(0)
    right = np.stack([rng.random(600) < share for share in (0.5, 0.95, 0.7)])
    found = place(right, np.arange(600), np.array([200, 200, 200]), slope=0.01)
    assert found.cell == "little, unlike"
    assert found.p_alike < 0.01
    assert found.gain_interval[0] > 0


def test_a_last_tap_that_is_best_makes_the_data_alike() -> None:
    rng = np.random.default_rng(0)
    right = np.stack([rng.random(600) < share for share in (0.5, 0.7, 0.95)])
    assert place(right, np.arange(600), np.array([200, 200, 200]), None).cell == "little, alike"


def test_many_pictures_are_much() -> None:
    right = np.ones((2, 50), dtype=bool)
    assert place(right, np.arange(50), np.array([6000, 6000]), None).p_large == 1.0
    assert place(right, np.arange(50), np.array([11_900, 100]), None).p_large > 0.5


def test_one_group_alone_leaves_everything_open() -> None:
    found = place(np.ones((2, 6), dtype=bool), np.zeros(6, dtype=np.int64), np.array([3, 3]), None)
    assert found.cell == "little, uncertain"
    assert found.gain_interval[0] < 0 < found.gain_interval[1]


def test_two_copies_of_one_backbone_are_a_tie() -> None:
    rng = np.random.default_rng(0)
    tied = []
    for seed in range(200):
        one = rng.random(300) < 0.8
        other = np.where(rng.random(300) < 0.05, rng.random(300) < 0.8, one)  # a copy that rounding changed a little
        right = np.stack(sorted((one, other), key=lambda row: -int(np.count_nonzero(row))))
        chances = np.array([mid_p(row, right[0]) for row in right])
        tied.append(not behind(chances, accuracies(right, np.arange(300), seed))[1])
    assert np.mean(tied) >= 0.95


def test_the_exact_test_agrees_with_counting_by_hand() -> None:
    one = np.array([True] * 6 + [False] + [True] * 20)
    other = np.array([False] * 6 + [True] + [True] * 20)
    # of 7 pictures one side wins 1: 2 P(X <= 1) - P(X = 1) = (2 * 8 - 7) / 128
    assert mid_p(one, other) == pytest.approx(9 / 128)
    assert mid_p(one, one) == 1.0
    assert mid_p(other, one) == mid_p(one, other)


def test_the_exact_test_rejects_equals_one_time_in_twenty() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.random((2000, 2, 200)) < 0.8
    assert 0.03 < np.mean([mid_p(one, other) < 0.05 for one, other in pairs]) < 0.07


def test_balanced_accuracy_gives_a_small_class_its_weight() -> None:
    y = np.repeat([0, 1], [380, 20])
    lazy, fair = y == 0, np.random.default_rng(0).random(400) < 0.9
    right = np.stack([lazy, fair])
    assert accuracies(right, np.arange(400)).mean(axis=0)[0] > 0.93
    shares = balanced(right, y, np.arange(400))
    assert shares.mean(axis=0) == pytest.approx([0.5, 0.9], abs=0.05)
    assert difference(shares[:, 1], shares[:, 0])[0] > 0.2


def test_very_many_groups_are_drawn_less_often_and_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    right = np.random.default_rng(0).random((2, 100_000)) < 0.8
    monkeypatch.setattr("zoo.resample.DRAWN", 1)
    monkeypatch.setattr("zoo.resample.AT_ONCE", 300_000)
    shares = accuracies(right, np.arange(100_000), seed=1)
    assert shares.shape == (200, 2)
    assert shares.mean(axis=0) == pytest.approx([0.8, 0.8], abs=0.005)
    assert shares.std(axis=0) == pytest.approx([0.00126, 0.00126], rel=0.2)


def test_the_best_of_twenty_equals_is_inside_its_interval_nineteen_times_of_twenty() -> None:
    rng = np.random.default_rng(0)
    alone, together = list[bool](), list[bool]()
    for seed in range(100):
        rights = rng.random((20, 80)) < 0.5
        best = max(rights, key=lambda row: int(row.sum()))
        bounds = [wilson(float(best.mean()), 80, z) for z in (Z, at_once(list(rights), np.arange(80), seed))]
        for low_high, found in zip(bounds, (alone, together), strict=True):
            found.append(low_high[0] <= 0.5 <= low_high[1])
    assert np.mean(alone) < 0.8
    assert np.mean(together) >= 0.95


def test_copies_of_one_backbone_widen_no_interval() -> None:
    right = np.random.default_rng(0).random(200) < 0.7
    assert at_once([right], np.arange(200)) == Z
    assert at_once([right] * 9, np.arange(200)) == pytest.approx(Z, abs=0.1)


def test_copies_of_pictures_make_no_pretrained_head_surer() -> None:
    logits = np.random.default_rng(0).normal(size=(60, 10)).astype(np.float32)
    once = doubt(logits, np.arange(60))
    copied = doubt(np.repeat(logits, 5, axis=0), np.repeat(np.arange(60), 5))
    for name in ("entropy", "energy"):
        assert copied[name] == pytest.approx(once[name])
        assert copied[f"{name}_interval"] == pytest.approx(once[f"{name}_interval"])
        assert once[f"{name}_interval"][0] < once[name] < once[f"{name}_interval"][1]
