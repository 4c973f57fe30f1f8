"""What the test part said, once: accuracy with its interval, confusion, each class, and how honest its certainty is."""

from __future__ import annotations

from typing import Any

from zoo.dataset import Dataset
from zoo.pictures import Pictures
from zoo.store import Store
from zoo.ui import kit
from zoo.ui.charts import Axis, Line, heat, plot, shares, whisker
from zoo.ui.kit import between, esc, image, percent, plural

Evaluation = dict[str, Any]
MOST_CLASSES = 25  # a larger matrix cannot be read; the commonest confusions are listed instead


def results_html(evaluation: Evaluation | None, dataset: Dataset | None, store: Store) -> str:
    """The report of one finished run; "" where there is none yet. ``dataset`` lends the hardest pictures."""
    if not evaluation or not evaluation.get("n"):
        return ""
    two = f'<div class="tz-two">{_confusion(evaluation)}{_calibration(evaluation)}</div>'
    hardest = _hardest(evaluation, dataset, store) if dataset else ""
    return f'<div class="tz-stack">{_headline(evaluation)}{two}{_classes(evaluation)}{hardest}</div>'


def _hardest(evaluation: Evaluation, dataset: Dataset, store: Store) -> str:
    places = {item.name: index for index, item in enumerate(dataset.items)}
    shown = [
        one for one in evaluation.get("hardest", []) if one["predicted"] != one["label"] and one["path"] in places
    ][:12]
    if not shown:
        return ""
    pictures = Pictures.open(store, dataset)
    cells = "".join(
        f'<figure><img src="{image(pictures[places[one["path"]]], 160)}" alt="{esc(one["path"])}">'
        f"<figcaption><b>{esc(one['label'])}</b><br>taken for {esc(one['predicted'])}</figcaption></figure>"
        for one in shown
    )
    note = "Test pictures it was most wrong about. Look twice: sometimes it is the label that is wrong."
    return kit.panel("Hardest pictures", f'<div class="tz-figures">{cells}</div>', note)


def _headline(evaluation: Evaluation) -> str:
    figures = [
        (percent(evaluation["accuracy"]), f"of {evaluation['n']:,} test pictures right"),
        (between(evaluation["interval"]), "95 % interval"),
        (percent(evaluation["balanced_accuracy"]), "balanced over classes"),
        (f"{100 * evaluation['ece']:.1f} points", f"calibration error{_range(evaluation)}"),
    ]
    return f'<h3 class="tz-title">Results on the test part</h3>{kit.tiles(figures)}'


def _confusion(evaluation: Evaluation) -> str:
    names, counts = evaluation["classes"], evaluation["confusion"]
    worst = _worst(names, counts)
    note = (
        f"Most often confused: {worst[0][1]} taken for {worst[0][2]}, {plural(worst[0][0], 'time')}." if worst else ""
    )
    if len(names) <= MOST_CLASSES:
        return kit.panel(
            "What is taken for what", heat(counts, names), note or "No picture was taken for another class."
        )
    rows = "".join(f"<li>{esc(truth)} taken for {esc(said)}: {count}</li>" for count, truth, said in worst[:20])
    return kit.panel("What is taken for what", f'<ul class="tz-list" tabindex="0">{rows}</ul>', note)


def _worst(names: list[str], counts: list[list[int]]) -> list[tuple[int, str, str]]:
    pairs = [
        (count, names[truth], names[said])
        for truth, row in enumerate(counts)
        for said, count in enumerate(row)
        if count and truth != said
    ]
    return sorted(pairs, key=lambda pair: -pair[0])


def _calibration(evaluation: Evaluation) -> str:
    bins = [one for one in evaluation.get("reliability", []) if one["n"]]
    points = [(one["confidence"], one["accuracy"]) for one in bins]
    x = Axis(low=0, high=1, ticks=[(tick / 4, f"{25 * tick} %") for tick in range(5)], name="how sure it said it was")
    lines = (
        Line(name="how often it was right", points=points, dots=True),
        Line(name="perfectly honest", points=((0, 0), (1, 1)), tone=4, dashed=True),
    )
    said = "; ".join(f"{percent(sure, 0)} sure, {percent(right, 0)} right" for sure, right in points)
    note = (
        f"Said “90 % sure”, it should be right nine times in ten. It is off by {100 * evaluation['ece']:.1f} points on "
        f"average{_scaled(evaluation)}."
    )
    return kit.panel("Is its certainty honest?", plot(lines, x, shares(0), said), note)


def _range(evaluation: Evaluation) -> str:
    bounds = evaluation.get("ece_interval")
    return f", likely {100 * bounds[0]:.0f} to {100 * bounds[1]:.0f}" if bounds else ""


def _scaled(evaluation: Evaluation) -> str:
    temperature = evaluation.get("temperature")
    return f", after temperature scaling (T = {temperature:.2f})" if temperature else ""


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value, 0)


def _classes(evaluation: Evaluation) -> str:
    axis = shares(0)
    rows = "".join(
        f'<tr><th scope="row">{esc(one["label"])}</th><td>{one["n"]}</td><td>{_share(one["precision"])}</td>'
        f"<td>{_share(one['recall'])}</td><td>{_share(one['f1'])}</td>"
        f'<td class="wide">{"" if one["recall"] is None else whisker(one["recall"], one["interval"], axis)}</td></tr>'
        for one in evaluation["per_class"][:200]
    )
    table = (
        '<div class="tz-scroll" tabindex="0"><table class="tz-table"><thead><tr><th scope="col">Class</th>'
        '<th scope="col">Pictures</th><th scope="col">Precision</th><th scope="col">Recall</th><th scope="col">F1</th>'
        f'<th scope="col" class="wide">Recall, 0 to 100 %</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )
    note = (
        "Precision: of those called so, how many are. Recall: of those that are, how many were found. Bars hold 95 %."
    )
    return kit.panel("Class by class", table, note)
