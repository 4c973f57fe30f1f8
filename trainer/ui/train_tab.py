"""The third screen: a plan with its reasons, the run it becomes, and what the test part says of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gradio as gr

from trainer.plans import suggest
from trainer.run import Run
from trainer.runs import Runs
from trainer.ui import plan_form
from trainer.ui.nodes_tab import elsewhere
from trainer.ui.results_view import results_html
from trainer.ui.run_tools import RunTools
from trainer.ui.train_view import EMPTY, run_html, runs_html
from zoo.comparisons import Comparisons
from zoo.dataset import Dataset
from zoo.errors import NotFound
from zoo.settings import Settings
from zoo.store import Store, read_json
from zoo.ui import kit
from zoo.ui.kit import CLICKED, POLL, QUIET, Next, Seat, spoken

TEACHING = "Transfer learning: what a network learned from millions of photos is put to work on your classes."
LABELS = {"data": "Go to Data", "new": "~New plan", "stop": "~Stop", "resume": "Resume", "start": "Start training"}


def place(
    seat: Seat,
    store: Store,
    settings: Settings,
    runs: Runs,
    comparisons: Comparisons,
    picked: gr.BrowserState,
    beside: Callable[[], gr.HTML | None] = lambda: None,
) -> gr.State:
    """Lay the screen out and wire it; the state it returns changes whenever the run does.

    Args:
        picked: the backbone that a person chose on the Compare screen, "" for the advised one.
        beside: lays out what helps to decide on the plan, below it; the forecast follows what it returns.
    """
    gr.HTML(kit.heading("Train a classifier", TEACHING))
    with gr.Column(visible=False) as planning:
        form = plan_form.Form.place(partial(elsewhere, settings, comparisons))
        looked = beside()
        gr.HTML(EMPTY)
    view = gr.HTML(kit.say("Give pictures on the first step; then a plan can be made for them."))
    tools = RunTools.place()
    results = gr.HTML(visible=False)
    listing = gr.HTML(visible=False, js_on_load=CLICKED)
    after = Next.place("Pictures come first.", "data", **LABELS, go="Try it")
    seen, basis, timer = gr.State(""), gr.State(""), gr.Timer(2, active=False)
    deleted = gr.State("")

    def show(dataset: str, run_id: str, gone: str = "") -> list[Any]:
        run = _run(runs, run_id)
        known = _dataset(store, dataset) is not None
        report = read_json(runs.folder(run.id) / "evaluation.json") if run and run.state == "finished" else None
        every = runs.list()
        listed = runs_html(every, run_id, runs.trash(), gone)
        return [
            gr.Column(visible=run is None and known),
            gr.HTML(run_html(run) if run else "", visible=run is not None),
            gr.HTML(
                results_html(report, _dataset(store, run.plan.dataset) if run and run.plan else None, store),
                visible=bool(report),
            ),
            gr.HTML(listed, visible=bool(listed)),
            _stamp(run, every),
            gr.Timer(active=any(one.active for one in every)),
            *tools.shown(run, every),
            *_next(after, run, known),
        ]

    def tick(dataset: str, run_id: str, gone: str, last: str) -> list[Any]:
        """Nothing is sent while nothing changed."""
        unchanged = _stamp(_run(runs, run_id), runs.list()) == last
        return [gr.skip()] * len(everything) if unchanged else show(dataset, run_id, gone)

    def fill(step: str, dataset: str, comparison: str, backbone: str, last: str) -> list[Any]:
        """The advice becomes the plan, once for each comparison, so that a person's own choices stay."""
        known = _dataset(store, dataset)
        if step != "train" or known is None or last == f"{dataset} {comparison} {backbone}":
            return [gr.skip()] * (1 + len(form.parts))
        advice = _advice(comparisons, comparison, dataset)
        wanted = backbone if backbone in [row["id"] for row in (advice or {}).get("backbones", [])] else None
        plan = suggest(advice, known, settings, backbone=wanted)
        return [f"{dataset} {comparison} {backbone}", *form.filled(plan, advice)]

    @spoken()
    def reconsider(dataset: str, comparison: str, backbone: str, strategy: str) -> list[Any]:
        advice = _advice(comparisons, comparison, dataset)
        plan = suggest(advice, Dataset.load(store, dataset), settings, backbone=backbone.strip(), strategy=strategy)
        return form.filled(plan, advice)

    def foresee(dataset: str, comparison: str, *values: Any) -> Any:
        with spoken():
            advice = _advice(comparisons, comparison, dataset)
            return form.forecast(suggest(advice, Dataset.load(store, dataset), settings, **plan_form.changes(values)))

    @spoken()
    def start(dataset: str, comparison: str, *values: Any) -> str:
        advice = _advice(comparisons, comparison, dataset)
        return runs.start(suggest(advice, Dataset.load(store, dataset), settings, **plan_form.changes(values)))

    def duplicate(run_id: str, comparison: str, backbone: str) -> list[Any]:
        """The run's plan in the form, to be changed and started as another run."""
        with spoken():
            plan = runs.read(run_id).plan
            if plan is None:
                raise NotFound("The plan of this run cannot be read.", "Choose another run.")
            Dataset.load(store, plan.dataset)
        filled = form.filled(plan, _advice(comparisons, comparison, plan.dataset))
        return ["", plan.dataset, f"{plan.dataset} {comparison} {backbone}", *filled]

    @spoken()
    def delete(run_id: str) -> list[str]:
        runs.delete(run_id)
        return ["", run_id]

    def choose(event: gr.EventData) -> Any:
        """A run to look at, or one of the bin to restore and look at."""
        action, _, run_id = kit.chosen(event).rpartition(" ")
        if action == "restore":
            with spoken():
                runs.restore(run_id)
        return run_id

    @spoken()
    def stop(run_id: str) -> None:
        runs.stop(run_id)

    @spoken()
    def resume(run_id: str) -> None:
        runs.resume(run_id)

    here = [seat.dataset, seat.run, deleted]
    everything = [planning, view, results, listing, seen, timer, *tools.parts, *after.parts]
    tools.wire(seat, runs, show, here, everything)
    tools.duplicate.click(
        duplicate,
        [seat.run, seat.comparison, picked],
        [seat.run, seat.dataset, basis, *form.parts],
        **QUIET,
    )
    tools.delete.click(delete, seat.run, [seat.run, deleted], **QUIET).then(show, here, everything, **QUIET)
    asked = [seat.dataset, seat.comparison]
    gr.on([seat.dataset.change, seat.run.change], show, here, everything, **QUIET)
    seat.step.change(fill, [seat.step, *asked, picked, basis], [basis, *form.parts], **QUIET)
    timer.tick(tick, [*here, seen], everything, **POLL)
    gr.on(
        [form.backbone.input, form.strategy.input],
        reconsider,
        [*asked, form.backbone, form.strategy],
        form.parts,
        **QUIET,
    )
    later = [*form.later, *([] if looked is None else [looked.change])]
    gr.on(later, foresee, [*asked, *form.fields], form.foreseen, **QUIET)
    listing.click(choose, None, seat.run, **QUIET).then(show, here, everything, **QUIET)
    after.buttons["data"].click(lambda: "data", None, seat.step, **QUIET)
    after.buttons["start"].click(start, [*asked, *form.fields], seat.run, **QUIET)
    after.buttons["new"].click(lambda: "", None, seat.run, **QUIET)
    after.buttons["go"].click(lambda: "try", None, seat.step, **QUIET)
    after.buttons["stop"].click(stop, seat.run, None, **QUIET).then(show, here, everything, **QUIET)
    after.buttons["resume"].click(resume, seat.run, None, **QUIET).then(show, here, everything, **QUIET)
    return seen


