"""The first screen: pictures come in, faults are mended, labels put right, and every edit says what it was worth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from zoo import edits
from zoo.bursts import developed
from zoo.columns import Columns
from zoo.dataset import Dataset
from zoo.errors import BadUpload, NotFound, StudioError
from zoo.intake import intake
from zoo.look import Looks, look, revise
from zoo.pictures import Pictures
from zoo.sandbox import Progress
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui import camera, explorer_tab, kit
from zoo.ui.columns_form import Chooser, told_or_asked
from zoo.ui.data_more import TYPES, place_adding, place_taking, stopper
from zoo.ui.data_view import EDIT, dataset_html, title_html
from zoo.ui.explorer_desk import Desks
from zoo.ui.explorer_tab import undone
from zoo.ui.findings_view import findings_html, worth_html
from zoo.ui.kit import CLICKED, POLL, QUIET, Next, Seat, plural
from zoo.ui.reading import Readings

WELCOME = "Drop a zip of class folders. No pictures at hand? The sample has six classes of drawings."
LAYOUT = """<div class="tz-aside"><h3>How a dataset looks</h3><div class="tz-tree">pets.zip
├─ cats
│  ├─ 001.jpg
│  └─ 002.png
└─ dogs
   └─ rex.jpg</div><p class="tz-note">The folders’ names become the labels. A table (CSV, Parquet) of pictures and
