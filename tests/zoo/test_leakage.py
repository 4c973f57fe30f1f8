"""The price of leakage is what plain refits say it is, and nothing where nothing leaks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo.leakage import leakage

Made = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]


def families(count: int, each: int, signal: float) -> Made:
    """Features, labels and groups: ``each`` noisy copies of ``count`` things whose labels show as far as ``signal``."""
    rng = np.random.default_rng(0)
    y = np.arange(count) % 3
    things = signal * rng.normal(size=(3, 200))[y] + rng.normal(size=(count, 200))
    groups = np.repeat(np.arange(count), each)
    return things[groups] + 0.05 * rng.normal(size=(count * each, 200)), y[groups], groups


def test_labels_that_cannot_be_learned_are_remembered_from_copies() -> None:
    """By construction: chance for whoever plays fair, everything for whoever has seen the copy."""
    found = leakage(*families(90, 3, signal=0.0))
    assert found is not None
    assert found.honest == pytest.approx(1 / 3, abs=0.15)
    assert found.random > 0.85
    assert found.interval[0] < found.gap < found.interval[1]
    assert found.interval[0] > 0.35
    assert "points" in found.sentence


def test_copies_of_what_is_easy_cost_nothing() -> None:
    found = leakage(*families(60, 2, signal=3.0))
    assert found is not None
    assert found.gap == pytest.approx(0, abs=0.02)
    assert "no difference" in found.sentence


def test_without_company_there_is_no_price() -> None:
    x, y, _ = families(60, 1, signal=1.0)
    assert leakage(x, y, np.arange(60)) is None


def test_what_it_says_is_plain_values() -> None:
    found = leakage(*families(30, 2, signal=1.0))
    assert found is not None
    assert set(found.as_json()) == {"random", "honest", "gap", "interval", "grouped", "sentence"}
    assert found.grouped == 1.0
