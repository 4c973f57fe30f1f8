import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from zoo.errors import BadPlan
from zoo.reporting import as_csv, as_html, as_json, front, write

HOSTILE = "timm/<script>alert(1)</script>"


def row(name: str, accuracy: float, ms: float, **more: Any) -> dict[str, Any]:
    taps = [{"name": f"t{at}", "accuracy": accuracy - 0.1 * (2 - at), "interval": [0.1, 0.9]} for at in range(3)]
    return {
        "id": name,
        "accuracy": accuracy,
        "interval": [accuracy - 0.05, accuracy + 0.04],
        "taps": taps,
        "best_tap": "t2",
        "ms_per_picture": ms,
        "params": 4.2,
        "gmacs": 0.4,
        "family": "Net",
        "licence": "apache-2.0",
        "commercial": True,
        "knn": 0.5,
        "logme": -0.25,
        "pictures": 100,
    } | more


def comparison(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "0" * 16,
        "state": "finished",
        "dataset": "f" * 16,
        "seed": 0,
        "pictures": 100,
        "held_back": 25,
        "chance": 0.3,
        "backbones": list(rows),
        "baseline": row("pixels/8x8", 0.4, 0.1, commercial=None, params=0.0),
        "ties": [one["id"] for one in rows],
        "quadrant": {"cell": "little, alike", "sentence": "Theory: the last layer.", "p_alike": 0.9, "p_large": 0.1},
        "plan": {"backbone": rows[0]["id"], "strategy": "linear_head"},
        "sentence": "Start with it.",
        "unavailable": [{"id": "timm/x", "problem": "<b>gone</b>", "remedy": "None."}],
        "seconds": {"total": 12.0},
    } | more


def test_the_front_is_what_none_beats_in_both() -> None:
    rows = [row("a", 0.9, 40), row("b", 0.8, 10), row("c", 0.8, 20), row("d", 0.7, 5), row("e", 0.6, 30)]
    assert front(rows) == ["d", "b", "a"]
    assert front([]) == []


def test_a_table_has_a_line_for_each_backbone_and_no_formula() -> None:
    found = comparison(row("timm/a", 0.9, 40, licence="=cmd|' /C calc'!A0"), row("-2+3", 0.8, 10))
    lines = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert [line["id"] for line in lines] == ["timm/a", "'-2+3", "pixels/8x8"]
    assert lines[0]["licence"].startswith("'=")
    assert float(lines[0]["logme"]) == -0.25
    assert [line["commercial"] for line in lines] == ["yes", "yes", "unknown"]


def test_the_page_holds_names_as_text_and_asks_nobody_for_anything() -> None:
    page = as_html(comparison(row(HOSTILE, 0.9, 40)), title='"><img src=x onerror=alert(1)>')
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "<b>gone" not in page
    assert not any(word in page for word in ("http:", "https:", "src=x on", "url(", "@import")) or "&lt;img" in page
    assert "90.0%" in page
    assert "Start with it." in page


def test_a_comparison_that_has_not_ended_is_a_page_too() -> None:
    page = as_html(comparison(row("timm/a", 0.9, 40), quadrant=None, sentence="", message="Stopped.", baseline=None))
    assert "Stopped." in page


def test_a_report_is_what_its_ending_says(tmp_path: Path) -> None:
    found = comparison(row("timm/a", 0.9, 40))
    write(found, tmp_path / "it.json")
    assert json.loads((tmp_path / "it.json").read_text()) == json.loads(as_json(found)) == found
    write(found, tmp_path / "it.csv")
    assert (tmp_path / "it.csv").read_bytes().startswith(b"\xef\xbb\xbfid,")
    with pytest.raises(BadPlan, match=r"\.pdf"):
        write(found, tmp_path / "it.pdf")
