"""What follows from a run's answers, against counts by hand, scikit-learn's, and worlds whose truth is known."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest

from trainer import report, results
from trainer.evaluation import evaluate, per_class
from trainer.head import softmax
from trainer.ui.results_view import calibration_html
from zoo.errors import BadPlan

CLASSES = ("=SUM(A1)", "<b>b</b>", "c")


def world(n: int, seed: int = 0, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are exactly honest, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(size=(n, 3)) * spread)
    return probabilities, np.array([rng.choice(3, p=row) for row in probabilities])


def whole(n: int = 300) -> dict[str, Any]:
    probabilities, y = world(n)
    groups = np.arange(n)
    names = tuple(map(str, range(n)))
    more = results.details(probabilities, y, CLASSES, groups, 1.5, 90, 100)
    return {"run": "abc", "trust": None, "refused": None, **evaluate(probabilities, y, CLASSES, names), **more}


def test_each_class_is_counted_as_scikit_learn_counts_it_with_the_truth_inside_its_interval() -> None:
    from sklearn.metrics import precision_recall_fscore_support

    probabilities, y = world(400)
    rows = per_class(probabilities, y, CLASSES, np.arange(400))
    expected = precision_recall_fscore_support(y, probabilities.argmax(axis=1))
    big, label = world(100_000, 1)
    truth = precision_recall_fscore_support(label, big.argmax(axis=1))
    for place, row in enumerate(rows):
        for name, counted, true in zip(("precision", "recall", "f1"), expected, truth, strict=False):
            assert row[name] == pytest.approx(counted[place])
            low, high = row[f"{name}_interval"]
            assert low <= row[name] <= high
            assert low - 0.03 < true[place] < high + 0.03


def test_a_class_nobody_showed_or_named_has_no_figure() -> None:
    rows = per_class(np.array([[0.9, 0.1, 0.0]] * 4), np.zeros(4, dtype=int), CLASSES, np.arange(4))
    assert [rows[2][name] for name in ("precision", "recall", "f1", "f1_interval")] == [None] * 4
    assert rows[0]["recall_interval"][0] < 0.7  # four of four is not proof of always


def test_pairs_are_the_commonest_confusions() -> None:
    probabilities = np.eye(3)[[1, 1, 0, 2, 2, 1]]
    found = results.pairs(probabilities, np.array([0, 0, 0, 1, 2, 1]), CLASSES)
    assert [(one["truth"], one["said"], one["count"], one["of"]) for one in found] == [
        (CLASSES[0], CLASSES[1], 2, 3),
        (CLASSES[1], CLASSES[2], 1, 2),
    ]


def test_undoing_the_temperature_finds_the_exaggeration_again() -> None:
    probabilities, y = world(4000)
    honest = evaluate(probabilities, y, CLASSES, tuple(map(str, range(4000))))
    before = results.before(probabilities, y, 1 / 3)  # logits three times as large had been divided by a third
    assert honest["ece"] < 0.03 < before["ece"]
    logits = np.log(probabilities) / 3
    assert before["ece"] == pytest.approx(evaluate(softmax(logits), y, CLASSES, tuple("x" * 4000))["ece"])


def test_answering_less_is_being_right_more_and_ends_at_all() -> None:
    probabilities, y = world(3000)
    right = probabilities.argmax(axis=1) == y
    rows = results.answering(probabilities.max(axis=1), right, np.arange(3000))
    assert rows[-1]["coverage"] == 1.0
    assert rows[-1]["accuracy"] == pytest.approx(right.mean())
    assert rows[9]["accuracy"] > rows[-1]["accuracy"] + 0.1
    assert len(rows) == len({row["threshold"] for row in rows}) <= results.POINTS


def test_a_gap_is_called_overfitting_only_where_pictures_can_tell() -> None:
    half = np.arange(200) % 2 == 0
    told = results.overfitting(100, 100, half, np.arange(200))
    assert told is not None
    assert told["interval"][0] > 0.3
    assert "overfits" in told["sentence"]
    told = results.overfitting(11, 20, half[:20], np.arange(20))
    assert told is not None
    assert told["interval"][0] < 0 < told["interval"][1]
    assert "No overfitting" in told["sentence"]


def test_deciding_by_cost_pays_off_where_mistakes_cost_unequally() -> None:
    probabilities, y = world(2000)
    costs = 1.0 - np.eye(3)
    equal = results.costed(probabilities, y, np.arange(2000), costs, CLASSES)
    assert equal["saved"] == 0
    costs[0, 1] = 20
    found = results.costed(probabilities, y, np.arange(2000), costs, CLASSES)
    assert found["interval"][0] > 0
    asked = results.costed(probabilities, y, np.arange(2000), costs, CLASSES, asking=0.3)
    assert asked["decided"] < found["decided"]
    assert 0 < asked["asked"] < 1
    with pytest.raises(BadPlan):
        results.costed(probabilities, y, np.arange(2000), -costs, CLASSES)


def test_the_screen_and_the_report_tell_the_calibration_error_less_chance_and_explain_it() -> None:
    found = whole()
    value, (low, high) = found["ece_debiased"]
    assert low <= value <= found["ece"]
    shown = calibration_html(found)
    assert f"<b>{100 * value:.1f} points</b><span>, likely {100 * low:.0f} to {100 * high:.0f}</span>" in shown
    assert "even a perfectly honest classifier seems a little off" in shown
    assert f"{value:.1%} ({low:.1%} – {high:.1%}); 0 is what" in report.as_html(found)


def test_what_sets_and_gate_promise_is_told_only_where_it_was_calibrated() -> None:
    (sure, y), (held, known) = world(400), world(100, 1)
    told = results.promises(sure, y, held, known, CLASSES, np.linspace(0.5, 1.04, 400))
    assert told["sets"]["interval"][0] < 0.9 < told["sets"]["interval"][1]
    low, high = told["held_back"]["interval"]
    assert low < told["held_back"]["value"] < high < 0.15
    assert results.promises(sure, y, held[:5], known[:5], CLASSES, np.full(400, np.nan)) == {}


def test_reports_are_literal_text_and_no_formula() -> None:
    found = whole()
    rows = list(csv.reader(io.StringIO(report.as_csv(found))))
    assert rows[1][0] == "'=SUM(A1)"
    assert [int(cell) for row in rows[1:] for cell in row[-3:]] == [n for row in found["confusion"] for n in row]
    page = report.as_html(found, "<i>birds</i>")
    assert "<b>b</b>" not in page
    assert "&lt;i&gt;birds&lt;/i&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    with pytest.raises(BadPlan):
        report.made(found, ".exe")
