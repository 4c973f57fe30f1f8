"""A comparison as a person sees it: backbones side by side, the depth curve, the map, and one sentence of advice."""

from __future__ import annotations

from typing import Any

from zoo.reporting import weights
from zoo.ui import kit
from zoo.ui.charts import Axis, shares, spark, whisker
from zoo.ui.compare_charts import depths, milliseconds, pareto, quadrant, short
from zoo.ui.compare_facts import downloads, facts, scores
from zoo.ui.glossary import term
from zoo.ui.kit import duration, esc, percent, plural

Found = dict[str, Any]

EMPTY = """<div class="tz-two"><section class="tz-panel"><h3>Feature extraction</h3><p>A pretrained network has already
learned edges, textures and shapes from millions of photos. It reads each of your pictures once, frozen, and its last
layer gives a list of numbers: the features.</p></section><section class="tz-panel"><h3>The probe</h3><p>A simple linear
classifier on those features shows how well a backbone fits your pictures, before anything is trained. Every picture is
judged by a probe that never saw it, so the accuracy is honest.</p></section></div>"""
NONE_YET = kit.say("Give pictures on the first step; then backbones can be compared on them.")


def comparison_html(found: Found, picked: str = "", title: str = "") -> str:
    """Everything the Compare screen says about a comparison, finished or not.

    Args:
        picked: id of the backbone looked at; the advised one where it is none of these.
        title: what the pictures are called.
    """
    rows: list[Found] = found["backbones"]
    axis, here = _axis(rows, found), looked_at(found, picked)
    parts = [_state(found), _board(found, rows, axis, here), _unavailable(found)]
    if rows and found["state"] != "running":
        parts.append(f'<div class="tz-two tz-trade">{_trade(found, here)}{facts(found, here)}</div>')
        parts.append(f'<div class="tz-two">{depths(rows)}{quadrant(found)}</div>')
        parts += [scores(found), downloads(found, title)]
    return f'<div class="tz-stack">{"".join(parts)}</div>'


def looked_at(found: Found, picked: str) -> str:
    """The backbone looked at: ``picked`` if it was measured, else the advised one, else the best."""
    measured = [str(row["id"]) for row in found["backbones"]]
    wanted = (picked, (found.get("plan") or {}).get("backbone"), *measured)
    return next((str(one) for one in wanted if one in measured), "")


def _trade(found: Found, here: str) -> str:
    note = (
        f'<p class="tz-note">{term("accuracy")} against {term("ms", "time")}; bars: {term("interval", "intervals")}. '
        f"The line joins {term('front', 'the front')}. Press a point to look at it and to train it.</p>"
    )
    return kit.panel("What does accuracy cost?", note + pareto(found, here))


def _state(found: Found) -> str:
    progress = found.get("progress") or {"done": 0, "total": 1}
    match found["state"]:
        case "running":
            return kit.bar(progress["done"] / max(progress["total"], 1), found["message"])
        case "finished":
            return f'<div class="tz-advice" role="status"><p>{esc(found["sentence"])}</p>{_basis(found)}</div>'
        case "stopped":
            return kit.say("Stopped. What was measured is kept, so that comparing again starts from there.", "wait")
        case _:
            return kit.say(found["message"], "bad")


def _basis(found: Found) -> str:
    seconds = (found.get("seconds") or {}).get("total")
    took = f" in {duration(seconds)}" if seconds else ""
    return (
        f"<p>Measured on {found['pictures']:,} pictures{took}, each left out in turn. "
        f"{found['held_back']:,} test pictures were not looked at. "
        "Ranges are 95 % intervals; a tie is an order that other pictures of the kind could turn around.</p>"
    )


def _axis(rows: list[Found], found: Found) -> Axis:
    lows = [row["interval"][0] for row in _all(rows, found)] + [float(found.get("chance") or 0.5)]
    highs = [row["interval"][1] for row in _all(rows, found)] or [1.0]
    return shares(max(0.0, min(lows) - 0.02), min(1.0, max(highs) + 0.02))


def _all(rows: list[Found], found: Found) -> list[Found]:
    return [*rows, found["baseline"]] if found.get("baseline") else rows


