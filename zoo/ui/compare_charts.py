"""The charts of a comparison: accuracy against time, accuracy at each depth, and the map of transfer learning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo.quadrant import HALF_A_POINT
from zoo.reporting import front, weights
from zoo.ui import kit
from zoo.ui.charts import Axis, Line, plot, shares
from zoo.ui.glossary import term
from zoo.ui.kit import esc, percent

Found = dict[str, Any]
Chart = tuple[int, int]  # pixels across and down
Box = tuple[float, float, float, float]  # left, top, right, bottom

CELLS = {  # as on the map, left to right and top to bottom
    "much, unlike": "fine-tune the whole network",
    "much, alike": "fine-tune all layers, gently",
    "little, unlike": "read earlier layers",
    "little, alike": "train the last layer only",
}
NAMED = 6  # points with their name beside them; more would lie on each other
CHARTS = ((400, 250), (520, 330), (640, 250))  # pixels of charts that show names, from the smallest on
MARGIN = 14  # pixels that names may stand out of it
LINE, LETTER, LONGEST = 16, 7.4, 200  # pixels of a name: a line's height, a letter, and the most before it wraps
FULL = 0.06  # gain of an earlier layer from the middle of the map, which is at half a point, to its edges


def short(backbone: str) -> str:
    """``source/name`` without its source."""
    return backbone.partition("/")[2] or backbone


def milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value >= 1 else "< 1 ms"


def pareto(found: Found, picked: str) -> str:
    """Accuracy against milliseconds; each point a button that chooses its backbone."""
    rows: list[Found] = found["backbones"]
    ahead = front(rows)
    x, y = _times(rows), _accuracies(rows)
    named = {*ahead[-NAMED:], picked} if len(rows) > NAMED else {row["id"] for row in rows}
    grid = "".join(f'<path class="g" d="M0 {100 - y.at(value)}H100"/>' for value, _ in y.ticks)
    grid += "".join(f'<path class="g" d="M{_log(x, value)} 0V100"/>' for value, _ in x.ticks)
    line = "L".join(
        f"{_log(x, row['ms_per_picture'])} {100 - y.at(row['accuracy'])}"
        for row in sorted(rows, key=lambda row: row["ms_per_picture"])
        if row["id"] in ahead
    )
    bars = "".join(
        f'<path class="w{" here" if row["id"] == picked else ""}" d="M{_log(x, row["ms_per_picture"])} '
        f'{100 - y.at(row["interval"][0])}V{100 - y.at(row["interval"][1])}"/>'
        for row in rows
    )
    spots = [_spot(row, x, y) for row in rows]
    names = labels(spots, sorted(named, key=lambda one: (one != picked, one not in ahead, one)))
    points = "".join(_point(row, x, y, row["id"] in ahead, picked, names.get(row["id"])) for row in rows)
    ys = "".join(f'<span style="bottom:{y.at(value)}%">{esc(word)}</span>' for value, word in y.ticks)
    xs = "".join(f'<span style="left:{_log(x, value)}%">{esc(word)}</span>' for value, word in x.ticks)
    said = f"Accuracy against time a picture; the front, fastest first: {', '.join(short(one) for one in ahead)}"
    key = (
        '<ul class="tz-shapes"><li class="circle">commercial use allowed</li><li class="diamond">not allowed</li>'
        '<li class="square">check its licence</li><li class="size">larger: more weights</li></ul>'
    )
    return (
        f'<figure class="tz-plot tz-pareto"><div class="tz-area"><div class="tz-ys" aria-hidden="true">{ys}</div>'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{esc(said)}">{grid}{bars}'
        f'<path class="l tz-c1" d="M{line}"/></svg>'
        f'<div class="points" role="group" aria-label="Backbones">{points}</div>'
        f'<div class="tz-xs" aria-hidden="true">{xs}</div></div>'
        f'<figcaption class="tz-axis">milliseconds a picture on this machine</figcaption></figure>{key}'
    )


@dataclass(frozen=True)
class Spot:
    """A point of the chart, 0…100 across and up, ``size`` pixels wide."""

    id: str
    across: float
    up: float
    size: int


@dataclass(frozen=True)
class Label:
    """Where a name lies beside its point: on which side, and how many pixels below its place there."""

    left: bool
    shift: int


def labels(spots: Sequence[Spot], wanted: Sequence[str]) -> dict[str, Label]:
    """A place for each name ``wanted``, the first ones first, where it covers no other name and no point.

    That has to hold in the smallest chart that shows names and in larger ones. A name that finds no place is left out:
    the point still says it to whoever points at it.
    """
    by_id = {spot.id: spot for spot in spots}
    taken = [[_box_of_point(spot, chart) for spot in spots] for chart in CHARTS]
    found: dict[str, Label] = {}
    for name in wanted:
        for label in _places(by_id[name]):
            boxes = [_box(by_id[name], label, chart) for chart in CHARTS]
            if all(_fits(box, chart, others) for box, chart, others in zip(boxes, CHARTS, taken, strict=True)):
                found[name] = label
                for box, others in zip(boxes, taken, strict=True):
                    others.append(box)
                break
    return found


def _places(spot: Spot) -> list[Label]:
    """Where its name may lie, best first."""
    left = spot.across > 50
    shifts = sorted(range(-3 * LINE, 3 * LINE + 1, LINE // 2), key=abs)
    return [Label(side, shift) for side in (left, not left) for shift in shifts]


def _box(spot: Spot, label: Label, chart: Chart) -> Box:
    """A name in a chart of so many pixels, as the style sheet lays it."""
    wide, high = chart
    length = LETTER * len(short(spot.id))
    width, height = min(length, LONGEST) + 10, LINE * math.ceil(length / LONGEST) + 4
    gap = spot.size / 2 + 8
    at, top = wide * spot.across / 100, high * (1 - spot.up / 100) + label.shift
    top += -1.15 * height if label.left else 0.15 * height
    start = at - gap - width if label.left else at + gap
    return start, top, start + width, top + height


def _box_of_point(spot: Spot, chart: Chart) -> Box:
    at, down, half = chart[0] * spot.across / 100, chart[1] * (1 - spot.up / 100), spot.size / 2
    return at - half, down - half, at + half, down + half


def _fits(box: Box, chart: Chart, others: Sequence[Box]) -> bool:
    inside = box[0] >= -MARGIN and box[2] <= chart[0] + MARGIN and box[1] >= -MARGIN and box[3] <= chart[1]
    return inside and not any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in others
    )


def _spot(row: Found, x: Axis, y: Axis) -> Spot:
    return Spot(row["id"], _log(x, row["ms_per_picture"]), y.at(row["accuracy"]), _size(row["params"]))


def _point(row: Found, x: Axis, y: Axis, ahead: bool, picked: str, label: Label | None) -> str:
    low, high = row["interval"]
    said = (
        f"{short(row['id'])}: {percent(row['accuracy'])}, {percent(low)} to {percent(high)}, "
        f"{milliseconds(row['ms_per_picture'])}, {weights(row['params'])} weights, {row['licence']}"
    )
    shape = {True: "circle", False: "diamond", None: "square"}[row.get("commercial")]
    across = _log(x, row["ms_per_picture"])
    kinds = f"{shape}{' ahead' if ahead else ''}{' out' if row.get('dropped_at') else ''}"
    left = label.left if label else across > 50
    name = esc(short(row["id"]))
    word = f'<span style="--shift:{label.shift}px">{name}</span>' if label else f'<span class="hid">{name}</span>'
    return (
        f'<button type="button" class="{kinds}{" left" if left else ""}" data-choice="{esc(row["id"])}" '
        f'aria-pressed="{"true" if row["id"] == picked else "false"}" aria-label="{esc(said)}" title="{esc(said)}" '
        f'style="left:{across}%;bottom:{y.at(row["accuracy"])}%;--at:{across};--size:{_size(row["params"])}px"><i></i>{word}</button>'
    )


def _size(params: float) -> int:
    """Pixels across: the area grows with the weights, within what can be told apart and pressed."""
    return round(min(max(7 * math.sqrt(max(params, 0.1) / 2), 11), 40))


def _times(rows: Sequence[Found]) -> Axis:
    times = [max(row["ms_per_picture"], 0.1) for row in rows]
    low, high = min(times) / 1.3, max(times) * 1.3
    for steps in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        nice = [step * 10.0**power for power in range(-1, 6) for step in steps]
        ticks = [value for value in nice if low <= value <= high]
        if len(ticks) > 2:
            break
    return Axis(low=low, high=high, ticks=[(value, f"{value:g}") for value in ticks])


def _log(axis: Axis, value: float) -> float:
    """Where ``value`` lies on a logarithmic ``axis``, 0…100."""
    bounds = Axis(low=math.log(axis.low), high=math.log(axis.high), ticks=())
    return bounds.at(math.log(max(value, 0.1)))


def _accuracies(rows: Sequence[Found]) -> Axis:
    ends = [edge for row in rows for edge in row["interval"]]
    return shares(max(0.0, min(ends)), min(1.0, max(ends)))


def depths(rows: Sequence[Found]) -> str:
    """Accuracy of a probe at every tap of the three best, each with its interval."""
    deep = [row for row in rows if len(row["taps"]) > 1][:3]
    if not deep:
        return ""
    lines = []
    for tone, row in enumerate(deep, 1):
        last = max(len(row["taps"]) - 1, 1)
        points = [(index / last, tap["accuracy"]) for index, tap in enumerate(row["taps"])]
        band = [(index / last, *tap["interval"]) for index, tap in enumerate(row["taps"])]
        lines.append(Line(name=short(row["id"]), points=points, tone=tone, band=band, dots=True))
    ends = [edge for row in deep for tap in row["taps"] for edge in tap["interval"]]
    x = Axis(low=0, high=1, ticks=((0, "first layers"), (0.5, "middle"), (1, "last")), name="")
    said = "Accuracy of a probe at each depth of " + ", ".join(line.name for line in lines)
    note = (
        '<p class="tz-note">'
        f"A probe at each {term('tap', 'tap')}, with its {term('interval', 'interval')} as a band. Where a middle "
        "layer does as well as the last, the pictures are unlike the photos that the network was trained on.</p>"
    )
    return kit.panel(
        "How deep must it look?",
        f'{note}<div class="tz-deep">{plot(lines, x, shares(min(ends), max(ends)), said)}</div>',
    )


def quadrant(found: Found) -> str:
    """How much data × how alike, with the dataset's dot and how sure its place is."""
    place = found.get("quadrant")
    if not place:
        return ""
    amount, _, likeness = str(place["cell"]).partition(", ")
    cells = "".join(
        f'<div class="{_where(cell, amount, likeness)}"><b>{esc(cell.capitalize())}</b><br>{esc(advice)}</div>'
        for cell, advice in CELLS.items()
    )
    low, high = place["gain_interval"]
    left, right, at = _across(high), _across(low), _across(place["gain"])
    bottom, wide = min(max(100 * place["p_large"], 9), 91), max(round(right - left, 1), 2)
    span = f"{_points(low)} to {_points(high)} points"
    said = f"Your pictures: {place['cell']}. An earlier layer gains {_points(place['gain'])} points, {span}."
    slope = place.get("slope")
    more = "" if slope is None else f" Twice the pictures brought {_points(slope)} points."
    others = " ".join(esc((place.get(name) or {}).get("sentence", "")) for name in ("d2", "d3")).strip()
    beside = f'<p class="tz-note">Two other thermometers, which only advise. {others}</p>' if others else ""
    body = (
        f'<div class="tz-map" role="img" aria-label="{esc(said)}"><span class="up">few pictures → many</span>'
        f'<div class="grid">{cells}<u style="left:{left}%;width:{wide}%;bottom:{bottom:.0f}%"></u>'
        f'<i style="left:{at}%;bottom:{bottom:.0f}%" title="{esc(said)}"></i></div>'
        '<span class="across">unlike the pretraining photos → alike</span></div>'
        f'<p class="tz-note tz-under">An earlier layer gains {_points(place["gain"])} points over the last ({span}): '
        f"the bar. Right of the middle: alike. Across it: not sure.{more}</p>{beside}"
        + kit.lesson(
            "Overfitting",
            "is learning the training pictures by heart. The fewer pictures, the fewer layers should be trained.",
        )
    )
    return kit.panel("Where your pictures stand", body, str(place["sentence"]))


def _where(cell: str, amount: str, likeness: str) -> str:
    if not cell.startswith(amount):
        return ""
    return "here" if cell.endswith(f" {likeness}") else "maybe" if likeness == "uncertain" else ""


def _across(gain: float) -> float:
    """Where that gain of an earlier layer lies on the map, 0…100: in the middle at half a point."""
    return round(50 + 44 * math.tanh((HALF_A_POINT - gain) / FULL), 1)


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")
