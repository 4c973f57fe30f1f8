"""Transferability scores against values computed independently, and against what must not fool them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo.probe import Ints
from zoo.transfer import above_chance, hscore, leep, logme, nce, shrunk_hscore, softmax, transrate

Score = Callable[[NDArray[np.float64], Ints], float]


def made(n: int, d: int, classes: int, strength: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    random = np.random.RandomState(0)
    y = random.randint(0, classes, n)
    means = random.randn(classes, d)
    return strength * means[y] + random.randn(n, d), y


@pytest.mark.parametrize(
    ("case", "value"),
    [
        ((500, 64, 10, 0.5), 0.0674795077),
        ((100, 256, 5, 0.5), 0.10262967),
        ((300, 768, 10, 0.2), 0.00640387),
    ],
)
def test_logme_has_its_known_value(case: tuple[int, int, int, float], value: float) -> None:
    assert logme(*made(*case)) == pytest.approx(value, abs=1e-6)


def test_hscore_has_its_known_value() -> None:
    assert hscore(*made(500, 64, 10, 0.5)) == pytest.approx(5.8190863596, abs=1e-6)


def test_the_scores_of_a_pretrained_head_and_of_coding_rates_have_their_known_values() -> None:
    x, y = made(500, 64, 10, 0.5)
    probabilities = softmax(x[:, :20])
    assert transrate(x, y) == pytest.approx(76.4294764518, abs=1e-6)
    assert leep(probabilities, y) == pytest.approx(-2.1202304554, abs=1e-6)
    assert nce(probabilities.argmax(axis=1), y) == pytest.approx(-1.8090553320, abs=1e-6)


def test_the_shrunk_hscore_shrinks_as_scikit_learn_does() -> None:
    from sklearn.covariance import LedoitWolf

    x, y = made(100, 256, 5, 0.5)
    fitted = LedoitWolf().fit(x)
    means = np.stack([x[y == label].mean(axis=0) for label in y])
    between = (1 - fitted.shrinkage_) * np.cov(means, rowvar=False)
    assert shrunk_hscore(x, y) == pytest.approx(np.trace(fitted.precision_ @ between), abs=1e-9)


@pytest.mark.parametrize("score", [logme, hscore, shrunk_hscore, transrate])
def test_columns_of_zeros_move_no_score(score: Score) -> None:
    x, y = made(100, 40, 5, 0.5)
    assert score(np.hstack([x, np.zeros((100, 300))]), y) == pytest.approx(score(x, y), abs=1e-9)


def test_pretrained_classes_that_are_never_named_move_no_score() -> None:
    x, y = made(100, 40, 5, 0.5)
    p = softmax(x)
    padded = np.hstack([p, np.zeros((100, 300))])
    assert leep(padded, y) == pytest.approx(leep(p, y), abs=1e-9)
    assert nce(padded.argmax(axis=1), y) == pytest.approx(nce(p.argmax(axis=1), y), abs=1e-9)


def test_features_that_never_vary_score_nothing() -> None:
    _, y = made(40, 5, 3, 0.5)
    assert shrunk_hscore(np.ones((40, 6)), y) == 0.0


def surely_transrate(x: NDArray[np.float64], y: Ints) -> float:
    return above_chance(lambda labels: transrate(x, labels), y)


def surely_leep(x: NDArray[np.float64], y: Ints) -> float:
    return above_chance(lambda labels: leep(softmax(3 * x), labels), y)


def surely_nce(x: NDArray[np.float64], y: Ints) -> float:
    return above_chance(lambda labels: nce(x.argmax(axis=1), labels), y)


@pytest.mark.parametrize("score", [logme, shrunk_hscore, surely_transrate, surely_leep, surely_nce])
def test_wide_noise_never_outranks_features_that_know_the_classes(score: Score) -> None:
    x, y = made(120, 30, 4, 1.0)
    noise = np.random.RandomState(1).randn(120, 600)
    assert score(noise, y) < score(x, y)


@pytest.mark.parametrize("score", [surely_transrate, surely_leep, surely_nce])
def test_noise_scores_about_nothing(score: Score) -> None:
    x, y = made(120, 30, 4, 1.0)
    noise = np.random.RandomState(1).randn(120, 600)
    assert abs(score(noise, y)) < 0.25 * score(x, y)


def test_a_class_without_pictures_changes_nothing() -> None:
    x, y = made(80, 20, 3, 0.5)
    assert logme(x, np.where(y == 2, 5, y)) == pytest.approx(logme(x, y))
