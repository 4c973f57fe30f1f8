"""One backbone's figures with their meaning, the transfer scores side by side, and the comparison to take away."""

from __future__ import annotations

import base64
from typing import Any

from zoo.reporting import as_csv, as_html, as_json, weights
from zoo.ui import kit
from zoo.ui.compare_charts import milliseconds, short
from zoo.ui.glossary import TRUST, term
from zoo.ui.kit import between, esc, percent

Found = dict[str, Any]

SCORES = ("logme", "hscore", "leep", "nce", "transrate")
USE = {True: "commercial use allowed", False: "not for commercial use", None: "check it before commercial use"}
NONE = "–"


def facts(found: Found, here: str) -> str:
    """What is known of the backbone ``here``; "" where it was not measured."""
    row = next((row for row in found["backbones"] if row["id"] == here), None)
    if row is None:
        return ""
    lines = [
        (term("accuracy"), percent(row["accuracy"])),
        (term("interval"), between(row["interval"])),
        (term("balanced"), _share(row.get("balanced_accuracy"))),
        (term("knn"), _share(row.get("knn"))),
        (term("p_best"), _share(row.get("p_best"), 0)),
        (term("mid_p"), _against(row, found)),
        (term("ms"), milliseconds(row["ms_per_picture"])),
        (term("params"), weights(row["params"])),
        (term("gmacs"), f"{row['gmacs']:.2f}"),
        (term("licence"), f"{esc(row['licence'])}<small>{USE[row.get('commercial')]}</small>"),
        (f"{term('tap', 'Earliest tap')} that serves as well", esc(row["best_tap"])),
    ]
    if row.get("joined"):
        lines.append((f"The last {term('tap', 'taps')} joined", _joined(row)))
    body = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in lines)
    advised = (found.get("plan") or {}).get("backbone") == here
    note = "Advised. “Train this” takes it." if advised else "Chosen by you. “Train this” takes it."
    left = f" It left after {row['dropped_at']:,} pictures, surely behind." if row.get("dropped_at") else ""
    return kit.panel(short(here), f'<dl class="tz-facts" data-backbone="{esc(here)}">{body}</dl>', note + left)


def _share(value: float | None, digits: int = 1) -> str:
    return NONE if value is None else percent(value, digits)


def _joined(row: Found) -> str:
    tap, gain = row["joined"]["tap"], row["joined"]["gain"]
    less, low, high = (f"{100 * value / max(row['brier'], 1e-9):.1f}".replace("-", "−") for value in gain)
    told = f"{esc(tap['name'])}: squared error less by {less} % ({low} to {high})"
    return f"{percent(tap['accuracy'])} ({between(tap['interval'])})<small>{told}</small>"


def _against(row: Found, found: Found) -> str:
    versus = row.get("versus_best")
    if not versus:
        return "it is the best" if row["id"] == found["backbones"][0]["id"] else NONE
    low, high = versus["difference"]
    span = f"{100 * low:+.1f} to {100 * high:+.1f} points".replace("-", "−")
    return f"{versus['mid_p']:.2g}<small>{span}, classes weighing the same</small>"


def scores(found: Found) -> str:
    """The transfer scores of every finalist, what each says, and how far to trust them."""
    rows = found["backbones"]
    named = [name for name in SCORES if any(row.get(name) is not None for row in rows)]
    if not named:
        return ""
    heads = "".join(f'<th scope="col">{term(name)}</th>' for name in named)
    best = {name: max(row[name] for row in rows if row.get(name) is not None) for name in named}
    lines = "".join(
        f'<tr><th scope="row">{esc(short(row["id"]))}</th><td>{percent(row["accuracy"])}</td>'
        + "".join(_score(row.get(name), best[name]) for name in named)
        + "</tr>"
        for row in rows
        if any(row.get(name) is not None for name in named)
    )
    table = (
        f'<div class="tz-scroll" tabindex="0"><table class="tz-table"><thead><tr><th scope="col">Backbone</th>'
        f'<th scope="col">{term("accuracy")}</th>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'
    )
    note = f'<p class="tz-note tz-under">{esc(TRUST)} Press a name for what it says; bold is the highest.</p>'
    return (
        '<details class="tz-panel tz-more"><summary><h3>Transfer scores, and how far to trust them</h3></summary>'
        f"{table}{note}</details>"
    )


def _score(value: float | None, best: float) -> str:
    if value is None:
        return f"<td>{NONE}</td>"
    text = f"{value:.3f}".replace("-", "−")
    return f"<td>{f'<b>{text}</b>' if value == best else text}</td>"


def downloads(found: Found, title: str) -> str:
    """The comparison as files, inside the page itself: nothing lies on the server for others to find."""
    name = f"comparison-{found['id'][:8]}"
    files = (
        ("Report to print", f"{name}.html", "text/html", as_html(found, title)),
        ("Table (CSV)", f"{name}.csv", "text/csv", "\ufeff" + as_csv(found)),
        ("Everything (JSON)", f"{name}.json", "application/json", as_json(found)),
    )
    links = "".join(
        f'<a class="tz-file" download="{esc(file)}" href="data:{kind};charset=utf-8;base64,{_packed(text)}">{word}</a>'
        for word, file, kind, text in files
    )
    note = "This page’s address opens the comparison in any browser that reaches this studio; a file opens anywhere."
    return kit.panel("Take it along", f'<div class="tz-files">{links}</div>', note)


def _packed(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
