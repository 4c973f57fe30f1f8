"""The second screen: which pretrained backbone fits these pictures, measured, with its uncertainty."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from zoo.comparisons import Comparisons
from zoo.dataset import Dataset
from zoo.errors import BackboneUnavailable, NotFound
from zoo.settings import Settings
from zoo.sources import sources
from zoo.store import Store
from zoo.ui import kit
from zoo.ui.compare_view import EMPTY, NONE_YET, comparison_html, short
from zoo.ui.kit import POLL, QUIET, Next, Seat, plural, spoken

TEACHING = "Pretrained networks look at your pictures, frozen. Whose features tell your classes apart best?"
BASELINE = "pixels/8x8"


def place(seat: Seat, store: Store, settings: Settings, comparisons: Comparisons) -> gr.State:
    """Lay the screen out and wire it; the state it returns changes whenever the comparison does."""
    offered = [card.id for card in sources()["embedded"].cards(settings)]
    gr.HTML(kit.heading("Compare backbones", TEACHING))
    with gr.Column() as choosing:
        chosen = gr.CheckboxGroup(
            [(_label(one, settings), one) for one in offered],
            value=offered,
            label="Backbones",
            info="Name, weights, licence. These come with the studio; a baseline without any network is measured too.",
            elem_classes="tz-choices",
        )
        with gr.Accordion("Add another backbone by its id", open=False), gr.Row(elem_classes="tz-path"):
            more = gr.Textbox(
                label="Id",
                info="source/name, as timm and the Hub know it. Its weights are fetched when it is compared.",
                placeholder="timm/resnet18.a1_in1k",
                scale=4,
                min_width=200,
            )
            add = gr.Button("Add", scale=1, min_width=90)
    view = gr.HTML(NONE_YET)
    after = Next.place(
        "Pictures come first.",
        "data",
        data="Go to Data",
        again="~Compare again",
        stop="~Stop",
        start="Start comparing",
        train="Train this",
    )
    known = gr.State(offered)
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

    def show(dataset: str, comparison: str) -> list[Any]:
        found = _found(comparisons, comparison, dataset)
        state = found["state"] if found else ""
        shown = comparison_html(found) if found else EMPTY if _pictures(store, dataset) else NONE_YET
        return [
            gr.Column(visible=state in ("", "failed", "stopped") and bool(_pictures(store, dataset))),
            shown,
            _stamp(found),
            gr.Timer(active=state == "running"),
            *_next(after, found, _pictures(store, dataset)),
        ]

    def tick(dataset: str, comparison: str, last: str) -> Any:
        """Nothing is sent while nothing changed."""
        found = _found(comparisons, comparison, dataset)
        return show(dataset, comparison) if _stamp(found) != last else [gr.skip()] * (4 + len(after.parts))

    @spoken()
    def start(dataset: str, backbones: list[str]) -> str:
        return comparisons.start(dataset, [one for one in backbones if one != BASELINE])

    @spoken()
    def stop(comparison: str) -> None:
        comparisons.stop(comparison)

    @spoken()
    def append(text: str, backbones: list[str], known: list[str]) -> tuple[Any, ...]:
        one = _wellformed(text)
        choices = known if one in known else [*known, one]
        ticked = [*backbones, one] if one not in backbones else backbones
        return gr.CheckboxGroup([(_label(each, settings), each) for each in choices], value=ticked), choices, ""

    everything = [choosing, view, seen, timer, *after.parts]
    here = [seat.dataset, seat.comparison]
    seat.dataset.change(belonging, here, seat.comparison, **QUIET).then(show, here, everything, **QUIET)
    seat.comparison.change(show, here, everything, **QUIET)
    timer.tick(tick, [*here, seen], everything, **POLL)
    gr.on([add.click, more.submit], append, [more, chosen, known], [chosen, known, more], **QUIET)
    after.buttons["data"].click(lambda: "data", None, seat.step, **QUIET)
    after.buttons["start"].click(start, [seat.dataset, chosen], seat.comparison, **QUIET)
    after.buttons["stop"].click(stop, seat.comparison, None, **QUIET).then(show, here, everything, **QUIET)
    after.buttons["again"].click(lambda: "", None, seat.comparison, **QUIET)
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


def _next(after: Next, found: dict[str, Any] | None, pictures: int) -> list[Any]:
    if not pictures:
        return after.now("Pictures come first.", "data")
    if found is None:
        return after.now(f"Measure the ticked backbones on {plural(pictures, 'picture')}.", "start")
    match found["state"]:
        case "running":
            return after.now("Rows appear as they are measured. You may close this page; it goes on.", "stop")
        case "finished" if found.get("plan"):
            backbone = short(found["plan"]["backbone"])
            return after.now(f"Train {backbone} on your pictures; the plan is filled in.", "again", "train")
        case _:
            return after.now("Compare again: what was measured is kept, so it starts from there.", "start")


def _label(backbone: str, settings: Settings) -> str:
    """A backbone's name with what is known of it without loading anything."""
    source, _, name = backbone.partition("/")
    if source != "embedded":
        return backbone
    card = sources()[source].card(name, settings)
    return f"{name.removeprefix('tf_')} · {card.params:.1f} M · {card.licence}"


def _wellformed(text: str) -> str:
    one = text.strip()
    source, slash, name = one.partition("/")
    if not (slash and name and source in sources()) or len(one) > 200:
        names = ", ".join(sources())
        raise BackboneUnavailable(
            f"{one[:80]!r} is not a backbone’s id.", f"Write source/name, with a source of: {names}."
        )
    return one
