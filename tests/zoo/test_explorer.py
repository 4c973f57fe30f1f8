"""The probe on the desk is the probe made from scratch, whatever was edited."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.explorer import GONE, Desk, neighbours_map
from zoo.probe import ridge


@pytest.fixture
def shapes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 120)
    x = np.maximum(rng.normal(size=(120, 30)) + rng.normal(size=(4, 30))[y] * 0.6, 0)
    groups = np.where(np.arange(120) < 60, np.arange(120) // 3, np.arange(120))
    return x, y, groups


@pytest.mark.parametrize("wide", [False, True])
def test_relabelling_gives_what_a_probe_from_scratch_gives(shapes: tuple[np.ndarray, ...], wide: bool) -> None:
    x, y, groups = shapes
    x = np.tile(x, (1, 6)) ** np.arange(1, 181).reshape(1, -1) ** 0.05 if wide else x
    desk = Desk(x, y, groups)
    for index, label in ((0, 3), (7, 1), (100, 2), (0, int(y[0]))):
        standing = desk.relabel(index, label)
        probe = ridge(x, desk.y, groups, 4)
        np.testing.assert_allclose(desk.scores, probe.scores, atol=1e-9)
        assert (desk.predicted == probe.predicted).all()
        assert standing.accuracy == probe.accuracy
        assert standing.interval == pytest.approx(probe.interval)


def test_a_new_class_is_one_more_column(shapes: tuple[np.ndarray, ...]) -> None:
    x, y, groups = shapes
    desk = Desk(x, y, groups)
    desk.relabel([1, 2, 3], 4)
    np.testing.assert_allclose(desk.scores, ridge(x, desk.y, groups, 5).scores, atol=1e-9)


def test_removing_leaves_pictures_out_of_every_fit(shapes: tuple[np.ndarray, ...]) -> None:
    x, y, groups = shapes
    desk = Desk(x, y, groups)
    desk.remove([4, 50, 119])
    rest = np.delete(np.arange(120), [4, 50, 119])
    probe = ridge(x[rest], y[rest], groups[rest], 4)
    # Not to the bit: the penalties to choose from are those of the pictures that were laid out.
    np.testing.assert_allclose(desk.scores, probe.scores, atol=5e-3)
    assert abs(desk.standing.accuracy - probe.accuracy) < 0.03
    desk.arrange(np.arange(120), y, 4)
    np.testing.assert_allclose(desk.scores, ridge(x, y, groups, 4).scores, atol=1e-9)


def test_leaving_out_what_is_gone_is_exact_at_the_same_penalty(shapes: tuple[np.ndarray, ...]) -> None:
    x, y, _ = shapes
    desk = Desk(x, y)
    before = desk.scores.copy()
    desk.remove(7)
    best = desk._best
    again = Desk(x, y)
    again._best = best
    left_out = again._columns(np.array([best]), np.arange(4))[0]
    assert before.shape == left_out.shape
    # A picture predicted by the fit without it is what the fit without picture 7 would say of picture 7.
    u, weights, targets = again._u, again._weights[best], np.eye(4)[y]
    hat = 1 / 120 + (u * weights) @ u.T
    pair = np.array([7, 11])
    both = targets[pair] - np.linalg.solve(np.eye(2) - hat[np.ix_(pair, pair)], (targets - hat @ targets)[pair])
    np.testing.assert_allclose(desk.scores[10], both[1], atol=1e-9)  # picture 11 is the tenth now


def test_after_many_removals_the_rest_is_laid_out_anew(shapes: tuple[np.ndarray, ...]) -> None:
    x, y, groups = shapes
    desk = Desk(x, y, groups)
    desk.remove(list(range(GONE + 1)))
    rest = np.arange(GONE + 1, 120)
    np.testing.assert_allclose(desk.scores, ridge(x[rest], y[rest], groups[rest], 4).scores, atol=1e-9)
    assert len(desk) == len(rest)


def test_a_mislabelled_picture_is_among_the_hardest(shapes: tuple[np.ndarray, ...]) -> None:
    x, y, _ = shapes
    desk = Desk(x, y)
    easiest = int(desk.margin.argmax())
    desk.relabel(easiest, int((y[easiest] + 1) % 4))
    assert desk.margin[easiest] < 0
    assert desk.predicted[easiest] == y[easiest]


def test_both_maps_are_the_same_every_time(shapes: tuple[np.ndarray, ...]) -> None:
    x, y, _ = shapes
    assert (Desk(x, y).plane() == Desk(x, y).plane()).all()
    assert (neighbours_map(x) == neighbours_map(x)).all()
    assert Desk(np.ones((5, 3)), np.array([0, 1, 0, 1, 0])).plane().shape == (5, 2)