labels will do, too. Ten pictures a class give a first answer, fifty a good one. Folders named train, val and test are
honoured.</p></div>"""


def place(seat: Seat, store: Store, settings: Settings, *, local: bool) -> None:
    """Lay the screen out and wire it; ``local`` says that the person may name paths on this computer."""
    readings, looks, desks = Readings(), Looks(store, settings), Desks(store)
    private = " Nothing leaves this computer." if local else ""
    welcome = gr.HTML(kit.heading("Start with pictures", f"One folder for each class, in one zip.{private}"))
    giving, working = _giving(seat, store, settings, readings, local=local)
    with gr.Column(visible=False) as view:
        with gr.Row(elem_classes="tz-revision", equal_height=True):
            title = gr.HTML()
            undo = gr.Button("Undo", visible=False, scale=0, min_width=90)
        looked = gr.State(0)
        _measuring(seat, looks, looked)
        with gr.Tabs(overflow_behavior="wrap"):
            with gr.Tab("Overview"):
                overview = gr.HTML(js_on_load=EDIT, elem_id="overview")
            with gr.Tab("Findings"):
                found = gr.HTML(js_on_load=CLICKED, elem_id="findings")
                worth = gr.HTML()
            with gr.Tab("Explore"):
                explorer_tab.place(seat, store, settings, desks, looked)
            with gr.Tab("Add"):
                place_adding(seat, store, settings, readings, local=local)
            with gr.Tab("Export"):
                place_taking(seat, store, local=local)
    after = Next.place(
        WELCOME, "sample", sample="Use the sample drawings", other="~Other pictures", compare="Compare backbones"
    )

    def show(dataset_id: str) -> list[Any]:
        there, away = gr.Column(visible=True), gr.Column(visible=False)
        nothing = [gr.HTML(visible=True), there, away, "", gr.Button(visible=False), "", "", ""]
        try:
            dataset = Dataset.load(store, dataset_id)
            pictures, seen = Pictures.open(store, dataset), look(dataset, store, settings)
        except NotFound:
            return [*nothing, gr.skip(), *after.now(WELCOME, "sample")]
        except StudioError as error:
            return [*nothing, gr.HTML(kit.say(str(error), "bad"), visible=True), *after.now(WELCOME, "sample")]
        count, classes = plural(len(dataset), "picture"), plural(len(dataset.classes), "class")
        return [
            gr.HTML(visible=False),
            away,
            there,
            title_html(dataset),
            gr.Button(visible=bool(dataset.parent)),
            dataset_html(dataset, pictures, seen),
            findings_html(dataset, pictures, seen),
            worth_html(seen),
            gr.HTML("", visible=False),
            *after.now(f"{count} in {classes} are ready. See which pretrained backbone fits them.", "other", "compare"),
        ]

    @kit.spoken()
    def fix(dataset_id: str, edits_elsewhere: int, event: gr.EventData) -> tuple[str, int]:
        about, _, number = kit.chosen(event).partition(" ")
        dataset = Dataset.load(store, dataset_id)
        seen = look(dataset, store, settings).findings
        if about != dataset_id or not number.isdecimal() or int(number) >= len(seen):
            raise BadUpload("The dataset has been edited meanwhile.", "Look at the findings again.")
        return revise(store, dataset, _fixed(dataset, int(number), store, settings)), edits_elsewhere + 1

    @kit.spoken()
    def reclass(dataset_id: str, edits_elsewhere: int, event: gr.EventData) -> tuple[str, int]:
        dataset = Dataset.load(store, dataset_id)
        return revise(store, dataset, _reclassed(dataset, kit.chosen(event))), edits_elsewhere + 1

    @kit.spoken()
    def back(dataset_id: str, edits_elsewhere: int) -> tuple[str, int]:
        return undone(Dataset.load(store, dataset_id), store)[0].id, edits_elsewhere + 1

    parts = [welcome, giving, view, title, undo, overview, found, worth, working, *after.parts]
    gr.on([seat.dataset.change, looked.change], show, seat.dataset, parts, **QUIET)
    found.click(fix, [seat.dataset, looked], [seat.dataset, looked], **QUIET)
    overview.click(reclass, [seat.dataset, looked], [seat.dataset, looked], **QUIET)
    undo.click(back, [seat.dataset, looked], [seat.dataset, looked], **QUIET)
    after.buttons["other"].click(lambda: "", None, seat.dataset, **QUIET)
    after.buttons["compare"].click(lambda: "compare", None, seat.step, **QUIET)
    after.buttons["sample"].click(
        _sampled(readings, store, settings), None, [working, seat.dataset], **QUIET, concurrency_id="intake"
    )


def _reclassed(dataset: Dataset, said: str) -> Dataset:
    """``dataset`` after what a browser says is to be done with one of its classes."""
    try:
        asked = json.loads(said)
        what, name, to, about = (str(asked[key]) for key in ("do", "class", "to", "about"))
    except (ValueError, KeyError, TypeError):
        raise BadUpload("That is no edit.", "Load the page again.") from None
    if about != dataset.id:
        raise BadUpload("The dataset has been edited meanwhile.", "Look at its classes again.")
    return edits.call_class(dataset, name, to) if what == "name" else edits.leave_out_class(dataset, name)


def _fixed(dataset: Dataset, number: int, store: Store, settings: Settings) -> Dataset:
    fix = look(dataset, store, settings).findings[number].fix
    if fix.kind == "remove":
        return edits.remove(dataset, fix.pictures)
    if fix.kind == "group":
        return edits.group(dataset, look(dataset, store, settings).findings[number].groups)
    return edits.relabel_each(dataset, dict(zip(fix.pictures, fix.labels, strict=True)))


def _giving(
    seat: Seat, store: Store, settings: Settings, readings: Readings, *, local: bool
) -> tuple[gr.Column, gr.HTML]:
    """Where pictures are handed over, and where their reading is seen and ended."""
    with gr.Column() as giving, gr.Row(equal_height=True):
        with gr.Column(scale=3, min_width=300):
            drop = gr.File(label="Zip of class folders, or a table", file_types=TYPES, height=190, elem_id="drop")
            with gr.Row(visible=local, elem_classes="tz-path"):
                path = gr.Textbox(
                    label="Or a folder on this computer, or a dataset on a hub",
                    placeholder="/home/me/pets or hf://datasets/OWNER/NAME",
                    scale=4,
                    min_width=180,
                )
                read = gr.Button("Read it", scale=1, min_width=90)
            chooser = Chooser.place()
            with gr.Accordion("No pictures yet? Take them with a camera", open=False):
                tray, lying = camera.place(store)
                develop = gr.Button("Make a dataset of what was taken", variant="primary", elem_id="develop")
        with gr.Column(scale=2, min_width=260):
            gr.HTML(LAYOUT)
    with gr.Row(elem_classes="tz-reading", equal_height=True):
        working = gr.HTML(visible=False)
        stop = gr.Button("Stop", visible=False, scale=0, min_width=90, elem_id="stop-reading")

    def taken(source: str, names: tuple[str, ...], request: gr.Request) -> Iterator[tuple[Any, ...]]:
        def make(told: Progress, columns: Columns) -> Dataset:
            return intake(source, store, settings, told, columns)

        visitor = str(request.session_hash)
        for report, dataset, asked in told_or_asked(source, names, visitor, readings, store, settings, make):
            yield (*shown(report, dataset), *(chooser.ask(source, asked) if asked else chooser.shut()))

    def shown(report: str, dataset: str) -> tuple[Any, ...]:
        going = gr.Button(visible="tz-progress" in report)
        return gr.HTML(report, visible=bool(report)), going, gr.update(value=None), dataset or gr.skip()

    def dropped(source: str | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        yield from taken(source, (), request) if source else ()

    def named(source: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        yield from taken(source.strip(), (), request) if local and source.strip() else ()

    def columned(source: str, request: gr.Request, *names: str) -> Iterator[tuple[Any, ...]]:
        yield from taken(source, names, request) if source else ()

    def captured(tray_id: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        if not tray_id:
            yield shown(kit.say("Nothing was taken yet. Hold the button while the camera looks.", "wait"), "")
            return
        work = readings.follow(str(request.session_hash), lambda told: developed(store, settings, tray_id, None, told))
        for report, dataset in work:
            yield shown(report, dataset)

    outputs: list[Any] = [working, stop, drop, seat.dataset]
    moves: dict[str, Any] = {**QUIET, "concurrency_id": "intake"}
    wide = [*outputs, *chooser.parts]
    drop.upload(dropped, drop, wide, **moves, concurrency_limit=2)
    gr.on([read.click, path.submit], named, path, wide, **moves)
    chooser.read.click(columned, [chooser.pending, *chooser.picks], wide, **moves)
    develop.click(captured, tray, outputs, **moves)
    stop.click(stopper(readings), None, None, **QUIET)
    _ = lying
    return giving, working


def _sampled(readings: Readings, store: Store, settings: Settings) -> Callable[..., Iterator[tuple[Any, ...]]]:
    def sampled(request: gr.Request) -> Iterator[tuple[Any, ...]]:
        work = readings.follow(str(request.session_hash), lambda told: intake("sample", store, settings, told))
        for report, dataset in work:
            yield gr.HTML(report, visible=bool(report)), dataset or gr.skip()

    return sampled


def _measuring(seat: Seat, looks: Looks, looked: gr.State) -> None:
    """The button that starts a thorough look, and how far it is."""
    with gr.Row(elem_classes="tz-measure", equal_height=True):
        said = gr.HTML()
        start = gr.Button("Measure these pictures", visible=False, scale=0, min_width=180)
        stop = gr.Button("Stop", visible=False, scale=0, min_width=90)
    timer = gr.Timer(1.5, active=False)
    shown = [said, start, stop, timer]

    def state(dataset: str) -> tuple[list[Any], str]:
        try:
            found: dict[str, Any] = looks.read(dataset) if dataset else {"state": ""}
        except NotFound:
            found = {"state": ""}
        going = found["state"] == "running"
        if going:
            share = found["done"] / found["total"] if found["total"] else 0
            far = f": {found['done']:,} of {found['total']:,}" if found["total"] > 1 else " …"
            text = kit.bar(share, found["message"].rstrip(".") + far)
        elif found["state"] == "finished":
            text = ""
        else:
            why = found.get("message", "") if found["state"] == "failed" else ""
            text = (
                kit.say(why, "bad")
                if why
                else kit.next_words(
                    "Measure these pictures with two backbones: labels are doubted, leakage priced, every edit judged."
                )
            )
        offered = bool(dataset) and found["state"] in ("", "failed")
        return [text, gr.Button(visible=offered), gr.Button(visible=going), gr.Timer(active=going)], found["state"]

    @kit.spoken()
    def begin(dataset: str) -> list[Any]:
        looks.start(dataset)
        return state(dataset)[0]

    def end(dataset: str) -> list[Any]:
        looks.stop(dataset)
        return state(dataset)[0]

    def tick(dataset: str, count: int) -> list[Any]:
        parts, now = state(dataset)
        return [*parts, count + 1 if now == "finished" else gr.skip()]

    seat.dataset.change(lambda dataset: state(dataset)[0], seat.dataset, shown, **QUIET)
    start.click(begin, seat.dataset, shown, **QUIET)
    stop.click(end, seat.dataset, shown, **QUIET)
    timer.tick(tick, [seat.dataset, looked], [*shown, looked], **POLL)
