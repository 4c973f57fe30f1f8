"""The last screen: a classifier to take away, in the form one needs, with a certificate that it answers the same."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from trainer.exports import exports
from trainer.links import Links
from trainer.runs import Runs
from trainer.takeouts import Takeout, Takeouts
from trainer.ui.results_view import named
from trainer.ui.share_view import COPY, given_html, link_html, takeout_html, tiles_html
from trainer.ui.vacant import Vacant
from zoo.errors import NotFound
from zoo.store import Store
from zoo.ui import kit
from zoo.ui.kit import CLICKED, POLL, QUIET, Seat, spoken

TEACHING = "Every form is asked about pictures that training never saw, and refused where it answers otherwise."
NONE = "Train a classifier first; then it can be taken away."
CHOOSE = "Choose a form, then make it."
PUBLIC = "Run the studio yourself, or duplicate its Space."
FIRST = "onnx"
NOTHING = Takeout("none", {})


def place(seat: Seat, store: Store, runs: Runs) -> None:
    """Lay the screen out and wire it."""
    takeouts, public = Takeouts(store, runs), store.owners.public  # where links and exports are refused
    gr.HTML(kit.heading("Take it away", TEACHING))
    with gr.Column(visible=False) as whole:
        which = gr.Dropdown([], label="Classifier", elem_classes="tz-which")
        link = gr.HTML(js_on_load=COPY, elem_id="own-page")
        opened = gr.Button(
            "Make a link for anyone",
            size="sm",
            scale=0,
            min_width=200,
            elem_id="open-link",
            visible=not public,
        )
        tiles = gr.HTML(js_on_load=CLICKED, elem_id="formats")
        view = gr.HTML(elem_id="takeout")
        file = gr.DownloadButton("Download", visible=False, elem_id="take", variant="primary", scale=0, min_width=160)
    vacant = Vacant.place(NONE, train="Go to Train", make="Make it")
    after = vacant.after
    form, seen, timer = gr.State(FIRST), gr.State(""), gr.Timer(2, active=False)

    def open_up(step: str, run_id: str, bare: bool) -> list[Any]:
        if step != "share":
            return [gr.skip(), gr.skip(), *vacant.away(bare)]
        finished = [run for run in runs.list() if run.state == "finished"]
        choices = [(named(run), run.id) for run in finished]
        if not choices:
            return [gr.Column(visible=False), gr.Dropdown(choices=[], value=None), *vacant.empty()]
        ids = [run.id for run in finished]
        picked = gr.Dropdown(choices=choices, value=run_id if run_id in ids else ids[0])
        return [gr.Column(visible=True), picked, *vacant.filled("")]  # what is next, ``show`` says

    def states(run_id: str) -> dict[str, str]:
        return {name: takeouts.read(run_id, name).state for name, one in exports().items() if not one.remote}

    def show(run_id: str | None, chosen: str) -> list[Any]:
        try:
            now = states(run_id or "")
        except NotFound:
            return [
                gr.skip(),
                "",
                gr.DownloadButton(visible=False),
                "",
                gr.Timer(active=False),
                *after.now(NONE, "train"),
            ]
        picked = exports()[chosen]
        takeout = NOTHING if picked.remote else takeouts.read(run_id or "", chosen)
        state = "" if picked.remote else takeout.state
        told = {
            "making": "It goes on by itself; this takes a minute or so.",
            "ready": "Download it, or choose another form.",
            "failed": "Choose another form; a folder always works where the network's library does.",
            "": "Push it from a shell, with your own token.",
        }.get(state, PUBLIC if public else CHOOSE)
        makeable = state in ("none", "failed") and not public
        path = str(takeouts.packed(run_id or "", chosen, Path(tempfile.mkdtemp()))) if state == "ready" else None
        return [
            tiles_html(exports(), now, chosen),
            takeout_html(picked, takeout, run_id or ""),
            gr.DownloadButton(value=path, visible=path is not None),
            f"{run_id} {chosen} {now}",
            gr.Timer(active="making" in now.values()),
            *after.now(told, *(["make"] if makeable else [])),
        ]

    def tick(run_id: str | None, chosen: str, last: str) -> list[Any]:
        """Nothing is sent while nothing changed."""
        try:
            same = f"{run_id} {chosen} {states(run_id or '')}" == last
        except NotFound:
            same = True
        return [gr.skip()] * (5 + len(after.parts)) if same else show(run_id, chosen)

    def choose(event: gr.EventData) -> Any:
        name = kit.chosen(event)
        return name if name in exports() else gr.skip()

    @spoken()
    def make(run_id: str, chosen: str) -> None:
        takeouts.start(run_id, chosen)

    @spoken()
    def give(run_id: str, request: gr.Request) -> str:
        return given_html(Links(store, runs).renew(run_id), _here(request))

    def linked(run_id: str | None, request: gr.Request) -> str:
        return link_html(run_id, _here(request)) if run_id else ""

    opened.click(give, which, link, **QUIET)
    everything = [tiles, view, file, seen, timer, *after.parts]
    seat.step.change(open_up, [seat.step, seat.run, vacant.bare], [whole, which, *vacant.parts], **QUIET)
    gr.on([which.change, form.change], show, [which, form], everything, **QUIET)
    which.change(linked, which, link, **QUIET)
    tiles.click(choose, None, form, **QUIET)
    timer.tick(tick, [which, form, seen], everything, **POLL)
    after.buttons["make"].click(make, [which, form], None, **QUIET).then(show, [which, form], everything, **QUIET)
    after.buttons["train"].click(lambda: "train", None, seat.step, **QUIET)


def _here(request: gr.Request) -> str:
    """The page's address as the browser knows it, also behind a proxy; "" where it is not told."""
    return str(request.headers.get("referer", ""))
