"""What training will show instead of a person's own pictures, and why they are mirrored or turned, or not."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from trainer import symmetry
from trainer.augmentation import preview
from trainer.job import Job
from trainer.plan import Plan
from trainer.plans import suggest
from trainer.racing import try_symmetry
from zoo.comparisons import Comparisons
from zoo.dataset import Dataset, split
from zoo.errors import NotFound, StudioError
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui import kit
from zoo.ui.kit import POLL, QUIET, Seat

PICTURES, VERSIONS = 4, 5
TEACHING = (
    "shows each picture differently every time, so that the network cannot learn it by heart. "
    "It may only do what leaves a picture what it is: that is tried on your pictures first."
)
WAITING = "Mirroring and turning are being tried on pictures held out for it."


def place(seat: Seat, store: Store, settings: Settings, comparisons: Comparisons, picked: gr.BrowserState) -> None:
    """Lay it out, folded, and wire it: what is asked for is made when it is opened."""
    with gr.Accordion("What training will show it: your pictures, augmented", open=False) as whole:
        view = gr.HTML()
    timer = gr.Timer(2, active=False)

    def draw(dataset: str, comparison: str, backbone: str) -> list[Any]:
        known = _known(store, dataset)
        if known is None:
            return [gr.skip(), gr.Timer(active=False)]
        try:
            plan = _plan(known, comparisons, comparison, backbone, settings)
            found = symmetry.known(known.id, plan.backbone, settings)
            trying = found is None and not store.owners.public and try_symmetry(known.id, plan.backbone, settings)
            return [augmented_html(known, plan, store, settings, found, trying=trying), gr.Timer(active=trying)]
        except StudioError as error:
            return [kit.say(str(error), "wait"), gr.Timer(active=False)]

    here = [seat.dataset, seat.comparison, picked]
    whole.expand(draw, here, [view, timer], **QUIET)
    timer.tick(draw, here, [view, timer], **POLL)


def augmented_html(
    dataset: Dataset, plan: Plan, store: Store, settings: Settings, found: symmetry.Symmetry | None, *, trying: bool
) -> str:
    """A few pictures of different classes, as they are and as training will show them, with the reason."""
    job = Job(plan, dataset, store, settings, store.root, lambda: False)
    rows = _some(dataset, plan.seed)
    strips = [
        kit.strip(pictures, [f"{dataset.items[index].name} as it is", *(["as training shows it"] * VERSIONS)], 96)
        for index, pictures in zip(rows, preview(job, rows, VERSIONS), strict=True)
    ]
    if found is not None:
        reasons = "".join(kit.say(sentence) for sentence in found.sentences)
    else:
        reasons = kit.say(WAITING if trying else "Mirroring and turning could not be tried here.", "wait")
    return f'<div class="tz-stack">{reasons}{"".join(strips)}{kit.lesson("Augmentation", TEACHING)}</div>'


def _some(dataset: Dataset, seed: int) -> list[int]:
    """A training picture of each of the first classes."""
    rows = split(dataset, seed).of("train")
    _, first = np.unique(dataset.y[rows], return_index=True)
    return [int(rows[place]) for place in first[:PICTURES]]


def _plan(dataset: Dataset, comparisons: Comparisons, comparison: str, backbone: str, settings: Settings) -> Plan:
    try:
        advice = comparisons.read(comparison) if comparison else None
    except NotFound:
        advice = None
    advice = advice if advice and advice["dataset"] == dataset.id else None
    return suggest(advice, dataset, settings, backbone=backbone or None, strategy="full")


def _known(store: Store, dataset: str) -> Dataset | None:
    try:
        return Dataset.load(store, dataset) if dataset else None
    except NotFound:
        return None