def _run(runs: Runs, run_id: str) -> Run | None:
    """The run, if a browser's memory names one that is there."""
    try:
        return runs.read(run_id) if run_id else None
    except NotFound:
        return None


def _dataset(store: Store, dataset: str) -> Dataset | None:
    try:
        return Dataset.load(store, dataset)
    except NotFound:
        return None


def _advice(comparisons: Comparisons, comparison: str, dataset: str) -> dict[str, Any] | None:
    try:
        found = comparisons.read(comparison) if comparison else None
    except NotFound:
        return None
    return found if found and found["dataset"] == dataset and found.get("plan") else None


def _stamp(run: Run | None, every: Sequence[Run]) -> str:
    """Changes exactly when what is shown would."""
    listed = [[one.id, one.state, one.note] for one in every[:40]]
    if run is None:
        return json.dumps(listed)
    stage = [run.stage.stage, run.stage.done] if run.stage else []
    return json.dumps([run.id, run.state, run.message, run.step, len(run.epochs), stage, listed])


def _next(after: Next, run: Run | None, known: bool) -> list[Any]:
    if run is None:
        if known:
            return after.now("Look the plan over, then start. You can close the page; training goes on.", "start")
        return after.now("Pictures come first.", "data")
    match run.state:
        case "queued" | "running":
            return after.now("Training goes on by itself, even with this page closed.", "stop")
        case "finished":
            return after.now("Show it pictures that it has never seen.", "new", "go")
        case _ if run.resumable:
            return after.now("Go on from where it stopped, or make another plan.", "new", "resume")
        case _:
            return after.now("Make another plan.", "new")
