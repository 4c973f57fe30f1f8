"""Two runs side by side, as a person sees them: their curves, what was set otherwise, what came out otherwise."""

from __future__ import annotations

from typing import Any

from trainer.ui.knobs import KNOBS
from zoo.ui import kit
from zoo.ui.charts import Axis, Line, amounts, plot, shares
from zoo.ui.compare_charts import short
from zoo.ui.kit import between, duration, esc, percent

MOST_CLASSES = 25  # a larger matrix cannot be read; the largest changes are listed instead
LABELS = {knob.field: knob.label for knob in KNOBS}
LABELS |= {"backbone": "Backbone", "strategy": "How deep", "dataset": "Pictures"}
TITLES = {
    "linear_head": "last layer",
    "earlier_layer": "an earlier layer",
    "last_blocks": "last blocks",
    "lora": "LoRA",
    "full": "all layers",
}
TEACHING = (
    "Both saw the same test pictures, so what they differ on counts, not how each did by itself. The interval is from "
    "resampling those pictures in pairs; “not proven” means that chance alone could have done it."
)


def contrast_html(value: dict[str, Any], names: tuple[str, str]) -> str:
    """What ``trainer.contrast.contrast`` found; ``names`` are the two runs'."""
    names = _told_apart(names)
    curves = "".join(panel for panel in (_accuracy(value, names), _loss(value, names)) if panel)
    charts = f'<div class="tz-two">{curves}</div>' if curves else ""
    tables = f'<div class="tz-two start">{_settings(value, names)}{_costs(value, names)}</div>'
    return f'<div class="tz-stack">{_verdict(value, names)}{charts}{tables}{_confusion(value, names)}</div>'


def _told_apart(names: tuple[str, str]) -> tuple[str, str]:
    """``names`` without the backbone where both begin with the same."""
    (one, _, first), (other, _, second) = (name.partition(" · ") for name in names)
    return (first, second) if one == other and first and second else names


def _verdict(value: dict[str, Any], names: tuple[str, str]) -> str:
    title = f"<h3>{esc(names[1])} beside {esc(names[0])}</h3>"
    paired = value["paired"]
    if paired is None:
        return f'<section class="tz-panel">{title}{kit.say(value["why"], "wait")}</section>'
    one, other = paired["accuracy"]
    first, second = paired["only_right"]
    figures = [
        (percent(one), f"right: {names[0]}"),
        (percent(other), f"right: {names[1]}"),
        (f"{first} / {second}", "pictures that only the one / only the other has right"),
        (f"{paired['mid_p']:.2g}", "McNemar’s mid-p: how easily chance does this"),
    ]
    tone = "good" if paired["proven"] else "plain"
    said = kit.say(f"On the same {paired['n']:,} test pictures: {paired['verdict']}", tone)
    lesson = kit.lesson("Paired", TEACHING)
    return f'<section class="tz-panel">{title}{said}<div class="tz-gap">{kit.tiles(figures)}</div>{lesson}</section>'


def _accuracy(value: dict[str, Any], names: tuple[str, str]) -> str:
    lines = []
    for tone, (run, name) in enumerate(zip(value["runs"], names, strict=True), 1):
        points = [(float(at["epoch"]), at["accuracy"]) for at in run["epochs"]]
        band = [(float(at["epoch"]), *at["interval"]) for at in run["epochs"]]
        lines.append(Line(name=name, points=points, band=band, dots=True, tone=tone))
    edges = [edge for line in lines for _, low, high in line.band for edge in (low, high)]
    if not edges:
        return ""
    x = _whole([at for line in lines for at, _ in line.points], "pass, or candidate of a last layer")
    said = "; ".join(f"{line.name}: {percent(line.points[-1][1])}" for line in lines if line.points)
    return kit.panel("Accuracy on held-out pictures", plot(lines, x, shares(min(edges), max(edges)), said))


def _loss(value: dict[str, Any], names: tuple[str, str]) -> str:
    lines = [
        Line(name=name, points=[(float(step), loss) for step, loss in run["losses"]], tone=tone)
        for tone, (run, name) in enumerate(zip(value["runs"], names, strict=True), 1)
    ]
    lines = [line for line in lines if len(line.points) > 1]
    if not lines:
        return ""
    x = _whole([at for line in lines for at, _ in line.points], "step")
    said = "; ".join(f"{line.name}: now {line.points[-1][1]:.3f}" for line in lines)
    return kit.panel(
        "Loss while learning", plot(lines, x, amounts(max(y for line in lines for _, y in line.points)), said)
    )


