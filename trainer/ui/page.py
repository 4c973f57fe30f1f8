"""The whole page: masthead, the way through in four steps, and a screen for each."""

from __future__ import annotations

from typing import Any

import gradio as gr

from trainer.runs import Runs
from zoo.dataset import Dataset
from zoo.errors import NotFound
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui import data_tab, kit
from zoo.ui.kit import CLICKED, QUIET, Seat, plural

STEPS = {"data": "Data", "compare": "Compare", "train": "Train", "try": "Try"}


def build(settings: Settings, *, local: bool) -> gr.Blocks:
    """The page, ready to launch; ``local`` says that only this computer can reach it."""
    store = Store(settings.home)
    runs = Runs(store, settings)
    with gr.Blocks(title="Transfer Zoo", analytics_enabled=False, delete_cache=(3600, 24 * 3600)) as page:
        seat = Seat.take()
        gr.HTML(kit.masthead())
        steps = gr.HTML(kit.stepper("data", ((key, name, "", False) for key, name in STEPS.items())), js_on_load=CLICKED)
        screens: dict[str, gr.Column] = {}
        for key in STEPS:
            with gr.Column(visible=key == "data", elem_classes="tz-screen") as screens[key]:
                if key == "data":
                    data_tab.place(seat, store, settings, local=local)

        def walk(event: gr.EventData) -> Any:
            step = kit.chosen(event)
            return step if step in STEPS else gr.skip()

        def where(step: str, dataset: str, comparison: str, run: str) -> str:
            return ""

        def turn(step: str) -> list[Any]:
            here = step if step in STEPS else "data"
            return [gr.Column(visible=key == here) for key in STEPS]

        steps.click(walk, None, seat.step, **QUIET)
        seat.step.change(turn, seat.step, list(screens.values()), **QUIET)
    return page
