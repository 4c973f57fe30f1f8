"""Transferability scores against values computed independently, and against what must not fool them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo.transfer import hscore, logme, shrunk_hscore


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


def test_columns_of_zeros_do_not_move_logme() -> None:
    x, y = made(100, 40, 5, 0.5)
    assert logme(np.hstack([x, np.zeros((100, 300))]), y) == pytest.approx(logme(x, y), abs=1e-9)


@pytest.mark.parametrize("score", [logme, shrunk_hscore])
def test_wide_noise_never_outranks_features_that_know_the_classes(score) -> None:  # type: ignore[no-untyped-def]
    x, y = made(120, 30, 4, 1.0)
    noise = np.random.RandomState(1).randn(120, 600)
    assert score(noise, y) < score(x, y)


def test_a_class_without_pictures_changes_nothing() -> None:
    x, y = made(80, 20, 3, 0.5)
    assert logme(x, np.where(y == 2, 5, y)) == pytest.approx(logme(x, y))