def _whole(values: list[float], name: str) -> Axis:
    low, high = int(min(values)), int(max(*values, min(values) + 1))
    ticks = sorted({low, (low + high) // 2, high})
    return Axis(low=low, high=high, ticks=[(tick, f"{tick:,}") for tick in ticks], name=name)


def _table(names: tuple[str, str], rows: list[tuple[str, str, str]]) -> str:
    body = "".join(
        f'<tr><th scope="row">{esc(what)}</th><td>{esc(one)}</td><td>{esc(other)}</td></tr>'
        for what, one, other in rows
    )
    head = "".join(f'<th scope="col">{esc(name)}</th>' for name in names)
    return (
        '<div class="tz-scroll" tabindex="0"><table class="tz-table apart"><thead><tr>'
        f'<th scope="col"><span class="tz-sr">what</span></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _settings(value: dict[str, Any], names: tuple[str, str]) -> str:
    rows = [
        (LABELS.get(field, field), _worded(one), _worded(other))
        for field, (one, other) in value["configuration"].items()
    ]
    if not rows:
        return kit.panel("What was set otherwise", kit.say("Nothing: the two plans are the same."))
    return kit.panel("What was set otherwise", _table(names, rows))


def _worded(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str) and value in TITLES:
        return TITLES[value]
    return short(value) if isinstance(value, str) and "/" in value else str("–" if value in (None, "") else value)


def _costs(value: dict[str, Any], names: tuple[str, str]) -> str:
    one, other = value["runs"]
    rows = [("Test accuracy", _tested(one), _tested(other))]
    for what, name in (("Took", "seconds"), ("Memory at the peak", "memory_mb"), ("On the disk", "disk_mb")):
        rows.append((what, _spent(one, name), _spent(other, name)))
    return kit.panel("What it came to", _table(names, rows), "In brackets what was foretold.")


def _tested(run: dict[str, Any]) -> str:
    test = run["test"]
    return f"{percent(test['accuracy'])} ({between(test['interval'])})" if test and "interval" in test else "–"


def _spent(run: dict[str, Any], name: str) -> str:
    was, told = run["actual"][name], run["predicted"][name]
    show = duration if name == "seconds" else megabytes
    return "–" if was is None else show(was) + (f" ({show(told)})" if told is not None else "")


def megabytes(size: float) -> str:
    """A size in megabytes as a person would say it."""
    return f"{size / 1000:.1f} GB" if size >= 1000 else f"{size:.0f} MB"


def _confusion(value: dict[str, Any], names: tuple[str, str]) -> str:
    found = value["confusion"]
    if found is None:
        return ""
    classes, counts = found["classes"], found["difference"]
    title = f"What {names[1]} takes for what, more or less often"
    if not any(any(row) for row in counts):
        return kit.panel(title, kit.say("They confuse the same pictures."))
    note = "Counts of the second less those of the first. On the diagonal more is better, elsewhere less."
    if len(classes) <= MOST_CLASSES:
        return kit.panel(title, _grid(counts, classes), note)
    pairs = [
        (count, truth, said)
        for truth, row in zip(classes, counts, strict=True)
        for said, count in zip(classes, row, strict=True)
        if count and truth != said
    ]
    rows = sorted(pairs, key=lambda pair: -abs(pair[0]))[:20]
    lines = "".join(f"<li>{esc(truth)} taken for {esc(said)}: {count:+d}</li>" for count, truth, said in rows)
    return kit.panel(title, f'<ul class="tz-list" tabindex="0">{lines}</ul>', note)


def _grid(counts: list[list[int]], names: list[str]) -> str:
    most = max(abs(count) for row in counts for count in row)
    head = "".join(f'<th scope="col" translate="no"><span>{esc(name)}</span></th>' for name in names)
    rows = []
    for truth, (name, row) in enumerate(zip(names, counts, strict=True)):
        cells = "".join(
            _cell(count, most, truth == said, f"{name} said to be {names[said]}") for said, count in enumerate(row)
        )
        rows.append(f'<tr><th scope="row" translate="no">{esc(name)}</th>{cells}</tr>')
    return (
        '<div class="tz-scroll" tabindex="0"><table class="tz-heat"><caption class="tz-sr">Confusion, second less first'
        '</caption><thead><tr><td class="corner"><small>truth ↓ said →</small></td>'
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(count: int, most: int, diagonal: bool, what: str) -> str:
    better = (count > 0) == diagonal
    hue = "var(--tz-heat)" if better else "var(--tz-heat-wrong)"
    mixed = f"color-mix(in srgb, {hue} {round(14 + 50 * abs(count) / most) if count else 0}%, var(--tz-card))"
    return f'<td style="background:{mixed}" title="{esc(what)}: {count:+d}">{f"{count:+d}" if count else "·"}</td>'
