"""What the test part said, once: accuracy with its interval, confusion, each class, and how honest its certainty is."""

from __future__ import annotations

from typing import Any

from trainer.run import Run
from trainer.ui.contrast_view import TITLES
from zoo.ui import kit
from zoo.ui.charts import Axis, Line, heat, plot, shares, whisker
from zoo.ui.compare_charts import short
from zoo.ui.glossary import term
from zoo.ui.kit import between, esc, percent

Results = dict[str, Any]
MOST_CLASSES = 25  # a larger matrix cannot be read; the commonest confusions are listed instead
PAIRS = 12


def named(run: Run) -> str:
    """A finished run as a list of classifiers names it."""
    if run.plan is None:
        return run.id
    accuracy = (run.test or {}).get("accuracy")
    figure = f" · {percent(accuracy)} right" if isinstance(accuracy, float) else ""
    return f"{short(run.plan.backbone)} · {TITLES.get(run.plan.strategy, run.plan.strategy)}{figure} · {run.id[:6]}"


def results_html(evaluation: Results | None, *_: object) -> str:
    """A finished run's figures in a row, where it was trained; "" where there are none."""
    if not evaluation or not evaluation.get("n"):
        return ""
    note = "Which class is taken for which, when to believe it, and its pictures: on the Results step."
    return f'<div class="tz-stack"><h3 class="tz-title">On the test part</h3>{_tiles(evaluation)}{kit.say(note)}</div>'


def headline_html(found: Results, foretold: dict[str, Any]) -> str:
    """Figures in a row and the two sentences that follow from them.

    Args:
        foretold: the plan's predicted accuracy with its interval, as far as it had one.
    """
    over = found.get("overfitting")
    said = kit.lesson("Overfitting", over["sentence"]) if over else ""
    return f'<div class="tz-stack">{_tiles(found)}{said}{_foretold(found, foretold)}</div>'


def _tiles(found: Results) -> str:
    figures = [
        (percent(found["accuracy"]), f"of {found['n']:,} test pictures right"),
        (between(found["interval"]), "95 % interval"),
        (percent(found["balanced_accuracy"]), "balanced over classes"),
        (f"{100 * found['ece']:.1f} points", f"calibration error{_range(found.get('ece_interval'))}"),
    ]
    return kit.tiles(figures)


def _foretold(found: Results, foretold: dict[str, Any]) -> str:
    low, high, middle = foretold.get("low"), foretold.get("high"), foretold.get("accuracy")
    if middle is None or low is None or high is None:
        return ""
    held = "inside" if low <= found["accuracy"] <= high else "outside"
    text = f"{percent(middle)} ({between((low, high))}); achieved {percent(found['accuracy'])}, {held} that range."
    return kit.lesson("Foretold", text)


def confusion_html(found: Results) -> str:
    """The matrix, its cells to be clicked; with many classes the commonest confusions."""
    names, counts = found["classes"], found["confusion"]
    worst = found["pairs"]
    note = _worst(worst[0]) if worst else "No picture was taken for another class."
    if len(names) <= MOST_CLASSES:
        return kit.panel(
            "What is taken for what", heat(counts, names, choose=True), f"{note} Click a cell to see them."
        )
    place = {name: index for index, name in enumerate(names)}
    rows = "".join(
        f'<li><button type="button" class="tz-link" data-choice="cell {place[one["truth"]]} {place[one["said"]]}">'
        f"{esc(_pair(one))}</button></li>"
        for one in worst
    )
    return kit.panel("What is taken for what", f'<ul class="tz-list" tabindex="0">{rows}</ul>', note)


def _worst(one: Results) -> str:
    truth, said, span = one["truth"], one["said"], between(one["interval"])
    return f"Most often {truth} is taken for {said}, {one['count']} of {one['of']} ({span})."


def _pair(one: Results) -> str:
    return f"{one['truth']} taken for {one['said']}, {one['count']} of {one['of']} ({between(one['interval'])})"


def pairs_html(found: Results) -> str:
    """The commonest confusions with their shares."""
    axis = shares(0)
    rows = "".join(
        f'<tr><th scope="row" translate="no">{esc(one["truth"])} → {esc(one["said"])}</th>'
        f"<td>{one['count']} of {one['of']}</td>"
        f'<td class="wide">{whisker(one["share"], one["interval"], axis)}</td></tr>'
        for one in found["pairs"][:PAIRS]
    )
    if not rows:
        return ""
    head = '<th scope="col">Truth → said</th><th scope="col">Pictures</th><th scope="col" class="wide">0 to 100 %</th>'
    return kit.panel("Most confused pairs", _table(head, rows), "Share of that class; bars hold 95 %.")


