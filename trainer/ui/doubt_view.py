"""When to believe an answer: fewer answers for more right ones, sets, costs, and what it makes of the unknown."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.ui import kit
from zoo.ui.charts import Axis, Line, plot, shares, whisker
from zoo.ui.kit import between, esc, percent

Found = dict[str, Any]
DOTS = 1500  # of the map


def answering_html(rows: list[Found], sure: float) -> str:
    """The risk-coverage curve and what answering only when at least ``sure`` comes to."""
    curve = [(one["coverage"], one["accuracy"]) for one in rows]
    band = [(one["coverage"], *one["interval"]) for one in rows]
    x = Axis(
        low=0, high=1, ticks=[(tick / 4, f"{25 * tick} %") for tick in range(5)], name="share of pictures answered"
    )
    low = min((one["interval"][0] for one in rows), default=0.0)
    here = _at(rows, sure)
    lines = [Line(name="right among the answered", points=curve, band=band)]
    if here:
        lines.append(Line(name="where you are", points=[(here["coverage"], here["accuracy"])], tone=2, dots=True))
    said = _answered(here, sure)
    return kit.panel("Answer less, be right more", plot(lines, x, shares(low), said), said)


def _at(rows: list[Found], sure: float) -> Found | None:
    """The widest coverage whose answers are all at least ``sure``."""
    allowed = [one for one in rows if one["threshold"] >= sure - 1e-9]
    return allowed[-1] if allowed else None


def _answered(here: Found | None, sure: float) -> str:
    if here is None:
        return f"It is never {percent(sure, 0)} sure: nothing would be answered."
    return (
        f"Answering only when at least {percent(here['threshold'], 0)} sure, it answers {percent(here['coverage'], 0)} "
        f"of pictures and is right on {percent(here['accuracy'])} of them ({between(here['interval'])})."
    )


def sets_html(found: Found) -> str:
    """Coverage of the prediction sets, overall and class by class."""
    axis = shares(0)
    promised = 1 - found["miss"]
    rows = "".join(
        f'<tr><th scope="row">{kit.own(one["label"])}</th><td>{one["n"]}</td><td>{percent(one["coverage"], 0)}</td>'
        f'<td class="wide">{whisker(one["coverage"], one["interval"], axis)}</td></tr>'
        for one in found["per_class"]
        if one["n"]
    )
    table = (
        '<div class="tz-scroll" tabindex="0"><table class="tz-table"><thead><tr><th scope="col">Class</th>'
        '<th scope="col">Pictures</th><th scope="col">Hold it</th><th scope="col" class="wide">0 to 100 %</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )
    note = (
        f"Promised {percent(promised, 0)}, measured {percent(found['coverage'])} ({between(found['interval'])}) on "
        f"{found['n']:,} test pictures; {found['mean_size']:.2f} classes in a set, {percent(found['alone'], 0)} "
        "name one alone. The promise is for all classes together: look at each."
    )
    return kit.panel("Sets that hold the truth", table, note)


def costs_html(found: Found) -> str:
    """What deciding by cost changes."""
    low, high = found["interval"]
    sure = "" if low > 0 else " These pictures cannot tell it from nothing."
    note = (
        f"A picture costs {found['plain']:.3f} on average when the likeliest class is named and {found['decided']:.3f} "
        f"when the cheapest is: {found['saved']:.3f} saved ({low:.3f} to {high:.3f}).{sure}"
    )
    if found["asked"]:
        note += f" {percent(found['asked'])} of pictures go to a person."
    rows = "".join(
        f'<tr><th scope="row">{kit.own(one["label"])}</th><td>{one["n"]}</td><td>{one["plain"]}</td>'
        f"<td>{one['right']}</td><td>{one['asked']}</td></tr>"
        for one in found["per_class"]
    )
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("Class", "Pictures", "Found before", "Found now", "To a person")
    )
    table = (
        f'<div class="tz-scroll" tabindex="0"><table class="tz-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    return kit.panel("Decided by cost", table, note)


def trust_html(found: Found) -> str:
    """How both detectors of the unknown fared, class by class."""
    rows = "".join(
        f'<tr><th scope="row">{kit.own(one["label"])}</th><td>{one["pictures"]}</td><td>{one["gate"]:.2f}</td>'
        f"<td>{one['autoencoder']:.2f}</td></tr>"
        for one in found["classes"]
    )
    ends = "".join(
        f'<tr><th scope="row">all, {name}</th><td></td><td colspan="2">{one["auroc"]:.2f}'
        + (f" ({one['interval'][0]:.2f} – {min(one['interval'][1], 1):.2f})" if one["interval"] else "")
        + "</td></tr>"
        for name, one in found["detectors"].items()
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Left out", "Pictures", "Gate", "Autoencoder"))
    table = (
        f'<div class="tz-scroll" tabindex="0"><table class="tz-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}{ends}</tbody></table></div>"
    )
    note = (
        f"{found['sentence']} Measured on frozen features: each class in turn was kept from both. 0.5 is a coin toss, "
        "1 finds every stranger."
    )
    return kit.panel("Does it know what it does not know?", table, note)


def map_html(
    plane: NDArray[np.float32], labels: NDArray[np.int64], classes: tuple[str, ...], share: float, width: int
) -> str:
    """The autoencoder's narrowest layer as a map, a dot a picture."""
    step = max(1, len(plane) // DOTS)
    points, colours = plane[::step], labels[::step]
    low, high = np.percentile(points, [0.5, 99.5], axis=0)
    spread = np.maximum(high - low, 1e-9)
    at = np.clip((points - low) / spread, 0, 1) * (484, 304) + 8
    dots = "".join(
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3.4" fill="{_colour(int(label), len(classes))}"><title translate="no">'
        f"{esc(classes[label])}</title></circle>"
        for (x, y), label in zip(at, colours, strict=True)
    )
    names = "".join(
        f'<li><i style="background:{_colour(index, len(classes))}"></i>{kit.own(name)}</li>'
        for index, name in enumerate(classes[:24])
    )
    said = f"{len(points)} pictures by the autoencoder's code"
    drawing = f'<svg class="tz-scatter" viewBox="0 0 500 320" role="img" aria-label="{said}">{dots}</svg>'
    numbers = "two numbers" if width == 2 else f"{width} numbers, laid flat"
    note = f"Squeezed into {numbers}, {percent(share, 0)} of what tells these pictures apart is rebuilt."
    return kit.panel("The autoencoder’s map", f'{drawing}<ul class="tz-swatches">{names}</ul>', note)


def _colour(index: int, count: int) -> str:
    red, green, blue = colorsys.hls_to_rgb(index / max(count, 1), 0.48, 0.55)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
