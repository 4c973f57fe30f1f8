"""Paired bootstrap: sure where the data are, unsure where they are not."""

from __future__ import annotations

import numpy as np

from zoo.quadrant import place
from zoo.resample import accuracies, difference, gain_of_best


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
