"""Findings as a person sees them: a sentence, the pictures it is about, and a button that does what would mend it."""

from __future__ import annotations

from typing import Any

from zoo.dataset import Dataset
from zoo.finding import Finding
from zoo.look import Look
from zoo.pictures import Pictures
from zoo.ui import kit
from zoo.ui.kit import esc, percent, plural

SHOWN_GROUPS = 12
SHOWN_IN_GROUP = 6
SHOWN_FILES = 20
SHOWN_CURVES = 8
GRAVITY = {"high": ("bad", "mend this first"), "medium": ("warn", "worth a look"), "low": ("", "good to know")}


def findings_html(dataset: Dataset, pictures: Pictures, seen: Look) -> str:
    """Every finding as a card; its button's choice is its place in ``seen.findings`` and the dataset it is about."""
    if not seen.findings:
        doubts = "" if seen.thorough else " Measure the pictures to have their labels doubted too."
        return kit.say(f"Nothing looks wrong with these pictures.{doubts}", "good")
    cards = "".join(_card(dataset, pictures, one, f"{dataset.id} {n}") for n, one in enumerate(seen.findings))
    return f'<div class="tz-stack">{cards}</div>'


def worth_html(seen: Look) -> str:
    """What leakage costs and whether more pictures would help; nothing where it was not measured."""
    parts = []
    edited = " Measured before your edits." if seen.edited else ""
    if seen.leakage is not None:
        parts.append(kit.panel("The price of leakage", _leakage(seen.leakage), seen.leakage["sentence"] + edited))
    if seen.curve is not None:
        parts.append(curve_html(seen.curve, edited))
    return f'<div class="tz-two start">{"".join(parts)}</div>' if parts else ""


def _card(dataset: Dataset, pictures: Pictures, one: Finding, choice: str) -> str:
    tone, word = GRAVITY[one.severity]
    groups = "".join(_group(dataset, pictures, group, one) for group in one.groups[:SHOWN_GROUPS])
    rest = len(one.groups) - SHOWN_GROUPS
    more = f'<p class="tz-note">and {plural(rest, "more group")}</p>' if rest > 0 else ""
    files = "".join(f"<li><code>{esc(path)}</code></li>" for path in one.files[:SHOWN_FILES])
    listed = f'<ul class="tz-list" tabindex="0">{files}</ul>' if files else ""
    button = (
        f'<button type="button" class="tz-do" data-choice="{esc(choice)}">{esc(one.fix.says)}</button>'
        if one.fix.kind != "none"
        else ""
    )
    return (
        f'<section class="tz-panel tz-finding" data-kind="{esc(one.kind)}"><header><div><h3>{esc(one.title)}'
        f'<span class="tz-badge {tone}">{word}</span></h3><p>{esc(one.sentence)}</p></div>{button}</header>'
        f'<div class="tz-groups">{groups}</div>{more}{listed}</section>'
    )


def _group(dataset: Dataset, pictures: Pictures, group: tuple[int, ...], one: Finding) -> str:
    target = dict(zip(one.fix.pictures, one.fix.labels, strict=False)) if one.fix.kind == "relabel" else {}
    cells = []
    for i in group[:SHOWN_IN_GROUP]:
        item = dataset.items[i]
        going = " out" if one.fix.kind == "remove" and i in one.fix.pictures else ""
        where = f" · {esc(item.given)}" if item.given else ""
        becomes = f" → {kit.own(dataset.classes[target[i]])}" if i in target else ""
        cells.append(
            f'<figure class="{going}" title="{esc(item.name)}"><img src="{kit.thumbnail(pictures, i)}" '
            f'alt="{esc(item.name)}"><figcaption>{kit.own(dataset.classes[item.label])}{where}{becomes}</figcaption>'
            "</figure>"
        )
    rest = len(group) - SHOWN_IN_GROUP
    more = f"<span>+{rest}</span>" if rest > 0 else ""
    return f"<div>{''.join(cells)}{more}</div>"


def _leakage(found: dict[str, Any]) -> str:
    rows = (("A random split", found["random"]), ("An honest one", found["honest"]))
    return (
        '<ul class="tz-bars">'
        + "".join(
            f'<li><span>{esc(name)}</span><div><i style="width:{100 * share:.1f}%"></i></div>'
            f"<span>{percent(share)}</span></li>"
            for name, share in rows
        )
        + "</ul>"
    )


def curve_html(found: dict[str, Any], more: str = "") -> str:
    """What ``Curves.as_json`` gave, as a panel; ``more`` is said after its sentence."""
    return kit.panel("Would more pictures help?", _curve(found), found["sentence"] + more)


def _curve(found: dict[str, Any]) -> str:
    points = found["overall"]
    most = max((*points["errors"], 0.01))
    rows = zip(points["sizes"], points["errors"], strict=True)
    bars = "".join(
        f'<li><span>{size:,.0f} pictures</span><div><i style="width:{100 * error / most:.1f}%"></i></div>'
        f"<span>{percent(error)}</span></li>"
        for size, error in rows
    )
    note = '<p class="tz-note tz-gap">Share told wrong, by how many pictures the probe learned from.</p>'
    return f'<ul class="tz-bars grown">{bars}</ul>{note}{_wanted(found["classes"])}'


def _wanted(curves: list[dict[str, Any]]) -> str:
    """What more of each class alone would bring, the most promising first; nothing where nothing can be forecast."""
    known = sorted((one for one in curves if one["forecast"]), key=lambda one: -one["forecast"]["gain"])[:SHOWN_CURVES]
    if not known:
        return ""
    rows = "".join(_hoped(one["name"], one["forecast"]) for one in known)
    head = "<tr><th>Class</th><th>More</th><th>Fewer mistakes</th><th>95 %</th></tr>"
    table = f'<table class="tz-table"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    note = "If that many more of one class came alone: mistakes about it, in 100 of its pictures."
    return f'<div class="tz-scroll tz-gap">{table}</div><p class="tz-note tz-gap">{esc(note)}</p>'


def _hoped(name: str, forecast: dict[str, Any]) -> str:
    low, high = forecast["interval"]
    cells = (f"{forecast['more']:,}", f"{100 * forecast['gain']:.1f}", f"{100 * low:.1f} – {100 * high:.1f}")
    return f'<tr><th scope="row" translate="no">{esc(name)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
