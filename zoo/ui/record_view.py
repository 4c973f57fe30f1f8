"""The studio's own record as a person sees it: how often its forecasts held on this machine, and which score ranks."""

from __future__ import annotations

from typing import Any

from zoo.ui import kit
from zoo.ui.charts import Axis
from zoo.ui.glossary import term
from zoo.ui.kit import esc, percent, plural

TAU = Axis(low=-1, high=1, ticks=())


def record_html(known: dict[str, Any]) -> str:
    """What ``zoo.record.record`` gave, as a panel."""
    runs = known["runs"]
    if not runs:
        note = "Each finished run is set against what was foretold of it, here. None has finished on this machine yet."
        return _alone(kit.panel("The studio’s own record", "", note))
    lines = "".join(_line(one) for one in known["agreement"] if one["runs"] or one["name"] == "accuracy")
    table = (
        '<div class="tz-scroll" tabindex="0"><table class="tz-table"><thead><tr><th scope="col">Foretold by</th>'
        f'<th scope="col">Runs</th><th scope="col">{term("tau")}</th><th scope="col" class="wide">'
        f"{term('interval')}</th></tr></thead><tbody>{lines}</tbody></table></div>"
    )
    return _alone(kit.panel("The studio’s own record", table, f"{_held(known)} It grows with every run finished here."))


def _alone(panel: str) -> str:
    return f'<div class="tz-stack">{panel}</div>'


def _held(known: dict[str, Any]) -> str:
    told = known["forecasts"]
    if not told:
        return f"{plural(known['runs'], 'finished run')}, none with a forecast."
    return (
        f"{plural(known['runs'], 'finished run')}: the foretold accuracy was off by {percent(known['error'])} "
        f"(median of {told}), and the test part fell into the foretold range {known['within']} times of {told}."
    )


def _line(one: dict[str, Any]) -> str:
    name = esc(one["title"][:1].upper() + one["title"][1:])
    if one["tau"] is None:
        return f'<tr><th scope="row">{name}</th><td>{one["runs"]}</td><td colspan="2">too few runs yet</td></tr>'
    low, high = one["interval"]
    span = f"{one['tau']:+.2f}".replace("-", "−")
    said = f"{low:+.2f} to {high:+.2f}".replace("-", "−")
    left, right = TAU.at(low), TAU.at(high)
    bar = (
        f'<div class="tz-whisker" aria-hidden="true"><i style="left:{left}%;width:{round(right - left, 2)}%"></i>'
        f'<b style="left:{TAU.at(one["tau"])}%"></b></div>'
    )
    return (
        f'<tr><th scope="row">{name}</th><td>{one["runs"]}</td><td><b>{span}</b></td>'
        f'<td class="wide"><small>{said}</small>{bar}</td></tr>'
    )
