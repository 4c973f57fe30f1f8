"""The Try screen: the classifier answers, at once, on pictures it has never seen, explains itself and is put right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from trainer.asking import MOST, Row, asked, levels, narrowed
from trainer.run import Run
from trainer.runs import Runs
from trainer.ui import live
from trainer.ui.asked import Asked, ask, ask_example, ask_file, level, test_pictures
from trainer.ui.results_view import named
from trainer.ui.share_view import COPY, link_html
from trainer.ui.shelf import Shelf
from trainer.ui.try_more import Corrected, More, choices, update
from trainer.ui.try_view import EMPTY, SORTED, live_html, rows_html
from trainer.ui.vacant import Vacant
from zoo.errors import StudioError
from zoo.pictures import Pictures
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui import kit
from zoo.ui.kit import CLICKED, QUIET, Seat, percent
from zoo.ui.watch import watched

TEACHING = "Pictures it has never seen. Its probabilities were calibrated; Results shows how far off they are."
NONE = "Train a classifier first; then it answers here."
READY = "Try pictures from elsewhere: other light, other backgrounds. Then take the classifier with you."
STAGES = {"unpack": "Unpacking", "decode": "Reading pictures", "answer": "Asking"}


def place(seat: Seat, store: Store, settings: Settings, runs: Runs, shelf: Shelf) -> None:
    """Lay the screen out and wire it."""
    more = More(store, settings, runs, shelf)
    gr.HTML(kit.heading("Try it", TEACHING))
    with gr.Column(visible=False) as trying:
        with gr.Row(equal_height=False):
            which = gr.Dropdown([], label="Classifier", elem_classes="tz-which", min_width=280)
            sets = gr.Radio([], label="Sets that hold the truth, in", elem_id="set-level", min_width=280)
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=290):
                one = gr.Image(
                    label="A picture",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard"],
                    height=240,
                    buttons=[],
                    elem_id="ask",
                )
                camera = live.place()
                now = gr.HTML(elem_id="live-answer")
            with gr.Column(scale=3, min_width=290):
                answers = gr.HTML(EMPTY, elem_id="answers")
                with gr.Row(visible=False, elem_classes="tz-beneath") as tools:
                    why = gr.Button("Where did it look?", elem_id="why", scale=0, min_width=170)
                    label = gr.Dropdown(
                        [],
                        label="That’s wrong, it is …",
                        allow_custom_value=True,
                        min_width=150,
                        elem_id="truth",
                        elem_classes="tz-own",
                    )
                    right = gr.Button("Put it right", elem_id="right", scale=0, min_width=120)
                examples = gr.HTML(js_on_load=CLICKED)
        solved = gr.HTML(elem_id="solved")
        with gr.Row(visible=False) as then:
            again = gr.Button("Train again with it", variant="primary", scale=0, min_width=170)
            undo = gr.Button("Undo", scale=0, min_width=100)
        explained = gr.HTML(elem_id="explained")
        with gr.Accordion("Many at once, with a table", open=False):
            many = gr.File(
                label=f"Pictures, or zips of them, {MOST} at most",
                file_count="multiple",
                height=130,
                elem_id="ask-many",
            )
            table = gr.HTML(js_on_load=SORTED, elem_id="batch")
        link = gr.HTML(js_on_load=COPY)
    vacant = Vacant.place(NONE, train="Go to Train", share="Take it away")
    after = vacant.after
    held: gr.State = gr.State(None, time_to_live=3600)
    corrected: gr.State = gr.State(None)

    def open_up(step: str, dataset: str, run_id: str, bare: bool) -> list[Any]:
        if step != "try":
            return [gr.skip(), gr.skip(), *vacant.away(bare)]
        finished = [run for run in runs.list() if run.state == "finished"]
        if not finished:
            return [gr.Column(visible=False), gr.skip(), *vacant.empty()]
        best = _first(finished, run_id, dataset)
        listed = gr.Dropdown([(named(run), run.id) for run in finished], value=best)
        return [gr.Column(visible=True), listed, *vacant.filled(READY, "share")]

    def wake(run_id: str) -> Iterator[list[Any]]:
        """Load the classifier before it is asked, and show pictures that it has never seen."""
        clean = [None, "", "", gr.Row(visible=False), gr.Row(visible=False), ""]
        try:
            folder = runs.classifier(run_id)
            fresh = folder not in shelf
            yield [
                kit.bar(0.4, "Waking the classifier") if fresh else EMPTY,
                _examples(runs, store, run_id),
                _levels(folder),
                gr.Dropdown(choices(runs, run_id), value=None),
                link_html(run_id),
                *clean,
            ]
            shelf.get(folder)
            # The levels once more: where the screen was still being drawn, the first were lost.
            yield [EMPTY, gr.skip(), _levels(folder), *[gr.skip()] * (2 + len(clean))]
        except StudioError as error:
            yield [kit.say(str(error), "bad"), "", gr.skip(), gr.skip(), "", *clean]

    def shown(found: Asked | None, miss: float | None) -> list[Any]:
        if found is None:
            return [gr.skip()] * 6
        return [found.html(runs, miss), found, gr.Row(visible=True), gr.Dropdown(value=None), "", ""]

    def spoken(work: Any, *given: Any, miss: float | None) -> list[Any]:
        try:
            return shown(work(*given), miss)
        except StudioError as error:
            return [kit.say(str(error), "bad"), None, gr.Row(visible=False), gr.skip(), "", ""]

    def ask_one(run_id: str, miss: float | None, path: str | None) -> list[Any]:
        return spoken(ask_file, runs, shelf, run_id, path, miss=miss) if path and run_id else [gr.skip()] * 6

    def ask_known(run_id: str, miss: float | None, event: gr.EventData) -> list[Any]:
        return spoken(ask_example, runs, shelf, store, run_id, kit.chosen(event), miss=miss)

    def ask_taken(run_id: str, miss: float | None, event: gr.EventData) -> list[Any]:
        return spoken(lambda: ask(runs, shelf, run_id, live.frame(event)), miss=miss)

    def watch(run_id: str, miss: float | None, event: gr.EventData) -> str:
        """The answer to a frame; nothing of it is kept."""
        try:
            chosen, threshold = level(runs.classifier(run_id), miss)
            answer = shelf.get(runs.classifier(run_id)).predict([live.seen(event)])[0]
            return live_html(narrowed(answer, threshold), chosen)
        except StudioError as error:
            return kit.say(str(error), "bad")

    def relevel(found: Asked | None, miss: float | None) -> Any:
        return found.html(runs, miss) if found else gr.skip()

    def ask_many(run_id: str, miss: float | None, paths: list[str] | None) -> Iterator[str]:
        if not paths:
            yield ""
            return
        try:
            folder = runs.classifier(run_id)
            chosen, threshold = level(folder, miss)
            classifier = shelf.get(folder)

            def work(told: Any) -> tuple[list[Row], int]:
                return asked([Path(path) for path in paths], classifier, threshold, store, settings, told)

            for report, found in watched(work):
                if report:
                    stage, done, total = report
                    yield kit.bar(done / total if total else 0.1, f"{STAGES.get(stage, stage)}: {done:,}")
                if found is not None:
                    yield rows_html(*found, chosen)
        except StudioError as error:
            yield kit.say(str(error), "bad")

    def correct(found: Asked | None, name: str, dataset: str) -> Iterator[list[Any]]:
        for step in more.correct(found, name, dataset):
            yield update(*step)

    @kit.spoken()
    def undone(what: Corrected | None) -> list[Any]:
        if what is None:
            return [gr.skip()] * 3
        return [more.undo(what), kit.say("Undone: the dataset is as it was."), gr.Row(visible=False)]

    seat.step.change(open_up, [seat.step, seat.dataset, seat.run, vacant.bare], [trying, which, *vacant.parts], **QUIET)
    woken = [answers, examples, sets, label, link, held, solved, explained, tools, then, table]
    which.change(wake, which, woken, **QUIET, concurrency_limit=2)
    outcome = [answers, held, tools, label, solved, explained]
    asking: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private", "concurrency_id": "predict"}
    one.change(ask_one, [which, sets, one], outcome, **asking, concurrency_limit=2)
    camera.submit(ask_taken, [which, sets], outcome, **asking)
    examples.click(ask_known, [which, sets], outcome, **asking)
    camera.click(watch, [which, sets], now, **QUIET, trigger_mode="once", concurrency_limit=2)
    sets.input(relevel, [held, sets], answers, **QUIET)
    many.change(ask_many, [which, sets, many], table, **QUIET, concurrency_limit=1)
    why.click(more.explain, held, explained, **QUIET, concurrency_limit=2)
    right.click(correct, [held, label, seat.dataset], [solved, seat.dataset, corrected, then], **QUIET)
    undo.click(undone, corrected, [seat.dataset, solved, then], **QUIET)
    again.click(lambda: ("", "train"), None, [seat.run, seat.step], **QUIET)
    after.buttons["train"].click(lambda: "train", None, seat.step, **QUIET)
    after.buttons["share"].click(lambda run_id: (run_id, "share"), which, [seat.run, seat.step], **QUIET)


def _first(finished: Sequence[Run], run_id: str, dataset: str) -> str:
    """The run that is looked at, else the newest of these pictures, else the newest."""
    if any(run.id == run_id for run in finished):
        return run_id
    return next((run.id for run in finished if run.plan and run.plan.dataset == dataset), finished[0].id)


def _levels(folder: Path) -> Any:
    known = levels(folder)
    chosen, _ = level(folder, None)
    listed = [(percent(1 - miss, 0), miss) for miss in known]
    return gr.Radio(choices=listed, value=chosen, visible=len(listed) > 1)


def _examples(runs: Runs, store: Store, run_id: str) -> str:
    try:
        dataset, indices = test_pictures(runs, store, run_id)
        pictures = Pictures.open(store, dataset)
    except StudioError:  # the classifier answers without the pictures it was made from
        return ""
    names = [f"Test picture {number}" for number in range(1, len(indices) + 1)]
    strip = kit.buttons([pictures[index] for index in indices], names, [str(index) for index in indices])
    return f'<div class="tz-gap">{kit.panel("From the test part", strip, "It has never learned from these.")}</div>'
