"""Reports on held-out pictures, against counts done by hand and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.evaluation import ece, ece_by_chance, ece_debiased, evaluate, fit_temperature
from trainer.head import softmax

CLASSES = ("a", "b", "c")


def test_counts_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.6, 0.4, 0], [0.1, 0.2, 0.7]])
    report = evaluate(probabilities, np.array([0, 1, 1, 2]), CLASSES, ("w", "x", "y", "z"))
    assert report["accuracy"] == 0.75
    assert report["confusion"] == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert report["balanced_accuracy"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert report["hardest"][0]["path"] == "y"
    assert report["hardest"][0]["predicted"] == "a"


def test_it_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

    rng = np.random.default_rng(0)
    y, probabilities = rng.integers(0, 3, 200), rng.dirichlet(np.ones(3), 200)
    report = evaluate(probabilities, y, CLASSES, tuple(map(str, range(200))))
    precision, recall, f1, _ = precision_recall_fscore_support(y, probabilities.argmax(axis=1))
    assert report["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, probabilities.argmax(axis=1)))
    for row, p, r, f in zip(report["per_class"], precision, recall, f1, strict=True):
        assert (row["precision"], row["recall"], row["f1"]) == pytest.approx((p, r, f))


def test_no_held_out_picture_claims_nothing() -> None:
    report = evaluate(np.zeros((0, 3)), np.zeros(0, dtype=np.int64), CLASSES, ())
    assert (report["n"], report["accuracy"], report["interval"]) == (0, None, [0.0, 1.0])


def test_calibration_error_of_a_known_liar() -> None:
    assert ece(np.full(100, 0.9), np.arange(100) < 60) == pytest.approx(0.3)


def test_temperature_undoes_a_known_exaggeration() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(4000, 3)) * 2
    y = np.array([rng.choice(3, p=row) for row in softmax(honest)])
    assert fit_temperature(honest * 5, y) == pytest.approx(5, rel=0.1)
    assert fit_temperature(honest[:9], y[:9]) == 1.0


def test_logits_out_of_fold_steady_a_temperature_that_few_pictures_choose() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(2000, 4)) * 2
    y = np.array([rng.choice(4, p=np.exp(row) / np.exp(row).sum()) for row in honest])
    few = [fit_temperature(honest[first : first + 20], y[first : first + 20]) for first in range(0, 400, 20)]
    more = [
        fit_temperature(honest[first : first + 20], y[first : first + 20], (honest[1000:], y[1000:]))
        for first in range(0, 400, 20)
    ]
    assert np.std(more) < np.std(few) / 5
    assert more == pytest.approx([1.0] * 20, abs=0.1)


def test_the_calibration_error_that_chance_alone_shows_is_told() -> None:
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.4, 1, 400)
    honest, boastful = rng.random(400) < sure, rng.random(400) < sure - 0.2
    usual, (low, high) = ece_by_chance(sure)
    assert 0.02 < low < usual < high < 0.1
    assert low < ece(sure, honest) < high < ece(sure, boastful)
    assert ece_debiased(sure, honest)[0] < ece(sure, honest)
    assert ece_debiased(sure, boastful)[1][0] > 0.1
