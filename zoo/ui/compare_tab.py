"""The second screen: which pretrained backbone fits these pictures, measured, with its uncertainty."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gradio as gr

from zoo.comparisons import Comparisons
from zoo.dataset import Dataset
from zoo.errors import NotFound
from zoo.record import outcomes, record
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui import catalog_form, kit
from zoo.ui.compare_charts import short
from zoo.ui.compare_view import EMPTY, NONE_YET, comparison_html, looked_at
from zoo.ui.kit import CLICKED, POLL, QUIET, Next, Seat, plural, spoken
from zoo.ui.record_view import record_html

TEACHING = "Pretrained networks look at your pictures, frozen. Whose features tell your classes apart best?"
BASELINE = "pixels/8x8"
Finished = Callable[[], list[dict[str, Any]]]


def place(
    seat: Seat,
    store: Store,
    settings: Settings,
    comparisons: Comparisons,
    picked: gr.BrowserState,
    finished: Finished = list,
) -> gr.State:
    """Lay the screen out and wire it; the state it returns changes whenever the comparison does.

    Args:
        picked: the backbone that a person looks at and wants to train.
        finished: the finished runs of this machine, as ``zoo.record.outcomes`` takes them.
    """
    gr.HTML(kit.heading("Compare backbones", TEACHING))
    with gr.Column() as choosing:
        chosen = catalog_form.Form.place(settings).chosen
    view = gr.HTML(NONE_YET, js_on_load=CLICKED)
    past = gr.HTML()
    after = Next.place(
        "Pictures come first.",
        "data",
        data="Go to Data",
        again="~Compare again",
        stop="~Stop",
        start="Start comparing",
        train="Train this",
    )
    seen = gr.State("")
    timer = gr.Timer(1, active=False)

    def belonging(dataset: str, comparison: str) -> Any:
        """A browser's comparison if it is of these pictures, else the latest that is."""
        try:
            if comparisons.read(comparison)["dataset"] == dataset:
                return gr.skip()
        except NotFound:
            pass
        latest = comparisons.latest(dataset) if dataset else None
        return latest["id"] if latest else ""

    def show(dataset: str, comparison: str, backbone: str) -> list[Any]:
        found = _found(comparisons, comparison, dataset)
        state = found["state"] if found else ""
        shown = _drawn(store, found, backbone) if found else EMPTY if _pictures(store, dataset) else NONE_YET
        return [
            gr.Column(visible=state in ("", "failed", "stopped") and bool(_pictures(store, dataset))),
            shown,
            _stamp(found),
            gr.Timer(active=state == "running"),
            *_next(after, found, _pictures(store, dataset), backbone),
        ]

    def tick(dataset: str, comparison: str, backbone: str, last: str) -> Any:
        """Nothing is sent while nothing changed."""
        found = _found(comparisons, comparison, dataset)
        return show(dataset, comparison, backbone) if _stamp(found) != last else [gr.skip()] * (4 + len(after.parts))

    @spoken()
    def start(dataset: str, backbones: list[str]) -> str:
        return comparisons.start(dataset, [one for one in backbones if one != BASELINE])

    @spoken()
    def stop(comparison: str) -> None:
        comparisons.stop(comparison)

    def pick(dataset: str, comparison: str, before: str, event: gr.EventData) -> list[Any]:
        """What was pressed is looked at, and is what "Train this" takes."""
        found, one = _found(comparisons, comparison, dataset), kit.chosen(event)
        if not found or one == before or one not in [row["id"] for row in found["backbones"]]:
            return [gr.skip()] * (2 + len(after.parts))
        return [one, _drawn(store, found, one), *_next(after, found, _pictures(store, dataset), one)]

    def remember(step: str) -> Any:
        """The record is read when the screen is opened: it may have grown."""
        if step != "compare":
            return gr.skip()
        known = [found for one in comparisons.list() if (found := _any(comparisons, one))]
        return record_html(record(outcomes(finished(), known)))

    everything = [choosing, view, seen, timer, *after.parts]
    ids, here = [seat.dataset, seat.comparison], [seat.dataset, seat.comparison, picked]
    seat.dataset.change(belonging, ids, seat.comparison, **QUIET).then(show, here, everything, **QUIET)
    seat.comparison.change(show, here, everything, **QUIET)
    timer.tick(tick, [*here, seen], everything, **POLL)
    view.click(pick, here, [picked, view, *after.parts], **QUIET)
    seat.step.change(remember, seat.step, past, **QUIET)
    after.buttons["data"].click(lambda: "data", None, seat.step, **QUIET)
    after.buttons["start"].click(start, [seat.dataset, chosen], seat.comparison, **QUIET)
    after.buttons["stop"].click(stop, seat.comparison, None, **QUIET).then(show, here, everything, **QUIET)
    after.buttons["again"].click(lambda: ("", ""), None, [seat.comparison, picked], **QUIET)
    after.buttons["train"].click(lambda: ("train", ""), None, [seat.step, seat.run], **QUIET)
    return seen


def _found(comparisons: Comparisons, comparison: str, dataset: str) -> dict[str, Any] | None:
    """The comparison, if it is of this dataset: a browser's memory may name any."""
    try:
        found = comparisons.read(comparison) if comparison else None
    except NotFound:
        return None
    return found if found and found["dataset"] == dataset else None


def _stamp(found: dict[str, Any] | None) -> str:
    """Changes exactly when what is shown would."""
    if not found:
        return ""
    return json.dumps([found["state"], found["message"], [[row["id"], row["pictures"]] for row in found["backbones"]]])


def _pictures(store: Store, dataset: str) -> int:
    try:
        return len(Dataset.load(store, dataset))
    except NotFound:
        return 0


def _drawn(store: Store, found: dict[str, Any], picked: str) -> str:
    try:
        title = Dataset.load(store, found["dataset"]).title
    except NotFound:
        title = ""
    return comparison_html(found, picked, title)


def _any(comparisons: Comparisons, comparison: str) -> dict[str, Any] | None:
    try:
        return comparisons.read(comparison)
    except NotFound:
        return None


def _next(after: Next, found: dict[str, Any] | None, pictures: int, picked: str) -> list[Any]:
    if not pictures:
        return after.now("Pictures come first.", "data")
    if found is None:
        return after.now(f"Measure the ticked backbones on {plural(pictures, 'picture')}.", "start")
    match found["state"]:
        case "running":
            return after.now("Rows appear as they are measured. You may close this page; it goes on.", "stop")
        case "finished" if found.get("plan"):
            backbone = short(looked_at(found, picked))
            return after.now(f"Train {backbone} on your pictures; the plan is filled in.", "again", "train")
        case _:
            return after.now("Compare again: what was measured is kept, so it starts from there.", "start")
