"""Below the plan: a race of the strategies, for whoever does not want to believe theory; its winner can be trained."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from trainer.auto import advice
from trainer.plans import suggest
from trainer.races import Races
from trainer.runs import Runs
from trainer.ui.race_view import race_html
from zoo.dataset import Dataset
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui.kit import POLL, QUIET, Seat, spoken


def place(seat: Seat, store: Store, settings: Settings, runs: Runs, picked: gr.BrowserState) -> None:
    """Lay it out, folded, and wire it."""
    races = Races(store, settings)
    with gr.Accordion("How deep to train? Race the strategies on your pictures", open=False) as whole:
        view = gr.HTML(race_html(None))
        with gr.Row():
            start = gr.Button("Start the race", variant="secondary", scale=0, min_width=140)
            stop = gr.Button("Stop the race", variant="secondary", scale=0, min_width=140, visible=False)
            train = gr.Button("Train the winner", variant="secondary", scale=0, min_width=140, visible=False)
    seen, timer = gr.State(""), gr.Timer(2, active=False)
    parts = [whole, view, start, stop, train, seen, timer]

    def show(dataset: str) -> list[Any]:
        found = _latest(races, dataset)
        state = found["state"] if found else ""
        return [
            gr.Accordion(open=True) if state == "running" else gr.skip(),  # else as the person left it
            race_html(found),
            gr.update(value="Race again" if found else "Start the race", visible=state != "running"),
            gr.update(visible=state == "running"),
            gr.update(visible=state == "finished"),
            _stamp(found),
            gr.Timer(active=state == "running"),
        ]

    def tick(dataset: str, last: str) -> list[Any]:
        """Nothing is sent while nothing changed."""
        changed = _stamp(_latest(races, dataset)) != last
        return show(dataset) if changed else [gr.skip()] * len(parts)

    @spoken()
    def begin(dataset: str, backbone: str) -> None:
        races.start(dataset, backbone or None)

    @spoken()
    def end(dataset: str) -> None:
        found = _latest(races, dataset)
        if found:
            races.stop(found["id"])

    @spoken()
    def take(dataset: str) -> Any:
        """A run of the winner, with the learning rate that won."""
        found, known = _latest(races, dataset), Dataset.load(store, dataset)
        if not found or found["state"] != "finished":
            return gr.skip()
        comparison, decided = advice(known, store, settings, found["backbone"], found["seed"])
        return runs.start(suggest(comparison, known, settings, seed=found["seed"], **decided))

    here = [seat.dataset]
    gr.on([seat.dataset.change, seat.run.change, seat.step.change], show, here, parts, **QUIET)
    timer.tick(tick, [*here, seen], parts, **POLL)
    start.click(begin, [seat.dataset, picked], None, **QUIET).then(show, here, parts, **QUIET)
    stop.click(end, seat.dataset, None, **QUIET).then(show, here, parts, **QUIET)
    train.click(take, seat.dataset, seat.run, **QUIET)


def _latest(races: Races, dataset: str) -> dict[str, Any] | None:
    return races.latest(dataset) if dataset else None


def _stamp(found: dict[str, Any] | None) -> str:
    """Changes exactly when what is shown would."""
    if not found:
        return ""
    return json.dumps([found["id"], found["state"], found["message"], found["progress"]["done"], found["verdict"]])