def calibration_html(found: Results) -> str:
    """The reliability diagram, with and without the temperature."""
    after, before = _points(found.get("reliability", [])), _points(found["before"]["reliability"])
    x = Axis(low=0, high=1, ticks=[(tick / 4, f"{25 * tick} %") for tick in range(5)], name="how sure it said it was")
    lines = (
        Line(name="how often it was right", points=after, dots=True),
        Line(name="without temperature", points=before, tone=2, dashed=True),
        Line(name="perfectly honest", points=((0, 0), (1, 1)), tone=4, dashed=True),
    )
    said = "; ".join(f"{percent(sure, 0)} sure, {percent(right, 0)} right" for sure, right in after)
    note = (
        f"Said “90 % sure”, it should be right nine times in ten. It is off by {100 * found['ece']:.1f} points on "
        f"average{_range(found.get('ece_interval'))}; before temperature scaling (T = "
        f"{found.get('temperature') or 1:.2f}) by {100 * found['before']['ece']:.1f}"
        f"{_range(found['before']['ece_interval'])}."
    )
    if chance := found.get("ece_by_chance"):
        low, high = (f"{100 * bound:.0f}" for bound in chance[1])
        note += f" A perfectly honest one would seem off by {low} to {high} points on that many pictures, by chance."
    return kit.panel("Is its certainty honest?", _less_chance(found) + plot(lines, x, shares(0), said), note)


def _less_chance(found: Results) -> str:
    """The calibration error without what chance adds to it, with its word explained."""
    value, bounds = found["ece_debiased"]
    figure = f"<b>{100 * value:.1f} points</b>"
    return f'<p class="tz-note">{term("debiased")} {figure}<span>{esc(_range(bounds))}</span></p>'


def _points(bins: list[Results]) -> list[tuple[float, float]]:
    return [(one["confidence"], one["accuracy"]) for one in bins if one["n"]]


def classes_html(found: Results) -> str:
    """Each class with precision, recall and F1, each with its interval."""
    axis = shares(0)
    rows = "".join(
        f'<tr><th scope="row" translate="no">{esc(one["label"])}</th><td>{one["n"]}</td>'
        + "".join(_figure(one[name], one[f"{name}_interval"]) for name in ("precision", "recall", "f1"))
        + f'<td class="wide">{_whisker(one, axis)}</td></tr>'
        for one in found["per_class"][:200]
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Class", "Pictures", "Precision", "Recall", "F1"))
    note = (
        "Precision: of those called so, how many are. Recall: of those that are, how many were found. F1: their "
        "harmonic mean. Small figures and bars hold 95 %."
    )
    wide = '<th scope="col" class="wide">F1, 0 to 100 %</th>'
    return kit.panel("Class by class", _table(head + wide, rows), note)


def _figure(value: float | None, interval: list[float] | None) -> str:
    if value is None or interval is None:
        return "<td>–</td>"
    return f"<td>{percent(value, 0)}<br><small>{100 * interval[0]:.0f} – {100 * interval[1]:.0f}</small></td>"


def _whisker(one: Results, axis: Axis) -> str:
    return "" if one["f1"] is None else whisker(one["f1"], one["f1_interval"], axis)


def _table(head: str, rows: str) -> str:
    return (
        f'<div class="tz-scroll" tabindex="0"><table class="tz-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def pictures_html(title: str, cells: list[tuple[str, str, str]], note: str = "") -> str:
    """Pictures with a caption each: (data address, the truth, what was said)."""
    shown = "".join(
        f'<figure><img src="{address}" translate="no" alt="{esc(truth)}"><figcaption><b>{kit.own(truth)}</b><br>'
        f"{esc(said)}</figcaption></figure>"
        for address, truth, said in cells
    )
    return kit.panel(title, f'<div class="tz-figures">{shown}</div>', note)


def _range(bounds: list[float] | None) -> str:
    return f", likely {100 * bounds[0]:.0f} to {100 * bounds[1]:.0f}" if bounds else ""
