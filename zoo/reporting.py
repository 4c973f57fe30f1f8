"""A comparison to take away: JSON, a table for spreadsheets, or one page that opens anywhere and prints."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

from zoo.errors import BadPlan
from zoo.repair import harmless
from zoo.speech import bilingual
from zoo.store import write_bytes

Found = Mapping[str, Any]
Row = Mapping[str, Any]

TEXTS = ("id", "family", "licence", "best_tap")
FIGURES = (
    *("accuracy", "low", "high", "balanced_accuracy", "knn", "p_best", "mid_p", "ms_per_picture", "params", "gmacs"),
    *("logme", "hscore", "leep", "nce", "transrate", "pictures", "dropped_at", "seconds"),
)
SCORES = {
    "knn": "kNN",
    "logme": "LogME",
    "hscore": "H-score",
    "leep": "LEEP",
    "nce": "NCE",
    "transrate": "TransRate",
}
STYLE = """
:root { color-scheme: light; } * { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; color: #1b2420; background: #f7f5f0; margin: 0; }
main { max-width: 960px; margin: 0 auto; padding: 32px 24px; } h1 { font-size: 26px; margin: 0; } h2 { font-size: 17px; margin: 26px 0 8px; }
p { margin: 4px 0; max-width: 82ch; } small, .soft { color: #56605a; } .lead { font-size: 18px; border-left: 4px solid #0f6b54; padding-left: 14px; margin: 18px 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { text-align: right; padding: 8px 10px 8px 0; border-top: 1px solid #d3ccbe; vertical-align: middle; } thead th { border: 0; color: #56605a; font-weight: 500; }
th:first-child, td:first-child, .main td:last-child, .main th:last-child { text-align: left; } .main td:last-child, .main th:last-child { padding-left: 14px; } td, th { white-space: nowrap; } td:first-child { white-space: normal; min-width: 230px; } td:first-child { overflow-wrap: anywhere; font-weight: 600; } td small { display: block; font-weight: 400; }
.bar { position: relative; width: 150px; height: 14px; background: #ece7dc; border-radius: 3px; } .bar i { position: absolute; top: 4px; height: 6px; background: #0f6b5466; border-radius: 3px; }
.bar b { position: absolute; top: 2px; width: 10px; height: 10px; margin-left: -5px; background: #0f6b54; border-radius: 50%; }
.base td { color: #56605a; } .tag { background: #e3f0ea; color: #0f6b54; border-radius: 9px; padding: 0 7px; font-size: 12px; font-weight: 600; margin-left: 6px; white-space: nowrap; }
@page { margin: 12mm; }
@media print { body, table { background: #fff; font-size: 10.5px; } h1 { font-size: 19px; } h2 { font-size: 13px; margin: 14px 0 4px; } .lead { font-size: 13px; margin: 10px 0; } th, td { padding: 4px 8px 4px 0; } td:first-child { min-width: 0; } .tag { font-size: 9px; } main { padding: 0; max-width: none; } .bar { width: 90px; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""  # noqa: E501 - a style sheet


def front(rows: Sequence[Row]) -> list[str]:
    """Ids of the backbones that none is both faster and more accurate than, the fastest first."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: (row["ms_per_picture"], -row["accuracy"])):
        if not kept or row["accuracy"] > kept[-1]["accuracy"]:
            kept.append(row)
    return [row["id"] for row in kept]


def weights(millions: float) -> str:
    """So many weights, as a person says it."""
    if not millions:
        return "none"
    return f"{millions:.1f} M" if millions >= 0.1 else f"{max(1, round(millions * 1000))} k"


def as_json(found: Found) -> str:
    """The comparison whole, for programs."""
    return json.dumps(found, ensure_ascii=False, indent=2)


def as_csv(found: Found) -> str:
    """One line a backbone, the baseline last. No cell is a formula to a spreadsheet."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow([*TEXTS, *FIGURES, "commercial", "tie", "on_front"])
    on_front = front(found["backbones"])
    for row in _rows(found):
        low, high = row["interval"]
        more = {**row, "low": low, "high": high, "mid_p": (row.get("versus_best") or {}).get("mid_p")}
        use = "unknown" if row.get("commercial") is None else _yes(row["commercial"])
        marks = [use, _yes(row["id"] in (found.get("ties") or [])), _yes(row["id"] in on_front)]
        figures = [_figure(more.get(name)) for name in FIGURES]
        writer.writerow([*harmless([str(row.get(name, "")) for name in TEXTS]), *figures, *marks])
    return text.getvalue()


def as_html(found: Found, title: str = "") -> str:
    """One page without anything from elsewhere, in English and Korean. ``title`` is what the pictures are called."""
    rows = _rows(found)
    low = max(0.0, min([row["interval"][0] for row in rows] + [found.get("chance") or 1.0]) - 0.02)
    named = escape(title or f"dataset {found['dataset']}")
    place = found.get("quadrant") or {}
    stands = f"On the map: {place['cell']}. {place['sentence']}" if place else "The comparison has not ended."
    others = [str((place.get(name) or {}).get("sentence", "")) for name in ("d2", "d3")]
    stands = " ".join([stands, *filter(None, others)])
    missing = "".join(f"<li>{escape(one['id'])}: {escape(one['problem'])}</li>" for one in found.get("unavailable", []))
    body = "".join(_line(row, found, low) for row in rows)
    heads = "".join(f"<th>{head}</th>" for head in ("Backbone", "", "Right", "95 % interval", "A picture", "Weights"))
    return bilingual(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Backbones compared on {named}</title><style>{STYLE}</style></head><body><main>"
        f'<h1>Backbones compared on {named}</h1><p class="soft">{_basis(found)}</p>'
        f'<p class="lead">{escape(str(found.get("sentence") or found.get("message") or ""))}</p>'
        f'<div class="wide"><table class="main"><thead><tr>{heads}<th>Licence</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
        f"<h2>Where the pictures stand</h2><p>{escape(stands)}</p>"
        f"{_depths(rows)}{_scores(rows)}"
        f"{f'<h2>Could not be had</h2><ul>{missing}</ul>' if missing else ''}"
        "<h2>How to read this</h2><p>Each backbone, frozen, read every picture once; a linear classifier on its "
        "features was judged on pictures that it was not fitted to. A tie is an order that other pictures of the kind "
        "could turn around. Milliseconds are of the machine that measured. Front: none is both faster and more "
        "accurate. The test part was not looked at.</p></main></body></html>"
    )


def write(found: Found, path: Path, title: str = "") -> None:
    """Write the comparison as the ending of ``path`` says.

    Raises:
        BadPlan: it is none of .html, .csv and .json.
    """
    write_bytes(path, form(path)(found, title).encode())


def form(path: Path) -> Callable[[Found, str], str]:
    """What makes the file that the ending of ``path`` names; raises as ``write`` does."""
    forms: dict[str, Callable[[Found, str], str]] = {
        ".html": as_html,
        ".csv": lambda found, _: "\ufeff" + as_csv(found),
        ".json": lambda found, _: as_json(found),
    }
    if path.suffix.lower() not in forms:
        raise BadPlan(
            f"A report cannot be a {path.suffix or 'file without an ending'}.", "End it in .html, .csv or .json."
        )
    return forms[path.suffix.lower()]


def _rows(found: Found) -> list[Row]:
    return [*found["backbones"], *([found["baseline"]] if found.get("baseline") else [])]


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _figure(value: object) -> object:
    return "" if value is None else round(value, 6) if isinstance(value, float) else value


def _basis(found: Found) -> str:
    seconds = (found.get("seconds") or {}).get("total")
    took = f" in {seconds:.0f} s" if seconds else ""
    held, seed = found.get("held_back", 0), found.get("seed", 0)
    return (
        f"Measured on {found.get('pictures', 0):,} pictures{took}; {held:,} test pictures not looked at; seed {seed}."
    )


def _line(row: Row, found: Found, low: float) -> str:
    base = row["id"].startswith("pixels/")
    left, right = row["interval"]
    ties = found.get("ties") or []
    tie = '<span class="tag">tie</span>' if row["id"] in ties and len(ties) > 1 else ""
    ahead = '<span class="tag">front</span>' if row["id"] in front(found["backbones"]) else ""
    use = {True: "", False: "not for commercial use", None: "" if base else "check its licence"}[row.get("commercial")]
    span = f"left:{_at(left, low)}%;width:{round(_at(right, low) - _at(left, low), 1)}%"
    return (
        f'<tr class="{"base" if base else ""}"><td>{escape(row["id"])}{tie}{ahead}<small>{escape(str(row["family"]))}'
        f'</small></td><td><div class="bar"><i style="{span}"></i><b style="left:{_at(row["accuracy"], low)}%"></b>'
        f"</div></td><td><b>{row['accuracy']:.1%}</b></td><td>{left:.1%} – {right:.1%}</td>"
        f"<td>{row['ms_per_picture']:.1f} ms</td><td>{weights(row['params'])}</td>"
        f"<td>{escape(str(row['licence']))}<small>{use}</small></td></tr>"
    )


def _at(share: float, low: float) -> float:
    return round(100 * max(0.0, share - low) / max(1 - low, 1e-6), 1)


def _joined(row: Row) -> str:
    if not row.get("joined"):
        return ""
    tap = row["joined"]["tap"]
    low, high = tap["interval"]
    return f"; {escape(tap['name'])} joined: {tap['accuracy']:.1%} ({low:.1%} to {high:.1%})"


def _depths(rows: Sequence[Row]) -> str:
    deep = [row for row in rows if len(row["taps"]) > 1]
    lines = "".join(
        f"<p><b translate='no'>{escape(row['id'])}</b>: "
        + ", ".join(f"{escape(tap['name'])} {tap['accuracy']:.1%}" for tap in row["taps"])
        + f"; earliest that serves as well: {escape(row['best_tap'])}{_joined(row)}.</p>"
        for row in deep
    )
    return f"<h2>From the first to the last layer</h2>{lines}" if lines else ""


def _scores(rows: Sequence[Row]) -> str:
    names = [name for name in SCORES if any(row.get(name) is not None for row in rows)]
    lines = "".join(
        f"<tr><td>{escape(row['id'])}</td>"
        + "".join(f"<td>{'–' if row.get(name) is None else format(row[name], '.3f')}</td>" for name in names)
        + "</tr>"
        for row in rows
    )
    heads = "".join(f"<th>{SCORES[name]}</th>" for name in names)
    note = (
        "Shown beside the accuracy, never instead of it: such scores mostly measure a model's size (arXiv 2510.06448)."
    )
    table = (
        f'<div class="wide"><table><thead><tr><th>Backbone</th>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'
    )
    return f'<h2>Transfer scores</h2><p class="soft">{note}</p>{table}' if names else ""
