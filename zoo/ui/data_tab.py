"""The first screen: pictures come in, and the person sees what was read, what was not, and how it is split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from zoo.dataset import Dataset
from zoo.errors import NotFound, StudioError
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui import kit
from zoo.ui.data_view import dataset_html
from zoo.ui.kit import QUIET, Next, Seat, plural
from zoo.ui.watch import watched

ARCHIVES = [".zip", ".tar", ".gz", ".tgz"]
STAGES = {"unpack": "Unpacking", "decode": "Reading pictures", "group": "Looking for the same picture twice"}
WELCOME = "Drop a zip of class folders. No pictures at hand? The sample has six classes of drawings."
LAYOUT = """<div class="tz-aside"><h3>How a dataset looks</h3><div class="tz-tree">pets.zip
├─ cats
│  ├─ 001.jpg
│  └─ 002.png
└─ dogs
   └─ rex.jpg</div><p class="tz-note">The folders’ names become the labels. Ten pictures a class give a first answer,
fifty a good one. Folders named train, val and test are honoured.</p></div>"""


def place(seat: Seat, store: Store, settings: Settings, *, local: bool) -> None:
    """Lay the screen out and wire it; ``local`` says that the person may name paths on this computer."""
    private = " Nothing leaves this computer." if local else ""
    gr.HTML(kit.heading("Start with pictures", f"One folder for each class, in one zip.{private}"))
    with gr.Column() as giving, gr.Row(equal_height=True):
        with gr.Column(scale=3, min_width=300):
            drop = gr.File(label="Zip of class folders", file_types=ARCHIVES, height=190, elem_id="drop")
            with gr.Row(visible=local, elem_classes="tz-path"):
                path = gr.Textbox(
                    label="Or a folder on this computer", placeholder="/home/me/pets", scale=4, min_width=180
                )
                read = gr.Button("Read it", scale=1, min_width=90)
        with gr.Column(scale=2, min_width=260):
            gr.HTML(LAYOUT)
    working = gr.HTML(visible=False)
    view = gr.HTML(visible=False)
    after = Next.place(
        WELCOME, "sample", sample="Use the sample drawings", other="~Other pictures", compare="Compare backbones"
    )

    def take(source: str | None) -> Iterator[tuple[Any, ...]]:
        for report, dataset in _taken(source or "", store, settings):
            yield gr.HTML(report, visible=bool(report)), gr.update(value=None), dataset or gr.skip()

    def take_sample() -> Iterator[tuple[Any, ...]]:
        yield from take("sample")

    def show(dataset_id: str) -> list[Any]:
        try:
            dataset = Dataset.load(store, dataset_id)
            body = dataset_html(dataset, store, settings)
        except NotFound:
            return [gr.Column(visible=True), gr.HTML("", visible=False), *after.now(WELCOME, "sample")]
        except StudioError as error:
            problem = gr.HTML(kit.say(str(error), "bad"), visible=True)
            return [gr.Column(visible=True), problem, *after.now(WELCOME, "sample")]
        pictures, classes = plural(len(dataset), "picture"), plural(len(dataset.classes), "class")
        sentence = f"{pictures} in {classes} are ready. See which pretrained backbone fits them."
        return [gr.Column(visible=False), gr.HTML(body, visible=True), *after.now(sentence, "other", "compare")]

    def take_path(source: str) -> Iterator[tuple[Any, ...]]:
        yield from take(source if local and source.strip() not in ("", "sample") else None)

    moves: dict[str, Any] = {"outputs": [working, drop, seat.dataset], **QUIET, "concurrency_id": "intake"}
    drop.upload(take, drop, **moves, concurrency_limit=2)
    gr.on([read.click, path.submit], take_path, path, **moves)
    after.buttons["sample"].click(take_sample, **moves)
    seat.dataset.change(show, seat.dataset, [giving, view, *after.parts], **QUIET)
    after.buttons["other"].click(lambda: "", None, seat.dataset, **QUIET)
    after.buttons["compare"].click(lambda: "compare", None, seat.step, **QUIET)


def _taken(source: str, store: Store, settings: Settings) -> Iterator[tuple[str, str]]:
    """What to show while ``source`` is read, and the dataset's id at the end ("" before it)."""
    if not source:
        return
    yield kit.bar(0, "Opening"), ""
    try:
        for report, dataset in watched(lambda told: intake(source, store, settings, told)):
            if report:
                yield _progress(*report), ""
            if dataset:
                yield "", dataset.id
    except StudioError as error:
        yield kit.say(str(error), "bad"), ""


def _progress(stage: str, done: int, total: int) -> str:
    name = STAGES.get(stage, stage)
    return kit.bar(done / total if total else 0, f"{name}: {done:,} of {total:,}" if total else f"{name} …")