def _board(found: Found, rows: list[Found], axis: Axis, here: str) -> str:
    ticks = "".join(f'<span style="left:{axis.at(value)}%">{esc(word)}</span>' for value, word in axis.ticks)
    head = (
        f'<div class="tz-row head"><span>Backbone</span><div class="tz-scale">{ticks}</div>'
        f"<span>{term('accuracy')}</span><span>{term('tap', 'First to last layer')}</span>"
        f"<span>{term('ms')}</span><span>{term('params')}</span></div>"
    )
    best = rows[0]["id"] if rows else ""
    lines = "".join(_row(row, found, axis, best=row["id"] == best, here=row["id"] == here) for row in rows)
    if found["state"] == "running":
        there = {row["id"] for row in rows} | {one["id"] for one in found.get("unavailable", [])}
        now = str((found.get("progress") or {}).get("stage", ""))
        lines += "".join(_waiting(one, one == now) for one in found["asked"] if one not in there)
    if found.get("baseline"):
        lines += _row(found["baseline"], found, axis, best=False)
    return f'<section class="tz-panel"><div class="tz-board">{head}{lines}</div></section>'


def _row(row: Found, found: Found, axis: Axis, *, best: bool, here: bool = False) -> str:
    base = row["id"].startswith("pixels/")
    values = [tap["accuracy"] for tap in row["taps"]]
    names = [tap["name"] for tap in row["taps"]]
    said = "Accuracy from the first to the last layer: " + ", ".join(f"{100 * value:.0f} %" for value in values)
    depth = spark(values, axis, said, names.index(row["best_tap"])) if len(values) > 1 else ""
    name = "Pixels alone" if base else _pick(row, found, here)
    return (
        f'<div class="tz-row{" base" if base else ""}"><div class="name"><b>{name}{_badge(row, found)}</b>'
        f"<small>{esc(_meta(row, found, base))}</small></div>"
        f'<div class="whisk">{whisker(row["accuracy"], row["interval"], axis, best=best)}</div>'
        f'<div class="fig big">{percent(row["accuracy"])}</div><div class="depth">{depth}</div>'
        f'<div class="fig" data-name="a picture">{milliseconds(row["ms_per_picture"])}</div>'
        f'<div class="fig" data-name="weights">{weights(row["params"])}</div></div>'
    )


def _pick(row: Found, found: Found, here: bool) -> str:
    """The backbone's name; once there is something to look at, a button that does."""
    name = esc(short(row["id"]))
    if found["state"] == "running":
        return name
    pressed = "true" if here else "false"
    return (
        f'<button type="button" class="tz-name" data-choice="{esc(row["id"])}" aria-pressed="{pressed}">{name}</button>'
    )


def _badge(row: Found, found: Found) -> str:
    ties = found.get("ties") or []
    if row["id"] in ties and len(ties) > 1:
        return f'<span class="tz-badge">{term("tie", "tie")}</span>'
    if row.get("dropped_at"):
        return '<span class="tz-badge warn">left early</span>'
    return '<span class="tz-badge">best</span>' if [row["id"]] == ties else ""


def _meta(row: Found, found: Found, base: bool) -> str:
    if base:
        return f"No network; guessing is right on {percent(found['chance'], 0)}"
    licence = str(row["licence"])
    use = {True: "", False: " · not for commercial use", None: " · check its licence"}[row.get("commercial")]
    return f"{row['family']} · {licence}{use}"


def _waiting(backbone: str, now: bool) -> str:
    word = "measuring" if now else "waiting its turn"
    return (
        f'<div class="tz-row waiting{" busy" if now else ""}"><div class="name"><b>{esc(short(backbone))}</b>'
        f'<small>{word}</small></div><div class="tz-track"><i style="width:0"></i></div></div>'
    )


def _unavailable(found: Found) -> str:
    missing = found.get("unavailable") or []
    return "".join(kit.say(f"{one['id']}: {one.get('problem', '')} {one.get('remedy', '')}", "wait") for one in missing)


def summary(found: Found) -> str:
    """What is known in a few words, for the step above the screen."""
    if found["state"] == "running":
        return f"measuring, {len(found['backbones'])} of {len(found['asked'])}"
    if not found["backbones"]:
        return str(found["state"])
    best = max(found["backbones"], key=lambda row: row["accuracy"])
    return f"{plural(len(found['backbones']), 'backbone')}, best {percent(best['accuracy'], 0)}"
