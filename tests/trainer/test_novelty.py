"""The gate and the prediction set keep the shares they promise on pictures they were not tuned to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.trainer.test_head import clouds
from trainer.novelty import Gate, fit_gate, prediction_set, set_threshold
from zoo.errors import BadClassifier


def test_the_gate_lets_familiar_pictures_through_and_stops_others(tmp_path: Path) -> None:
    x, y = clouds(400, 4, 0)
    gate = fit_gate(x, y, clouds(300, 4, 1)[0], 4)
    gate.save(tmp_path / "gate.npz")
    loaded = Gate.load(tmp_path / "gate.npz")
    assert loaded is not None
    assert 0.9 < (loaded.distance(clouds(1000, 4, 2)[0]) <= loaded.threshold).mean() < 0.99
    strange = np.random.default_rng(5).normal(size=(200, 60)).astype(np.float32) * 3
    assert (loaded.distance(strange) > loaded.threshold).mean() > 0.95


def test_too_few_calibration_pictures_leave_the_gate_open() -> None:
    x, y = clouds(60, 3, 0)
    assert np.isinf(fit_gate(x, y, clouds(19, 3, 1)[0], 3).threshold)


def test_a_damaged_gate_is_explained(tmp_path: Path) -> None:
    (tmp_path / "gate.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(BadClassifier):
        Gate.load(tmp_path / "gate.npz")
    assert Gate.load(tmp_path / "none.npz") is None


def test_prediction_sets_hold_the_truth_nine_times_of_ten() -> None:
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        probabilities = rng.dirichlet(np.full(5, 0.6), size=150)
        y = np.array([rng.choice(5, p=row) for row in probabilities])
        threshold = set_threshold(probabilities[:50], y[:50])
        assert threshold is not None
        rows = zip(probabilities[50:], y[50:], strict=True)
        covered.append(np.mean([label in prediction_set(row, threshold) for row, label in rows]))
    assert np.mean(covered) >= 0.9


def test_eight_calibration_pictures_are_refused_and_nine_are_not() -> None:
    probabilities, y = np.full((9, 2), 0.5), np.zeros(9, dtype=np.int64)
    assert set_threshold(probabilities[:8], y[:8]) is None
    assert set_threshold(probabilities, y) is not None


def test_a_sure_answer_stands_alone() -> None:
    assert prediction_set(np.array([0.01, 0.97, 0.02]), 0.9) == [1]
    assert prediction_set(np.array([0.4, 0.35, 0.25]), 1.0) == [0, 1, 2]
