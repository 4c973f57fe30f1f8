"""Doubted labels are those that confident learning doubts, checked against cleanlab's own."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo.probe import ridge
from zoo.suspects import doubted, label_suspects, probabilities


def noisy(seed: int, count: int = 400, classes: int = 5) -> tuple[NDArray[np.float64], NDArray[np.int64], set[int]]:
    """Features, labels of which a tenth is wrong, and which those are."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    x = rng.normal(size=(classes, 32))[truth] + 1.2 * rng.normal(size=(count, 32))
    wrong = rng.choice(count, count // 10, replace=False)
    y = truth.copy()
    y[wrong] = (y[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return x, y, set(wrong.tolist())


@pytest.mark.parametrize("seed", range(4))
def test_doubts_are_those_of_cleanlab(seed: int) -> None:
    from cleanlab.filter import find_label_issues

    x, y, _ = noisy(seed)
    p = probabilities(ridge(x, y).scores, y)
    theirs = np.asarray(find_label_issues(y, p, filter_by="prune_by_noise_rate", n_jobs=1))
    ours = doubted(p, y)
    assert (ours & theirs).sum() >= 0.85 * max(ours.sum(), theirs.sum())


def test_most_wrong_labels_are_found_and_most_doubts_are_right() -> None:
    x, y, wrong = noisy(9)
    found = {one.index for one in label_suspects([ridge(x, y), ridge(x[:, :24], y)], y)}
    assert len(found & wrong) >= 0.7 * len(wrong)
    assert len(found & wrong) >= 0.5 * len(found)


def test_a_suggestion_is_never_the_label_given() -> None:
    x, y, _ = noisy(3)
    assert all(one.given != one.suggested for one in label_suspects([ridge(x, y)], y))


def test_labels_that_fit_are_not_doubted() -> None:
    y = np.arange(60) % 3
    assert label_suspects([ridge(np.eye(3)[y], y)], y) == []
