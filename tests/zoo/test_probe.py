"""The closed-form probe against brute force, and intervals against what they promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo.probe import accuracy_interval, even, knn, principal, ridge, streamed, wilson

CLASSES = 4


def clouds(n: int, d: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % CLASSES
    return 0.7 * rng.normal(size=(CLASSES, d))[y] + rng.normal(size=(n, d)), y


def refitted(
    x: NDArray[np.float64], y: NDArray[np.int64], out: NDArray[np.bool_], penalty: float
) -> NDArray[np.float64]:
    """Scores of the rows ``out`` by a ridge solved without them."""
    f = even(x)
    weight = penalty * ((f - f.mean(axis=0)) ** 2).sum() / f.shape[1]
    inside, targets = f[~out], np.eye(CLASSES)[y[~out]]
    centre = inside.mean(axis=0)
    gram = (inside - centre).T @ (inside - centre) + weight * np.eye(f.shape[1])
    slopes = np.linalg.solve(gram, (inside - centre).T @ (targets - targets.mean(axis=0)))
    scores: NDArray[np.float64] = (f[out] - centre) @ slopes + targets.mean(axis=0)
    return scores


@pytest.mark.parametrize(("n", "d"), [(40, 12), (30, 80)], ids=["tall", "wide"])
def test_leave_one_out_equals_refitting_without_each_picture(n: int, d: int) -> None:
    x, y = clouds(n, d)
    probe = ridge(x, y)
    for row in range(n):
        out = np.arange(n) == row
        np.testing.assert_allclose(probe.scores[out], refitted(x, y, out, probe.penalty), atol=1e-10)


def test_leaving_a_group_out_equals_refitting_without_it() -> None:
    x, y = clouds(48, 20)
    groups = np.random.default_rng(1).integers(0, 15, 48)
    probe = ridge(x, y, groups)
    for group in np.unique(groups):
        out = groups == group
        np.testing.assert_allclose(probe.scores[out], refitted(x, y, out, probe.penalty), atol=1e-10)


@pytest.mark.parametrize("grouped", [False, True])
def test_a_probe_that_reads_block_by_block_says_the_same(grouped: bool, tmp_path: Path) -> None:
    x, y = clouds(700, 30)
    groups = np.random.default_rng(1).integers(0, 300, 700) if grouped else None
    mapped = np.memmap(tmp_path / "features", dtype=np.float32, mode="w+", shape=x.shape)
    mapped[:] = x
    whole, parts = ridge(mapped, y, groups), streamed(mapped, y, groups, block=64)
    assert parts.penalty == whole.penalty
    assert parts.interval == whole.interval
    np.testing.assert_allclose(parts.scores, whole.scores, atol=1e-8)


def test_many_rows_are_read_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = clouds(300, 20)
    whole = ridge(x, y)
    monkeypatch.setattr("zoo.probe.IN_MEMORY", 100)
    np.testing.assert_allclose(ridge(x, y).scores, whole.scores, atol=1e-8)


def test_shuffled_labels_are_right_as_often_as_chance() -> None:
    rng = np.random.default_rng(0)
    for n, d in ((96, 160), (120, 30)):
        x, y = clouds(n, d)
        assert ridge(x, y).accuracy > 0.7
        bounds = [ridge(x, rng.permutation(y)).interval for _ in range(200)]
        covered = sum(low <= 1 / CLASSES <= high for low, high in bounds)
        assert covered >= 184  # what 95 % of 200 are, less two standard deviations of a binomial


def test_copies_in_one_group_do_not_flatter_the_probe() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 200)), rng.integers(0, CLASSES, 60)  # nothing to learn
    twice, labels, groups = np.repeat(x, 2, axis=0), np.repeat(y, 2), np.repeat(np.arange(60), 2)
    assert ridge(twice, labels).accuracy > 0.9
    assert ridge(twice, labels, groups).accuracy < 0.5


def test_noise_is_right_about_as_often_as_chance() -> None:
    rng = np.random.default_rng(0)
    probe = ridge(rng.normal(size=(400, 50)), np.arange(400) % CLASSES)
    assert probe.interval[0] < 0.25 + 0.05
    assert probe.accuracy < 0.35


def test_separate_clouds_are_told_apart() -> None:
    x, y = clouds(80, 40)
    assert ridge(10 * np.eye(CLASSES, 40)[y] + 0.1 * x, y).accuracy == 1.0


def test_features_that_never_vary_are_harmless() -> None:
    _, y = clouds(20, 5)
    assert 0 <= ridge(np.ones((20, 5)), y).accuracy <= 0.5


def test_one_picture_is_too_few() -> None:
    with pytest.raises(ValueError, match="two or more"):
        ridge(np.ones((1, 3)), np.zeros(1, dtype=np.int64))


def test_wilson_agrees_with_a_published_value() -> None:
    low, high = wilson(81 / 263, 263)  # Newcombe 1998, table I
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_the_interval_covers_the_truth_nineteen_times_of_twenty() -> None:
    rng = np.random.default_rng(0)
    drawn = rng.random((2000, 120)) < 0.8
    bounds = [accuracy_interval(row) for row in drawn]
    assert 0.93 < np.mean([low <= 0.8 <= high for low, high in bounds]) < 0.98


def test_copies_do_not_narrow_the_interval() -> None:
    right = np.random.default_rng(0).random(50) < 0.7
    low, high = accuracy_interval(right)
    assert accuracy_interval(np.repeat(right, 4), np.repeat(np.arange(50), 4)) == pytest.approx((low, high), abs=0.01)


def test_neighbours_vote_and_a_group_does_not_vote_for_itself() -> None:
    x = np.array([[1, 0], [1, 0.01], [1, 0.02], [0, 1], [0.01, 1], [0.02, 1]])
    y = np.array([0, 0, 0, 1, 1, 1])
    assert knn(x, y, k=2).tolist() == y.tolist()
    assert knn(x, y, groups=np.array([0, 0, 0, 1, 2, 3]), k=1)[:3].tolist() == [1, 1, 1]


def test_few_groups_count_for_no_more_than_they_are() -> None:
    right = np.tile([True, True, True, False], 25)
    assert accuracy_interval(right, np.zeros(100, dtype=np.int64)) == wilson(0.75, 1)
    assert accuracy_interval(right, np.arange(100) // 50) == wilson(0.75, 2)
    assert accuracy_interval(right, np.arange(100)) == accuracy_interval(right)


@pytest.mark.parametrize(("n", "d"), [(30, 50), (50, 30), (20, 20)])
def test_principal_directions_are_those_of_a_singular_value_decomposition(n: int, d: int) -> None:
    x = np.random.default_rng(0).normal(size=(n, d))
    x -= x.mean(axis=0)  # a direction less than it has rows
    u, s, vt = principal(x)
    assert u * s @ vt == pytest.approx(x, abs=1e-9)
    assert s == pytest.approx(np.linalg.svd(x, compute_uv=False)[: len(s)])
    assert u.T @ u == pytest.approx(np.eye(len(s)), abs=1e-8)
    assert vt @ vt.T == pytest.approx(np.eye(len(s)), abs=1e-8)
    nothing = principal(np.zeros((n, d)))
    assert [part.shape for part in nothing] == [(n, 1), (1,), (1, d)]
    assert not any(part.any() for part in nothing)


def test_a_feature_that_all_pictures_share_tells_nothing_however_many_there_are() -> None:
    x, y = np.ones((400, 3)), np.arange(400) % 2
    assert streamed(x, y, block=64).accuracy == ridge(x, y).accuracy < 0.6
