"""A run as a person watches it: where it stands, how long it takes, its curves; and the list of all runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from trainer.plan import Plan
from trainer.run import Run
from trainer.ui.contrast_view import TITLES, megabytes
from zoo.ui import kit
from zoo.ui.charts import Axis, Line, amounts, plot, shares
from zoo.ui.compare_charts import short
from zoo.ui.kit import duration, esc, percent

TONES = {"finished": "", "running": "warn", "queued": "warn", "stopped": "warn", "failed": "bad", "lost": "bad"}
STAGES = {"features": "Reading features", "head": "Fitting the last layer", "test": "Looking at the test part, once"}
OVERFITTING = ("Overfitting", "shows as a gap: better and better on what it learned from, no better on the rest.")
REGULARISATION = (
    "Regularisation",
    "keeps the layer’s weights small. Too loose, it learns its pictures by heart: overfitting. The best is kept.",
)
EMPTY = """<div class="tz-two"><section class="tz-panel"><h3>Train the last layer</h3><p>Feature extraction: the
pretrained network stays as it is and only a new last layer learns your classes. Few weights, so hardly anything to
overfit. It takes seconds.</p></section><section class="tz-panel"><h3>Fine-tune all layers</h3><p>Every layer is
adjusted a little by backpropagation, early ones least. Worth it with many pictures, or with pictures unlike everyday
photos; it takes minutes to hours without a graphics card.</p></section></div>"""


def name_of(run: Run) -> str:
    """A run in a few words."""
    return f"{short(run.plan.backbone)} · {TITLES.get(run.plan.strategy, run.plan.strategy)}" if run.plan else run.id


def run_html(run: Run) -> str:
    """Everything the Train screen says about one run while it is at work and after."""
    backbone = short(run.plan.backbone) if run.plan else "A run whose plan cannot be read"
    how = TITLES.get(run.plan.strategy, run.plan.strategy) if run.plan else ""
    title = f'{esc(backbone)} <span class="tz-quiet">{esc(how)}</span>{_badge(run)}'
    curves = "".join((_accuracy(run), _loss(run)))
    body = f"<h3>{title}</h3>{_standing(run)}{_early(run)}{_facts(run)}{_costs(run)}{_notes(run)}"
    charts = f'<div class="tz-two">{curves}</div>' if curves else ""
    return f'<div class="tz-stack"><section class="tz-panel">{body}</section>{charts}</div>'


def runs_html(runs: Sequence[Run], current: str, trash: Sequence[Run] = (), deleted: str = "") -> str:
    """Every run, newest first, each a button; then those of the bin. "" where there are none.

    ``deleted`` is the run just put into the bin, whose undo is offered first.
    """
    if not runs and not trash:
        return ""
    undo = next((_undo(run) for run in trash if run.id == deleted), "")
    rows = "".join(_listed(run, run.id == current) for run in runs[:40])
    gone = "".join(_binned(run) for run in trash)
    bin_html = f'<details class="tz-gap"><summary>Deleted ({len(trash)})</summary>{gone}</details>' if gone else ""
    return f'<section class="tz-panel"><h3>Runs</h3>{undo}<div class="tz-runs">{rows}</div>{bin_html}</section>'


def _undo(run: Run) -> str:
    button = f'<button type="button" class="tz-do" data-choice="restore {esc(run.id)}">Undo</button>'
    return f'<div class="tz-say plain tz-undo" role="status"><span>Deleted: {esc(name_of(run))}.</span> {button}</div>'


def _binned(run: Run) -> str:
    return (
        f'<button type="button" data-choice="restore {esc(run.id)}"><span><b>{esc(name_of(run))}</b>'
        f"<small>{esc(_when(run))}</small></span><span>Restore</span></button>"
    ).join(('<div class="tz-runs">', "</div>"))


def _when(run: Run) -> str:
    return time.strftime("%d %b %H:%M", time.localtime(run.created))


def _listed(run: Run, here: bool) -> str:
    result = percent(run.test["accuracy"]) if run.test and "accuracy" in run.test else ""
    cost = _spent("seconds", run, duration)
    noted = run.note.splitlines()[0][:120] if run.note else ""
    small = " · ".join(part for part in (esc(_when(run)), esc(cost), noted and kit.own(noted)) if part)
    current = ' aria-current="true"' if here else ""
    return (
        f'<button type="button" data-choice="{esc(run.id)}"{current}>'
        f"<span><b>{esc(name_of(run))}</b><small>{small}</small></span>"
        f"<span>{esc(result)}{_badge(run)}</span></button>"
    )


def _spent(name: str, run: Run, show: Callable[[float], str]) -> str:
    """What it took beside what was foretold; "" where neither is known."""
    was, told = run.actual[name], run.predicted[name]
    if was is None:
        return "" if told is None else f"{show(told)} foretold"
    return show(was) + (f", {show(told)} foretold" if told is not None else "")


def _costs(run: Run) -> str:
    """Seconds, memory and disk: foretold, and as it turned out."""
    rows = [("Time", "seconds", duration), ("Memory at the peak", "memory_mb", megabytes)]
    rows.append(("On the disk", "disk_mb", megabytes))
    cells = [
        (what, *(("–" if value is None else show(value)) for value in (run.predicted[name], run.actual[name])))
        for what, name, show in rows
        if run.predicted[name] is not None or run.actual[name] is not None
    ]
    if not cells:
        return ""
    body = "".join(f'<tr><th scope="row">{esc(a)}</th><td>{esc(b)}</td><td>{esc(c)}</td></tr>' for a, b, c in cells)
    return (
        '<div class="tz-gap tz-scroll"><table class="tz-table"><thead><tr><th scope="col">Cost</th>'
        f'<th scope="col">Foretold</th><th scope="col">Actual</th></tr></thead><tbody>{body}</tbody></table></div>'
    )


def _early(run: Run) -> str:
    said = run.explained["early_stop"]
    return f'<p class="tz-note tz-gap">{esc(said)}</p>' if said else ""


def _notes(run: Run) -> str:
    """What the run itself noted, and where it came from."""
    how, of = run.origin
    words = [*run.notes, f"A {how} of run {of}." if how else ""]
    items = "".join(f"<li>{esc(word)}</li>" for word in words if word)
    return f'<ul class="tz-list tz-gap">{items}</ul>' if items else ""


def _badge(run: Run) -> str:
    return f'<span class="tz-badge {TONES[run.state]}">{esc(run.state)}</span>'


def _standing(run: Run) -> str:
    match run.state:
        case "queued":
            return kit.bar(0, run.message)
        case "running":
            return kit.bar(_share(run), _doing(run))
        case "finished":
            return kit.say(run.message, "good")
        case "stopped":
            return kit.say(run.message, "wait")
        case _:
            return kit.say(run.message, "bad")


def _share(run: Run) -> float:
    if run.stage and run.stage.total:
        return run.stage.done / run.stage.total
    return run.step / run.steps if run.steps else 0.0


def _doing(run: Run) -> str:
    if run.stage:
        name = STAGES.get(run.stage.stage, run.stage.stage.capitalize())
        doing = f"{name}: {run.stage.done:,} of {run.stage.total:,}" if run.stage.total > 1 else name
    else:
        doing = run.message.rstrip(".")
    return f"{doing} · about {duration(run.eta_seconds)} left" if run.eta_seconds is not None else doing


def expected(plan: Plan) -> str:
    """The range of accuracies that the comparison leaves open, or its figure where it gave none."""
    if plan.predicted_low is None or plan.predicted_high is None:
        return percent(plan.predicted_accuracy or 0.0, 0)
    return f"{100 * plan.predicted_low:.0f} – {100 * plan.predicted_high:.0f} %"


def _facts(run: Run) -> str:
    facts = []
    if run.test and "interval" in run.test:
        low, high = run.test["interval"]
        facts.append((f"{100 * low:.0f} – {100 * high:.0f} %", "accuracy on new pictures, 95 % sure"))
    if run.predicted_accuracy is not None:
        facts.append(
            (expected(run.plan) if run.plan else "", f"predicted, around {percent(run.predicted_accuracy, 0)}")
        )
    if run.best and not run.test:
        facts.append((percent(run.best.accuracy), "best so far, on pictures held out to choose by"))
    return f'<div class="tz-gap">{kit.tiles(facts)}</div>' if facts else ""


def _accuracy(run: Run) -> str:
    if not run.epochs:
        return ""
    held = [(float(epoch.epoch), epoch.accuracy) for epoch in run.epochs]
    seen = [(float(at.epoch), at.train_accuracy if at.fitted is None else at.fitted) for at in run.epochs]
    band = [(float(epoch.epoch), *epoch.interval) for epoch in run.epochs]
    lines = (
        Line(name="held out", points=held, band=band, dots=True),
        Line(name="learned from", points=seen, tone=2, dots=True, dashed=True),
    )
    ends = [value for _, value in held + seen] + [edge for _, low, high in band for edge in (low, high)]
    said = f"Accuracy of {percent(held[-1][1])} on held-out pictures after {len(held)}"
    head = _fits_head(run)
    x = _steps([int(at) for at, _ in held], "candidate, the strictest first" if head else "pass")
    lesson = kit.lesson(*(REGULARISATION if head else OVERFITTING))
    judged = run.explained["overfitting"]
    tone = "wait" if judged.startswith("Overfitting") else "plain"
    verdict = f'<div class="tz-gap">{kit.say(judged, tone)}</div>' if judged else ""
    return kit.panel("Accuracy", plot(lines, x, shares(min(ends), max(ends)), said) + verdict + lesson)


def _fits_head(run: Run) -> bool:
    """Whether its epochs are candidates for one linear layer rather than passes over the pictures."""
    return run.plan is not None and run.plan.strategy == "linear_head"


def _loss(run: Run) -> str:
    if _fits_head(run):
        return ""
    held = [(float(epoch.step), epoch.loss) for epoch in run.epochs]
    points = [(float(step), loss) for step, loss in run.losses] or [
        (float(epoch.step), epoch.train_loss) for epoch in run.epochs
    ]
    if len(points) < 2:
        return ""
    y = amounts(max(value for _, value in points + held))
    lines = (
        Line(name="learned from", points=points, tone=2),
        Line(name="held out", points=held, dots=True),
    )
    planned = [run.steps] if run.active and run.steps else []  # room for what is still to come
    x = _steps([*(int(at) for at, _ in points + held), *planned], "step")
    said = f"Loss by step, now {points[-1][1]:.3f}"
    return kit.panel("Loss", plot(lines, x, y, said), "How wrong and how sure of it; lower is better.")


def _steps(values: list[int], name: str) -> Axis:
    low, high = min(values), max(*values, min(values) + 1)
    middle = (low + high) // 2
    ticks = sorted({low, middle, high})
    return Axis(low=low, high=high, ticks=[(tick, f"{tick:,}") for tick in ticks], name=name)
