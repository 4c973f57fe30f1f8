"""Sets of answers keep the share they promise on pictures they were not tuned to."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.conformal import coverage, least, likelier, prediction_set, set_threshold, thresholds
from zoo.errors import BadPlan

CLASSES = ("a", "b", "c", "d", "e")


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(5, 0.6), size=n)
    return probabilities, np.array([rng.choice(5, p=row) for row in probabilities])


@pytest.mark.parametrize("miss", [0.05, 0.1, 0.2])
def test_sets_hold_the_truth_as_often_as_asked_and_hardly_more(miss: float) -> None:
    found = []
    for seed in range(120):
        probabilities, y = drawn(400, seed)
        found.append(coverage(probabilities[100:], y[100:], probabilities[:100], y[:100], CLASSES, miss)["coverage"])
    assert np.mean(found) == pytest.approx(1 - miss + 0.5 / 101, abs=0.012)


def test_sets_and_their_coverage_are_the_same_arithmetic() -> None:
    probabilities, y = drawn(60, 1)
    calibration, labels = drawn(40, 2)
    told = coverage(probabilities, y, calibration, labels, CLASSES)
    sets = [prediction_set(row, told["threshold"]) for row in probabilities]
    assert told["coverage"] == np.mean([label in one for one, label in zip(sets, y, strict=True)])
    assert told["mean_size"] == np.mean([len(one) for one in sets])
    assert sum(row["n"] for row in told["per_class"]) == 60


@pytest.mark.parametrize(("miss", "pictures"), [(0.1, 9), (0.2, 4), (0.05, 19), (0.01, 99)])
def test_one_picture_too_few_is_refused(miss: float, pictures: int) -> None:
    assert least(miss) == pictures
    probabilities, y = drawn(pictures, 0)
    assert set_threshold(probabilities[1:], y[1:], miss) is None
    assert f"{miss:g}" in thresholds(probabilities, y)
    with pytest.raises(BadPlan, match=f"takes {pictures}"):
        coverage(probabilities, y, probabilities[1:], y[1:], CLASSES, miss)


def test_a_sure_answer_stands_alone() -> None:
    assert prediction_set(np.array([0.01, 0.97, 0.02]), 0.9) == [1]
    assert prediction_set(np.array([0.4, 0.35, 0.25]), 0.39) == [0]
    assert prediction_set(np.array([0.4, 0.35, 0.25]), 0.4) == [0, 1]
    assert prediction_set(np.array([0.4, 0.35, 0.25]), 1.0) == [0, 1, 2]
    assert likelier(np.array([[0.25, 0.4, 0.35]])) == pytest.approx(np.array([[0.75, 0.0, 0.4]]))
