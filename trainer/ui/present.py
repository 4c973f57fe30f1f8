"""A page of its own for one classifier, ``/try?run=ID``: for those who shall try it and need nothing else."""

from __future__ import annotations

from typing import Any

import gradio as gr

from trainer.asking import narrowed
from trainer.runs import Runs
from trainer.ui import live
from trainer.ui.asked import ask, ask_file, level
from trainer.ui.shelf import Shelf
from trainer.ui.try_view import live_html
from zoo.dataset import Dataset
from zoo.errors import StudioError
from zoo.store import Store, read_json
from zoo.ui import kit
from zoo.ui.kit import QUIET, between, esc, percent

START = kit.say("Drop or paste a picture, or open the camera.")
UNKNOWN = "There is no classifier at this address. Ask whoever gave you the link for a new one."
NAMED = 12  # classes that are listed


def place(page: gr.Blocks, store: Store, runs: Runs, shelf: Shelf) -> None:
    """Add the page; call it outside of the studio's own."""
    with page.route("Try", "/try", show_in_navbar=False):
        gr.Navbar(visible=False)
        head = gr.HTML(_head("A classifier", ""))
        with gr.Column(visible=False) as asking, gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=290):
                one = gr.Image(
                    label="A picture", type="filepath", image_mode=None, sources=["upload", "clipboard"], height=260,
                    buttons=[], elem_id="ask",
                )  # fmt: skip
                camera = live.place()
            with gr.Column(scale=3, min_width=290):
                answers = gr.HTML(START, elem_id="answers")
        which: gr.State = gr.State("")

        def arrive(request: gr.Request) -> list[Any]:
            run_id = str(request.query_params.get("run", ""))
            try:
                runs.classifier(run_id)
                return [described(runs, store, run_id), gr.Column(visible=True), run_id]
            except StudioError:
                return [_head("Nothing to try here", UNKNOWN), gr.Column(visible=False), ""]

        def answered(work: Any) -> str:
            try:
                return str(work())
            except StudioError as error:
                return kit.say(str(error), "bad")

        def ask_one(run_id: str, path: str | None) -> Any:
            if not path or not run_id:
                return gr.skip()
            return answered(lambda: ask_file(runs, shelf, run_id, path).html(runs, None))

        def ask_taken(run_id: str, event: gr.EventData) -> str:
            return answered(lambda: ask(runs, shelf, run_id, live.frame(event)).html(runs, None))

        def watch(run_id: str, event: gr.EventData) -> str:
            def told() -> str:
                folder = runs.classifier(run_id)
                miss, threshold = level(folder, None)
                return live_html(narrowed(shelf.get(folder).predict([live.seen(event)])[0], threshold), miss)

            return answered(told)

        page.load(arrive, None, [head, asking, which], **QUIET)
        shared: dict[str, Any] = {"api_visibility": "private", "concurrency_id": "predict", "concurrency_limit": 2}
        one.change(ask_one, [which, one], answers, show_progress="minimal", **shared)
        camera.submit(ask_taken, which, answers, show_progress="minimal", **shared)
        camera.click(watch, which, answers, show_progress="hidden", trigger_mode="once", **shared)


def described(runs: Runs, store: Store, run_id: str) -> str:
    """What the classifier is and how good, as the page's head.

    Raises:
        NotFound: there is no such run.
    """
    return _head(*words(runs, store, run_id))


def words(runs: Runs, store: Store, run_id: str) -> tuple[str, str]:
    """What the classifier is and how good, in a heading and a sentence.

    Raises:
        NotFound: there is no such run.
    """
    run = runs.read(run_id)
    classes = (read_json(runs.classifier(run_id) / "studio.json") or {}).get("classes", [])
    try:
        title = Dataset.load(store, run.plan.dataset).title if run.plan else ""
    except StudioError:  # it answers without the pictures it was made from
        title = ""
    listed = ", ".join(classes[:NAMED]) + (f" and {len(classes) - NAMED} more" if len(classes) > NAMED else "")
    return title or "A classifier", f"It tells apart {listed}. {_accuracy(run.test or {})}"


def _accuracy(test: dict[str, Any]) -> str:
    if not test.get("n") or not isinstance(test.get("accuracy"), float):
        return "How good it is was not measured."
    return (
        f"On {test['n']:,} pictures it had never seen it was right {percent(test['accuracy'])} of the time; "
        f"95 % interval {between(test['interval'])}."
    )


def _head(title: str, sentence: str) -> str:
    words = f"<div><h1>{esc(title)}</h1><p>{esc(sentence)}</p></div>"
    return f'<header class="tz-mast tz-alone">{words}{kit.languages()}</header>'
