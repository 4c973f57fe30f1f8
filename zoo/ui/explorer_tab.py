"""Look through the pictures and label them by hand, at typing speed; the probe says at once what that was worth."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np

from zoo import edits
from zoo.dataset import PARTS, Dataset, split
from zoo.errors import BadUpload, NotFound, StudioError
from zoo.look import look, revise
from zoo.pictures import Pictures
from zoo.settings import Settings
from zoo.store import Store
from zoo.ui import kit
from zoo.ui.explorer_desk import Desks, Judged
from zoo.ui.explorer_view import EXPLORE, MAP, Tray, grid_html, map_html, standing_html
from zoo.ui.kit import QUIET, Seat

ALL = ""
WRONG = "wrong"
SORTS = {"hard": "Hardest first", "easy": "Easiest first", "given": "As they came"}
MOST_EDITS = 50  # in one message from a browser


class Explorer:
    """What the screen does, apart from how it is laid out."""

    def __init__(self, store: Store, settings: Settings, desks: Desks) -> None:
        self._store = store
        self._settings = settings
        self._desks = desks

    def arrange(self, dataset_id: str, class_: str, part: str, finding: str, sort: str) -> list[Any]:
        """Grid, standing, map and tray for what is to be shown, as if nothing had been there."""
        try:
            dataset = Dataset.load(self._store, dataset_id)
        except NotFound:
            return ["", "", "", Tray()]
        judged, pictures = self._desks.judge(dataset), Pictures.open(self._store, dataset)
        chosen = self._chosen(dataset, judged, class_, part, finding)
        if judged is not None and sort in ("hard", "easy"):
            chosen = chosen[np.argsort(judged.margin[chosen] * (1 if sort == "hard" else -1), kind="stable")]
        tray = Tray(dataset_id, [dataset.items[i].file for i in chosen.tolist()], 0, 1)
        return [
            grid_html(dataset, pictures, judged, tray),
            standing_html(dataset, judged, None),
            map_html(dataset, pictures, judged),
            tray,
        ]

    def act(self, said: str, dataset_id: str, tray: Tray) -> list[Any]:
        """Grid, standing, tray and dataset after what a browser says was done, or asked to see."""
        dataset = Dataset.load(self._store, dataset_id)
        before = self._desks.judge(dataset)
        told = ""
        for one in _operations(said):
            if one.get("do") == "page":
                tray.page = int(one.get("to", 0))
                continue
            try:
                dataset, told = self._edited(dataset, one)
            except StudioError as error:
                told = str(error)
        after = before if dataset.id == dataset_id else self._desks.judge(dataset)
        tray.stamp, tray.dataset = tray.stamp + 1, dataset.id
        tray.mine.add(dataset.id)
        known = set(tray.files)
        tray.files += (
            [item.file for item in dataset.items if item.file not in known] if told.startswith("Undone") else []
        )
        moved = before.standing.accuracy if before and dataset.id != dataset_id else None
        pictures = Pictures.open(self._store, dataset)
        grid = grid_html(dataset, pictures, after, tray)
        return [grid, standing_html(dataset, after, moved, told), tray, dataset.id]

    def _edited(self, dataset: Dataset, asked: dict[str, Any]) -> tuple[Dataset, str]:
        if asked.get("do") == "undo":
            return undone(dataset, self._store)
        at = {item.file: i for i, item in enumerate(dataset.items)}
        chosen = [at[file] for file in asked.get("files", ()) if isinstance(file, str) and file in at]
        to = str(asked.get("to", ""))
        match asked.get("do"):
            case "relabel":
                after = edits.relabel(dataset, chosen, to)
            case "move":
                after = edits.move(dataset, chosen, to)
            case "remove":
                after = edits.remove(dataset, chosen)
            case _:
                raise BadUpload("That is no edit.", "Load the page again.")
        revise(self._store, dataset, after)
        return after, after.change if after.id != dataset.id else "Nothing changed."

    def _chosen(
        self, dataset: Dataset, judged: Judged | None, class_: str, part: str, finding: str
    ) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        keep = np.ones(len(dataset), dtype=bool)
        if class_ in dataset.classes:
            keep &= dataset.y == dataset.classes.index(class_)
        if part in PARTS:
            keep &= split(dataset).parts == PARTS.index(part)
        if finding == WRONG:
            keep &= judged.predicted != dataset.y if judged is not None else False
        elif finding:
            among = [
                i
                for one in look(dataset, self._store, self._settings).findings
                if one.title == finding
                for i in one.pictures
            ]
            keep &= np.isin(np.arange(len(dataset)), among)
        return np.flatnonzero(keep)


def place(seat: Seat, store: Store, settings: Settings, desks: Desks, looked: gr.State) -> Callable[..., Any]:
    """Lay the explorer out; ``looked`` changes when a thorough look has ended."""
    explorer = Explorer(store, settings, desks)
    standing = gr.HTML(elem_id="standing")
    with gr.Row(elem_classes="tz-filters"):
        class_ = gr.Dropdown([("All classes", ALL)], value=ALL, label="Class", min_width=130)
        part = gr.Dropdown(
            [("All parts", ALL), *((name, name) for name in PARTS)], value=ALL, label="Part", min_width=130
        )
        finding = gr.Dropdown([("All pictures", ALL)], value=ALL, label="Finding", min_width=130)
        sort = gr.Dropdown([(name, key) for key, name in SORTS.items()], value="hard", label="Order", min_width=130)
    grid = gr.HTML(js_on_load=EXPLORE, elem_id="explorer")
    where = gr.HTML(js_on_load=MAP)
    tray = gr.State(Tray())
    query, shown = [seat.dataset, class_, part, finding, sort], [grid, standing, where, tray]

    def arrive(dataset_id: str, here: Tray, looked_at: int) -> list[Any]:
        """A dataset that did not come from an edit made here is shown from its first page."""
        if dataset_id in here.mine and here.looked == looked_at:
            return [gr.skip()] * 7
        try:
            dataset = Dataset.load(store, dataset_id)
            found = look(dataset, store, settings).findings
        except StudioError:
            return ["", "", "", Tray(), *[gr.skip()] * 3]
        titles = dict.fromkeys(one.title for one in found if one.pictures)
        tray = explorer.arrange(dataset_id, ALL, ALL, ALL, "hard")
        tray[3].looked = looked_at
        return [
            *tray,
            gr.Dropdown([("All classes", ALL), *((name, name) for name in dataset.classes)], value=ALL),
            gr.Dropdown(value=ALL),
            gr.Dropdown(
                [("All pictures", ALL), ("What the probe tells wrong", WRONG), *((one, one) for one in titles)],
                value=ALL,
            ),
        ]

    def filtered(looked_at: int, *asked: str) -> list[Any]:
        found = explorer.arrange(*asked)
        found[3].looked = looked_at
        return found

    @kit.spoken()
    def act(dataset_id: str, here: Tray, event: gr.EventData) -> list[Any]:
        return explorer.act(kit.chosen(event), dataset_id, here)

    gr.on(
        [seat.dataset.change, looked.change],
        arrive,
        [seat.dataset, tray, looked],
        [*shown, class_, part, finding],
        **QUIET,
    )
    gr.on([one.input for one in (class_, part, finding, sort)], filtered, [looked, *query], shown, **QUIET)
    grid.click(act, [seat.dataset, tray], [grid, standing, tray, seat.dataset], **QUIET)
    return arrive


def undone(dataset: Dataset, store: Store) -> tuple[Dataset, str]:
    """What ``dataset`` was edited from, and a sentence that says so."""
    if not dataset.parent:
        return dataset, "There is nothing to undo."
    return Dataset.load(store, dataset.parent), f"Undone: {dataset.change}"


def _operations(said: str) -> list[dict[str, Any]]:
    """What a browser asks for; nothing that is not of the right form."""
    try:
        found = json.loads(said)
    except ValueError:
        return []
    return [one for one in found if isinstance(one, dict)][:MOST_EDITS] if isinstance(found, list) else []
