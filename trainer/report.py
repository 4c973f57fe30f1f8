"""A run's results to take away: JSON, a table for spreadsheets, or one page that opens anywhere and prints."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

from zoo.errors import BadPlan
from zoo.repair import harmless
from zoo.reporting import STYLE
from zoo.speech import bilingual
from zoo.store import write_bytes

Found = Mapping[str, Any]
FIGURES = ("precision", "recall", "f1")
LARGEST_MATRIX = 30  # classes; of more only the commonest confusions are listed
MORE_STYLE = (
    ".heat td, .heat th { text-align: center; padding: 6px; min-width: 0 !important; font-weight: 400 !important; } "
    ".heat th:first-child { text-align: left; } .plain td:first-child { min-width: 120px; } "
    "svg { max-width: 340px; width: 100%; height: auto; } .two { display: flex; gap: 32px; flex-wrap: wrap; }"
)


def write(found: Found, path: Path, title: str = "") -> None:
    """Write what ``Judgement.results`` gave as the ending of ``path`` says.

    Raises:
        BadPlan: it is none of .html, .csv and .json.
    """
    write_bytes(path, made(found, path.suffix.lower(), title).encode())


def made(found: Found, ending: str, title: str = "") -> str:
    """The text of that file; raises as ``write`` does."""
    match ending:
        case ".json":
            return json.dumps(found, ensure_ascii=False, indent=2)
        case ".csv":
            return "\ufeff" + as_csv(found)
        case ".html":
            return as_html(found, title)
    raise BadPlan(f"A report cannot be a {ending or 'file without an ending'}.", "End it in .html, .csv or .json.")


def as_csv(found: Found) -> str:
    """One line a class, then how often each was called what. No cell is a formula to a spreadsheet."""
    text = StringIO()
    writer = csv.writer(text)
    names = harmless(found["classes"])
    ends = [f"{figure}_{end}" for figure in FIGURES for end in ("", "low", "high")]
    writer.writerow(["class", "pictures", *(end.rstrip("_") for end in ends), *(f"called {name}" for name in names)])
    for name, row, counts in zip(names, found["per_class"], found["confusion"], strict=True):
        cells: list[object] = []
        for figure in FIGURES:
            low, high = row[f"{figure}_interval"] or ("", "")
            cells += [_figure(value) for value in (row[figure], low, high)]
        writer.writerow([name, row["n"], *cells, *counts])
    return text.getvalue()


def as_html(found: Found, title: str = "") -> str:
    """One page without anything from elsewhere, in English and Korean. ``title`` is what the pictures are called."""
    named = escape(title or "the pictures")
    low, high = found["interval"]
    over = found.get("overfitting")
    return bilingual(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>A classifier of {named}: results</title><style>{STYLE}{MORE_STYLE}</style></head><body><main>"
        f'<h1>A classifier of {named}</h1><p class="soft">Run {escape(found["run"])}. Every figure is of '
        f"{found['n']:,} test pictures that it had not seen, read once; intervals hold 95 %.</p>"
        f'<p class="lead">Right on <b>{found["accuracy"]:.1%}</b> ({low:.1%} – {high:.1%}); '
        f"{found['balanced_accuracy']:.1%} balanced over the classes.</p>"
        f"<p>{escape(over['sentence'] if over else '')}</p>"
        f"<h2>Class by class</h2>{_classes(found)}"
        f"<h2>What is taken for what</h2>{_confusion(found)}"
        f"<h2>Is its certainty honest?</h2>{_certainty(found)}"
        f"<h2>When to let it answer</h2>{_answering(found)}"
        f"{_unknown(found)}"
        "<h2>How to read this</h2><p>Precision: of those called so, how many are. Recall: of those that are, how many "
        "were found. F1: their harmonic mean. A set of answers is promised to hold the truth as often as it says on "
        "pictures like these, not on others.</p></main></body></html>"
    )


def _classes(found: Found) -> str:
    lines = "".join(
        f"<tr><td translate='no'>{escape(row['label'])}</td><td>{row['n']}</td>"
        + "".join(f"<td>{_range(row[figure], row[f'{figure}_interval'])}</td>" for figure in FIGURES)
        + "</tr>"
        for row in found["per_class"]
    )
    heads = "".join(f"<th>{head}</th>" for head in ("Class", "Pictures", "Precision", "Recall", "F1"))
    return f'<div class="wide"><table class="plain"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'


def _confusion(found: Found) -> str:
    names, counts = found["classes"], found["confusion"]
    if len(names) > LARGEST_MATRIX:
        return "<ul>" + "".join(f"<li>{_pair(one)}</li>" for one in found["pairs"]) + "</ul>"
    heads = "".join(f"<th translate='no'>{escape(name)}</th>" for name in names)
    lines = "".join(
        f"<tr><th translate='no'>{escape(name)}</th>{''.join(_cell(count, sum(row)) for count in row)}</tr>"
        for name, row in zip(names, counts, strict=True)
    )
    worst = f"<p>Most often: <span>{_pair(found['pairs'][0])}</span>.</p>" if found["pairs"] else ""
    table = f'<table class="heat"><thead><tr><th>truth ↓ said →</th>{heads}</tr></thead><tbody>{lines}</tbody></table>'
    return f'<div class="wide">{table}</div>{worst}'


def _cell(count: int, total: int) -> str:
    shade = round(100 * count / total * 0.55) if total else 0
    return f'<td style="background:color-mix(in srgb, #0f6b54 {shade}%, transparent)">{count or ""}</td>'


def _pair(one: Found) -> str:
    low, high = one["interval"]
    counted = f"{one['count']} of {one['of']} ({low:.0%} – {high:.0%})"
    return f"{escape(one['truth'])} taken for {escape(one['said'])}, {counted}"


def _certainty(found: Found) -> str:
    low, high = found["ece_interval"]
    old = found["before"]
    text = (
        f"Its certainty is off by {found['ece']:.1%} on average ({low:.1%} – {high:.1%}); before temperature scaling "
        f"(T = {found.get('temperature') or 1:.2f}) by {old['ece']:.1%} ({old['ece_interval'][0]:.1%} – "
        f"{old['ece_interval'][1]:.1%})."
    )
    if less := found.get("ece_debiased"):
        text += (
            f" Less what chance adds on that many pictures: {less[0]:.1%} ({less[1][0]:.1%} – {less[1][1]:.1%}); "
            "0 is what a perfectly honest classifier would show."
        )
    charts = _diagram(found["reliability"], "with temperature") + _diagram(old["reliability"], "without")
    return f'<p>{text}</p><div class="two">{charts}</div>'


def _diagram(bins: Sequence[Found], name: str) -> str:
    dots = "".join(
        f'<circle cx="{20 + 160 * one["confidence"]:.1f}" cy="{180 - 160 * one["accuracy"]:.1f}" '
        f'r="{3 + min(6, one["n"] ** 0.5):.1f}" fill="#0f6b54" fill-opacity=".75"/>'
        for one in bins
    )
    return (
        f'<figure style="margin:0"><svg viewBox="0 0 200 200" role="img" aria-label="Reliability {name}">'
        '<path d="M20 20V180H180" fill="none" stroke="#56605a"/><path d="M20 180L180 20" stroke="#b9b2a4" '
        f'stroke-dasharray="4 4"/>{dots}<text x="100" y="196" font-size="10" text-anchor="middle">how sure</text>'
        '<text x="10" y="100" font-size="10" text-anchor="middle" transform="rotate(-90 10 100)">how often right'
        f"</text></svg><figcaption><small>{name}</small></figcaption></figure>"
    )


def _answering(found: Found) -> str:
    rows = found["answering"]
    wanted = [min(rows, key=lambda row: abs(row["coverage"] - share)) for share in (0.5, 0.8, 0.9, 1.0)] if rows else []
    lines = "".join(
        f"<tr><td>{row['coverage']:.0%} of pictures</td><td>{row['threshold']:.0%}</td>"
        f"<td>{_range(row['accuracy'], row['interval'])}</td></tr>"
        for row in {row["threshold"]: row for row in wanted}.values()
    )
    sets = found.get("sets") or {}
    promise = ""
    if sets.get("coverage") is not None:
        low, high = sets["interval"]
        promise = (
            f"<p>Sets of answers for {1 - sets['miss']:.0%}: {sets['coverage']:.1%} ({low:.1%} – {high:.1%}) hold the "
            f"truth, {sets['mean_size']:.2f} classes on average.</p>"
        )
    heads = "<tr><th>It answers</th><th>when at least so sure</th><th>and is right on</th></tr>"
    return f'<div class="wide"><table class="plain"><thead>{heads}</thead><tbody>{lines}</tbody></table></div>{promise}'


def _unknown(found: Found) -> str:
    trust = found.get("trust")
    return f"<h2>What it does not know</h2><p>{escape(trust['sentence'])}</p>" if trust else ""


def _range(value: float | None, interval: Sequence[float] | None) -> str:
    return "–" if value is None or interval is None else f"{value:.0%} ({interval[0]:.0%} – {interval[1]:.0%})"


def _figure(value: object) -> object:
    return "" if value is None else round(value, 6) if isinstance(value, float) else value
