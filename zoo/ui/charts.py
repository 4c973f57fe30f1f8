"""Charts as plain SVG and HTML: crisp at any width, coloured by the theme, and said in words for those who cannot see.

Lines are drawn in a stretched 100 × 100 box whose strokes do not stretch; words stay outside it, so that text keeps its
size on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from zoo.ui.kit import esc, percent

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One series; ``tone`` is 1…4, as in the style sheet, and ``band`` holds (x, low, high)."""

    name: str
    points: Points
    tone: int = 1
    band: Sequence[tuple[float, float, float]] = ()
    dots: bool = False
    dashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Axis:
    """From ``low`` to ``high``, with (value, word) ticks."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    name: str = ""

    def at(self, value: float) -> float:
        """Where ``value`` lies, 0…100."""
        span = (self.high - self.low) or 1.0
        return round(100 * min(max((value - self.low) / span, 0.0), 1.0), 2)


def shares(low: float, high: float = 1.0) -> Axis:
    """An axis of shares that holds ``low`` and ``high``, with round ticks."""
    step = 0.05 if high - low <= 0.2 else 0.1 if high - low <= 0.5 else 0.2
    first = max(0, int((low - 1e-9) / step))
    last = min(round(1 / step), -int(-(high - 1e-9) // step))
    ticks = [(step * tick, f"{100 * step * tick:.0f} %") for tick in range(first, last + 1)]
    return Axis(low=ticks[0][0], high=ticks[-1][0], ticks=ticks)


def amounts(high: float) -> Axis:
    """An axis from 0 that holds ``high``, with round ticks."""
    rough = max(high, 1e-6) / 4
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(magnitude * nice for nice in (1, 2, 2.5, 5, 10) if magnitude * nice >= rough)
    last = math.ceil(high / step - 1e-9)
    return Axis(
        low=0, high=step * max(last, 1), ticks=[(step * tick, f"{step * tick:.4g}") for tick in range(last + 1)]
    )


def plot(lines: Sequence[Line], x: Axis, y: Axis, said: str, *, key: bool = True) -> str:
    """A line chart; ``said`` is what it shows, in a sentence."""
    lines = [line for line in lines if line.points]
    grid = "".join(f'<path class="g" d="M0 {100 - y.at(value)}H100"/>' for value, _ in y.ticks)
    drawn = "".join(_band(line, x, y) for line in lines) + "".join(_line(line, x, y) for line in lines)
    ys = "".join(f'<span style="bottom:{y.at(value)}%">{esc(word)}</span>' for value, word in y.ticks)
    xs = "".join(f'<span style="left:{x.at(value)}%">{esc(word)}</span>' for value, word in x.ticks)
    named = f'<figcaption class="tz-axis">{esc(x.name)}</figcaption>' if x.name else ""
    return (
        f'<figure class="tz-plot">{_key(lines) if key else ""}'
        '<div class="tz-area"><div class="tz-ys" aria-hidden="true">'
        f'{ys}</div><svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{esc(said)}">'
        f'{grid}{drawn}</svg><div class="tz-xs" aria-hidden="true">{xs}</div></div>{named}</figure>'
    )


def spark(values: Sequence[float], axis: Axis, said: str, best: int | None = None) -> str:
    """A curve the size of a word."""
    x = Axis(low=0, high=max(len(values) - 1, 1), ticks=())
    points = list(enumerate(values))
    dot = _dot(points[best], x, axis, "tz-c2") if best is not None and 0 <= best < len(points) else ""
    return (
        f'<svg class="tz-spark" viewBox="-4 -8 108 116" preserveAspectRatio="none" role="img" aria-label="{esc(said)}">'
        f'<path class="l tz-c1" d="{_path(points, x, axis)}"/>{dot}</svg>'
    )


def whisker(value: float, interval: Sequence[float], axis: Axis, *, best: bool = False) -> str:
    """A dot with its interval, on ``axis``."""
    low, high = axis.at(interval[0]), axis.at(interval[1])
    said = f"{percent(value)}, between {percent(interval[0])} and {percent(interval[1])}"
    return (
        f'<div class="tz-whisker{" best" if best else ""}" role="img" aria-label="{esc(said)}">'
        f'<i style="left:{low}%;width:{round(high - low, 2)}%"></i><b style="left:{axis.at(value)}%"></b></div>'
    )


def heat(counts: Sequence[Sequence[int]], names: Sequence[str], *, choose: bool = False) -> str:
    """A confusion matrix: rows are the truth, columns what was said; colour is the share of the row.

    With ``choose`` a cell that counts something is a button whose choice is "cell TRUTH SAID", by place.
    """
    head = "".join(f'<th scope="col" translate="no"><span>{esc(name)}</span></th>' for name in names)
    rows = []
    for truth, (name, row) in enumerate(zip(names, counts, strict=True)):
        total = sum(row) or 1
        cells = "".join(
            _cell(count, count / total, truth == said, name, names[said], f"cell {truth} {said}" if choose else "")
            for said, count in enumerate(row)
        )
        rows.append(f'<tr><th scope="row" translate="no">{esc(name)}</th>{cells}</tr>')
    return (
        f'<div class="tz-scroll" tabindex="0"><table class="tz-heat"><caption class="tz-sr">Confusion matrix</caption>'
        f'<thead><tr><td class="corner"><small>truth ↓ said →</small></td>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(count: int, share: float, right: bool, truth: str, said: str, choice: str) -> str:
    hue = "var(--tz-heat)" if right else "var(--tz-heat-wrong)"
    mixed = f"color-mix(in srgb, {hue} {round(14 + 80 * share) if count else 0}%, var(--tz-card))"
    strong = " strong" if right and share > 0.8 else ""
    title = f"{truth} said to be {said}: {count}"
    kind = ("r" if right else "w") + strong
    shown = str(count or "·")
    if choice and count:
        shown = f'<button type="button" data-choice="{choice}" aria-label="{esc(title)}: show them">{count}</button>'
    return f'<td class="{kind}" style="background:{mixed}" title="{esc(title)}">{shown}</td>'


def _line(line: Line, x: Axis, y: Axis) -> str:
    if not line.points:
        return ""
    dashed = " dashed" if line.dashed else ""
    dots = "".join(_dot(point, x, y, f"tz-c{line.tone}") for point in line.points) if line.dots else ""
    return f'<path class="l tz-c{line.tone}{dashed}" d="{_path(line.points, x, y)}"/>{dots}'


def _band(line: Line, x: Axis, y: Axis) -> str:
    if len(line.band) < 2:
        return ""
    above = [(at, high) for at, _, high in line.band]
    below = [(at, low) for at, low, _ in reversed(line.band)]
    return f'<path class="b tz-c{line.tone}" d="{_path([*above, *below], x, y)}Z"/>'


def _path(points: Points, x: Axis, y: Axis) -> str:
    return "M" + "L".join(f"{x.at(at):g} {round(100 - y.at(value), 2):g}" for at, value in points)


def _dot(point: tuple[float, float], x: Axis, y: Axis, tone: str) -> str:
    # A line of no length with round ends is a circle that the stretched box cannot flatten.
    return f'<path class="d {tone}" d="M{x.at(point[0]):g} {round(100 - y.at(point[1]), 2):g}h.001"/>'


def _key(lines: Sequence[Line]) -> str:
    if len(lines) < 2:
        return ""
    return f'<ul class="tz-legend">{"".join(f"<li class=tz-c{line.tone}>{esc(line.name)}</li>" for line in lines)}</ul>'
