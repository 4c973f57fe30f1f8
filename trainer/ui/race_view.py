"""A race as a person watches it: a row for each strategy as heats end, and the verdict in one sentence."""

from __future__ import annotations

from typing import Any

from trainer.strategies import strategies
from zoo.ui import kit
from zoo.ui.charts import Axis, shares, whisker
from zoo.ui.kit import duration, esc, percent

Found = dict[str, Any]

INTRO = kit.say(
    "Each strategy learns from three quarters of your pictures and is asked about the rest, in turn. "
    "All get the same seconds and the same pictures; the test part is not looked at."
)
HEAD = (
    "<thead><tr><th>Strategy</th><th class='wide'>Right on pictures it had not seen</th><th></th>"
    "<th>Judged on</th><th>One training</th><th></th></tr></thead>"
)


def race_html(found: Found | None) -> str:
    """Everything that is known of a race; what it is where there is none."""
    if found is None:
        return INTRO
    return f'<div class="tz-stack">{_standing(found)}{_board(found)}</div>'


def _standing(found: Found) -> str:
    match found["state"]:
        case "running":
            progress = found["progress"]
            so_far = kit.say(f"So far: {found['verdict']}", "wait") if len(found["arms"]) > 1 and found["gain"] else ""
            left = max((found["most_seconds"] or 0.0) - found["took"], 0.0)
            doing = found["message"] + (f" · at most about {duration(left)} left" if left > 1 else "")
            return kit.bar(progress["done"] / max(progress["total"], 1), doing) + so_far
        case "finished":
            return kit.say(found["verdict"], "good")
        case "stopped":
            return kit.say(found["message"], "wait")
        case _:
            return kit.say(found["message"], "bad")


def _board(found: Found) -> str:
    judged = [arm for arm in found["arms"] if arm["accuracy"] is not None]
    if not judged:
        return ""
    lows, highs = zip(*(arm["interval"] for arm in judged), strict=True)
    axis = shares(max(0.0, min(lows) - 0.02), min(1.0, max(highs) + 0.02))
    rows = "".join(_row(arm, found, axis) for arm in found["arms"])
    table = f'<table class="tz-table">{HEAD}<tbody>{rows}</tbody></table>'
    return f'<section class="tz-panel">{table}{_unable(found)}</section>'


def _unable(found: Found) -> str:
    words = " ".join(
        f"{arm['strategy'].replace('_', ' ').capitalize()} did not run: {arm['why']}" for arm in found["unavailable"]
    )
    return f'<p class="tz-note">{esc(words)}</p>' if words else ""


def _row(arm: Found, found: Found, axis: Axis) -> str:
    known = strategies().get(arm["strategy"])
    name = f"<td>{esc(known.title if known else arm['strategy'])}</td>"
    if arm["accuracy"] is None:
        return (
            f"<tr>{name}<td class='wide'></td><td></td><td></td><td></td><td>{esc(arm['why'] or 'waiting')}</td></tr>"
        )
    won = arm["strategy"] == found["winner"] and found["state"] == "finished"
    badge = '<span class="tz-badge">winner</span>' if won else ""
    if arm["why"]:
        badge += f'<span class="tz-badge warn" title="{esc(arm["why"])}">left early</span>'
    return (
        f"<tr>{name}<td class='wide'>{whisker(arm['accuracy'], arm['interval'], axis, best=won)}</td>"
        f"<td>{percent(arm['accuracy'])}</td><td>{arm['pictures']:,}</td><td>{duration(arm['seconds'])}{_rate(arm)}</td>"
        f"<td>{badge}</td></tr>"
    )


def _rate(arm: Found) -> str:
    """Which of the learning rates it tried went on; "" where it has none."""
    tried = len(arm.get("rates", ()))
    said = f"rate {arm['learning_rate']:.2g}, best of {tried}"
    return f"<br><small>{esc(said)}</small>" if tried > 1 else ""
