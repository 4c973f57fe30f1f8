"""A learning curve's law is recovered where it holds and hidden where it does not."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.curve import Law, curves, fit

SIZES = np.array([20.0, 40.0, 80.0, 160.0, 320.0])


@pytest.mark.parametrize("law", [Law(2, 0.5, 0.05), Law(1, 0.3, 0), Law(3, 0.8, 0.1)])
def test_a_law_is_recovered(law: Law) -> None:
    found = fit(SIZES, np.array([law.at(n) for n in SIZES]))
    assert found is not None
    assert (found.a, found.b, found.c) == pytest.approx((law.a, law.b, law.c), rel=1e-6, abs=1e-9)


def test_a_law_under_noise_still_forecasts() -> None:
    law = Law(2, 0.5, 0.05)
    rng = np.random.default_rng(0)
    for _ in range(20):
        found = fit(SIZES, np.array([law.at(n) for n in SIZES]) + 0.004 * rng.normal(size=5), np.full(5, 0.004))
        assert found is not None
        assert found.at(640) == pytest.approx(law.at(640), abs=0.025)


@pytest.mark.parametrize(
    "errors",
    [[0.1, 0.2, 0.1, 0.2, 0.1], [0.1, 0.15, 0.2, 0.25, 0.3], [0.3, 0.3, 0.3, 0.3, 0.3], [0.5, 0.5, 0.1, 0.5, 0.5]],
)
def test_what_follows_no_law_is_hidden(errors: list[float]) -> None:
    assert fit(SIZES, np.array(errors), np.full(5, 0.01)) is None


def test_three_points_are_too_few_for_three_numbers() -> None:
    assert fit(SIZES[:3], np.array([0.4, 0.3, 0.25])) is None


def test_more_of_the_hard_class_is_asked_for() -> None:
    """Two classes overlap, two are far apart."""
    rng = np.random.default_rng(1)
    y = np.repeat(np.arange(4), 40)
    centres = rng.normal(size=(4, 40)) * np.array([0.45, 0.45, 1.5, 1.5])[:, None]
    found = curves(centres[y] + rng.normal(size=(160, 40)), y, np.arange(160), ("rust", "dirt", "sky", "sea"))
    assert found.overall.law is not None
    assert list(found.overall.errors) == sorted(found.overall.errors, reverse=True)
    assert list(found.overall.sizes) == [20.0, 40.0, 80.0, 160.0]
    assert found.sentence.startswith(("Collect 20 more of rust:", "Collect 20 more of dirt:"))
    rust, _, sky, _ = found.classes
    assert rust.sizes[-1] == 30  # a quarter of its 40 is left out each time
    assert rust.errors[0] > rust.errors[-1] > sky.errors[-1]
    for one in (found.overall, *found.classes):
        if one.forecast is not None:
            assert one.forecast.interval[0] <= one.forecast.interval[1]
            assert one.forecast.gain >= 0


def test_fewer_than_ten_a_class_are_not_forecast() -> None:
    rng = np.random.default_rng(2)
    y = np.arange(27) % 3
    found = curves(rng.normal(size=(27, 8)), y, np.arange(27), ("a", "b", "c"))
    assert all(one.law is None and one.forecast is None for one in (found.overall, *found.classes))
    assert "Too few" in found.sentence


def test_labels_without_meaning_promise_nothing() -> None:
    rng = np.random.default_rng(3)
    found = curves(rng.normal(size=(240, 30)), rng.integers(0, 3, 240), np.arange(240), ("a", "b", "c"))
    assert found.overall.forecast is None or found.overall.forecast.interval[0] <= 0.03
