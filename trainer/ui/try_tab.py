"""The fourth screen: the classifier answers, at once, on pictures it has never seen; and it can be taken away."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from trainer.run import Run
from trainer.runs import Runs
from trainer.ui.shelf import Shelf
from trainer.ui.train_view import TITLES
from trainer.ui.try_view import EMPTY, answer_html, problem_html
from zoo.backbone import Picture
from zoo.dataset import Dataset, split
from zoo.decode import read_picture
from zoo.errors import BadPicture, NotFound, StudioError
from zoo.pictures import Pictures
from zoo.store import Store
from zoo.ui import kit
from zoo.ui.compare_charts import short
from zoo.ui.kit import CLICKED, QUIET, Seat, next_html, percent

TEACHING = "Pictures it has never seen. Its probabilities were calibrated; Train shows how far off they are."
NONE = "Train a classifier first; then it answers here."
READY = "Try pictures from elsewhere: other light, other backgrounds. Then take the classifier with you."
EXAMPLES = 14
MOST = 32  # pictures at once


def place(seat: Seat, store: Store, runs: Runs, shelf: Shelf) -> None:
    """Lay the screen out and wire it."""
    gr.HTML(kit.heading("Try it", TEACHING))
    with gr.Column(visible=False) as trying:
        which = gr.Dropdown([], label="Classifier", elem_classes="tz-which")
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=290):
                one = gr.Image(
                    label="A picture",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "webcam", "clipboard"],
                    height=260,
                    buttons=[],
                    webcam_options=gr.WebcamOptions(mirror=False),
                    elem_id="ask",
                )
                with gr.Accordion("Several at once", open=False):
                    many = gr.File(label="Pictures", file_count="multiple", height=120, elem_id="ask-many")
            with gr.Column(scale=3, min_width=290):
                answers = gr.HTML(EMPTY, elem_id="answers")
                examples = gr.HTML(js_on_load=CLICKED)
    nothing = gr.HTML(kit.say(NONE))
    with gr.Row(elem_classes="tz-next", equal_height=True):
        sentence = gr.HTML(next_html(NONE), elem_classes="tz-next-text")
        go = gr.Button("Go to Train", variant="primary", scale=0, min_width=130)
        take = gr.DownloadButton("Download classifier", variant="primary", visible=False, scale=0, min_width=130)
    waking = gr.State("")

    def open_up(step: str, dataset: str, run_id: str) -> list[Any]:
        if step != "try":
            return [gr.skip()] * 6
        finished = [run for run in runs.list() if run.state == "finished"]
        if not finished:
            return [
                gr.Column(visible=False),
                gr.skip(),
                gr.HTML(visible=True),
                next_html(NONE),
                gr.Button(visible=True),
                gr.skip(),
            ]
        best = _first(finished, run_id, dataset)
        choices = [(_title(run), run.id) for run in finished]
        return [
            gr.Column(visible=True),
            gr.Dropdown(choices=choices, value=best),
            gr.HTML(visible=False),
            next_html(READY),
            gr.Button(visible=False),
            best,
        ]

    def wake(run_id: str) -> Iterator[list[Any]]:
        """Load the classifier before it is asked, and show pictures that it has never seen."""
        try:
            folder = runs.classifier(run_id)
            fresh = folder not in shelf
            yield [
                kit.bar(0.4, "Waking the classifier") if fresh else EMPTY,
                _examples(runs.read(run_id), store),
                gr.skip(),
            ]
            shelf.get(folder)
            yield [EMPTY, gr.skip(), gr.DownloadButton(value=str(packed(folder)), visible=True)]
        except StudioError as error:
            yield [kit.say(str(error), "bad"), "", gr.DownloadButton(visible=False)]

    def ask(run_id: str, paths: str | list[str] | None) -> Any:
        if not paths:
            return gr.skip()
        try:
            return _asked(shelf, runs.classifier(run_id), [paths] if isinstance(paths, str) else paths[:MOST])
        except StudioError as error:
            return kit.say(str(error), "bad")

    def ask_example(run_id: str, event: gr.EventData) -> Any:
        try:
            return _example(shelf, runs, store, run_id, kit.chosen(event))
        except StudioError as error:
            return kit.say(str(error), "bad")

    seat.step.change(
        open_up, [seat.step, seat.dataset, seat.run], [trying, which, nothing, sentence, go, waking], **QUIET
    )
    gr.on([which.change], wake, which, [answers, examples, take], **QUIET, concurrency_limit=2)
    asking: dict[str, Any] = {"outputs": answers, "show_progress": "minimal", "api_visibility": "private"}
    one.change(ask, [which, one], **asking, concurrency_id="predict", concurrency_limit=2)
    many.change(ask, [which, many], **asking, concurrency_id="predict")
    examples.click(ask_example, which, **asking, concurrency_id="predict")
    go.click(lambda: "train", None, seat.step, **QUIET)


def _first(finished: Sequence[Run], run_id: str, dataset: str) -> str:
    """The run that is looked at, else the newest of these pictures, else the newest."""
    if any(run.id == run_id for run in finished):
        return run_id
    return next((run.id for run in finished if run.plan and run.plan.dataset == dataset), finished[0].id)


def _title(run: Run) -> str:
    if run.plan is None:
        return run.id
    accuracy = (run.test or {}).get("accuracy")
    figure = f" · {percent(accuracy)} right" if isinstance(accuracy, float) else ""
    return f"{short(run.plan.backbone)} · {TITLES.get(run.plan.strategy, run.plan.strategy)}{figure} · {run.id[:6]}"


def _asked(shelf: Shelf, folder: Path, paths: Sequence[str]) -> str:
    """An answer for each picture; a file that is none says so and the rest goes on."""
    pictures: dict[str, Picture] = {}
    problems = []
    for path in paths:
        try:
            pictures[path] = read_picture(Path(path))
        except BadPicture as error:
            problems.append(problem_html(Path(path).name, str(error)))
    said = shelf.get(folder).predict(list(pictures.values()))
    rows = [answer_html(picture, answer) for picture, answer in zip(pictures.values(), said, strict=True)]
    return f'<div class="tz-stack">{"".join(problems + rows)}</div>'


def _test_pictures(run: Run, store: Store) -> tuple[Dataset, list[int]]:
    """The dataset of ``run`` and a few indices of its test part, classes taking turns."""
    if run.plan is None:
        raise NotFound("The plan of this run cannot be read.", "Choose another classifier.")
    dataset = Dataset.load(store, run.plan.dataset)
    test = split(dataset, run.plan.seed).of("test")
    turns = np.zeros(len(test), dtype=np.int64)  # how many of its class came before
    for label in np.unique(dataset.y[test]):
        members = dataset.y[test] == label
        turns[members] = np.arange(members.sum())
    order = np.argsort(turns, kind="stable")
    return dataset, [int(index) for index in test[order][:EXAMPLES]]


def _examples(run: Run, store: Store) -> str:
    try:
        dataset, indices = _test_pictures(run, store)
        pictures = Pictures.open(store, dataset)
    except StudioError:  # the classifier answers without the pictures it was made from
        return ""
    names = [f"Test picture {number}" for number in range(1, len(indices) + 1)]
    strip = kit.buttons([pictures[index] for index in indices], names, [str(index) for index in indices])
    return f'<div class="tz-gap">{kit.panel("From the test part", strip, "It has never learned from these.")}</div>'


def _example(shelf: Shelf, runs: Runs, store: Store, run_id: str, choice: str) -> Any:
    dataset, indices = _test_pictures(runs.read(run_id), store)
    if not choice.isdecimal() or int(choice) not in indices:
        return gr.skip()
    picture = np.array(Pictures.open(store, dataset)[int(choice)])
    answer = shelf.get(runs.classifier(run_id)).predict([picture])[0]
    return answer_html(picture, answer, dataset.classes[dataset.items[int(choice)].label])


def packed(folder: Path) -> Path:
    """The classifier's folder as one file to take away."""
    path = Path(tempfile.mkdtemp(prefix="classifier-")) / "classifier.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as bundle:
        for file in sorted(folder.iterdir()):
            bundle.write(file, f"classifier/{file.name}")
    return path
