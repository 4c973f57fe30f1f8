from typing import Any

import pytest

from tests.zoo.test_reporting import comparison, row
from zoo.record import outcomes, record


def run(backbone: str, achieved: float, predicted: float | None, dataset: str = "f" * 16) -> dict[str, Any]:
    margin = {"low": None, "high": None} if predicted is None else {"low": predicted - 0.05, "high": predicted + 0.05}
    base = {"dataset": dataset, "backbone": backbone, "strategy": "linear_head", "seed": 0, "n": 50}
    return base | {"achieved": achieved, "predicted": predicted} | margin


def found(rows: list[dict[str, Any]], name: str = "accuracy") -> dict[str, Any]:
    told = record(outcomes(rows, [comparison(row("timm/a", 0.9, 4, logme=0.1), row("timm/b", 0.8, 4, logme=0.9))]))
    of_it: dict[str, Any] = next(one for one in told["agreement"] if one["name"] == name)
    return told | of_it


def test_few_runs_say_that_they_are_too_few() -> None:
    assert found([])["tau"] is None
    few = found([run("timm/a", 0.8, 0.82)])
    assert few["tau"] is None
    assert few["forecasts"] == few["within"] == 1
    assert few["error"] == pytest.approx(0.02)


def test_forecasts_in_the_right_order_agree_and_reversed_ones_do_not() -> None:
    values = [0.5 + 0.03 * step for step in range(10)]
    right = found([run(f"timm/{value}", value + 0.01, value) for value in values])
    assert right["tau"] == pytest.approx(1)
    assert right["interval"] == pytest.approx([1, 1])
    wrong = found([run(f"timm/{value}", 1 - value, value) for value in values])
    assert wrong["tau"] == pytest.approx(-1)


def test_an_interval_holds_its_estimate_and_narrows_with_runs() -> None:
    values = [(0.5 + 0.01 * step, 0.5 + 0.01 * ((step * 7) % 11 + step)) for step in range(40)]
    widths = []
    for many in (10, 40):
        seen = found([run(f"timm/{told}", came, told) for told, came in values[:many]])
        low, high = seen["interval"]
        assert low <= seen["tau"] <= high
        widths.append(high - low)
    assert widths[1] < widths[0]


def test_one_arm_repeated_is_one_run() -> None:
    assert found([run("timm/a", 0.8, 0.82) for _ in range(20)])["runs"] == 0


def test_scores_are_taken_from_the_comparison_and_compared_within_one_dataset_only() -> None:
    rows = [run("timm/a", 0.8, 0.8), run("timm/b", 0.9, 0.9), run("timm/a", 0.7, 0.7, dataset="e" * 16)]
    told = outcomes(rows, [comparison(row("timm/a", 0.9, 4, logme=0.1), row("timm/b", 0.8, 4, logme=0.9))])
    assert [one["measures"]["logme"] for one in told] == [0.1, 0.9, None]
    assert found(rows, "logme")["pairs"] == 1


def test_a_run_without_a_forecast_counts_as_a_run_only() -> None:
    told = found([run("timm/a", 0.8, None)])
    assert (told["runs"], told["forecasts"], told["error"]) == (0, 0, None)
    assert record(outcomes([run("timm/a", 0.8, None)], []))["runs"] == 1
