"""A table's columns, guessed and shown with their first values, for a person to change before it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from zoo.columns import NONE, Column, Columns, Head, Unclear
from zoo.dataset import Dataset
from zoo.errors import StudioError
from zoo.intake import at_desk
from zoo.layout import TABLES
from zoo.names import clean
from zoo.sandbox import Progress
from zoo.settings import Settings
from zoo.store import Store
from zoo.tables import TableFile, head
from zoo.ui import kit
from zoo.ui.reading import Readings

NAMES = ("Pictures", "Labels", "Split", "Group")
Told = tuple[str, str, Head | None]


@dataclass(frozen=True)
class Chooser:
    """Four columns to choose, hidden until a table is given; ``pending`` is the table's path meanwhile."""

    box: gr.Column
    said: gr.HTML
    picks: list[gr.Dropdown]
    read: gr.Button
    pending: gr.State

    @classmethod
    def place(cls) -> Chooser:
        """Lay it out."""
        with gr.Column(visible=False, elem_classes="tz-columns") as box:
            said = gr.HTML()
            with gr.Row():
                picks = [gr.Dropdown(label=name, filterable=False, min_width=230) for name in NAMES]
            read = gr.Button("Read the table", variant="primary")
        return cls(box, said, picks, read, gr.State(""))

    @property
    def parts(self) -> list[Any]:
        """The components that ``shut`` and ``ask`` update, in their order."""
        return [self.box, self.said, *self.picks, self.pending]

    def shut(self) -> list[Any]:
        return [gr.Column(visible=False), *[gr.skip()] * 5, ""]

    def ask(self, source: str, found: Head) -> list[Any]:
        """Show the columns of ``found``, those guessed chosen."""
        listed = [(_shown(column), column.name) for column in found.columns]
        guessed = (found.guessed.image, found.guessed.label, found.guessed.split, found.guessed.group)
        picks = [
            gr.Dropdown(
                [*([] if place < 2 else [("none", NONE)]), *listed], value=name or (None if place < 2 else NONE)
            )
            for place, name in enumerate(guessed)
        ]
        return [gr.Column(visible=True), _words(found), *picks, source]


def told_or_asked(
    source: str,
    names: tuple[str, ...],
    visitor: str,
    readings: Readings,
    store: Store,
    settings: Settings,
    make: Callable[[Progress, Columns], Dataset],
) -> Iterator[Told]:
    """As ``Readings.follow``, with a table's columns as the third where a person is to choose them first.

    A lone table is asked about before it is read; anything else where its columns cannot be told. ``names`` are the
    columns chosen, all empty for none.
    """
    columns = Columns(*(name or "" for name in names))
    path = Path(source).expanduser()
    if not columns and path.suffix.lower() in TABLES and path.is_file():
        yield kit.bar(0, "Looking at its columns"), "", None
        try:
            with at_desk(store, settings, lambda _stage, _done, _total: None) as desk:
                found = head(TableFile(path, path.name), desk.sandbox, desk.room)
        except StudioError as error:
            yield kit.say(str(error), "bad"), "", None
        else:
            yield "", "", found
        return
    unclear: list[Head] = []

    def work(told: Progress) -> Dataset:
        try:
            return make(told, columns)
        except Unclear as error:
            unclear.append(error.head)
            raise

    for report, dataset in readings.follow(visitor, work):
        yield ("", "", unclear[0]) if unclear else (report, dataset, None)


def _words(found: Head) -> str:
    many = f"{len(found.columns)} columns"
    unclear = "Which hold the pictures and the labels cannot be told: choose them, then read it."
    what = unclear if found.problem else "These look right; change what is not, then read it."
    return f'<p class="tz-beside"><b>{kit.esc(found.name)}</b> has {many}. {kit.esc(what)}</p>'


def _shown(column: Column) -> str:
    """Its name, and what it holds."""
    kinds = {"picture": "pictures", "class": "named classes"}
    first = ", ".join(dict.fromkeys(clean(value, 24) for value in column.values[:5]))
    what = kinds.get(column.kind, "") or (f"{first[:40]} …" if first else "")
    return f"{clean(column.name, 40)} ({what})" if what else clean(column.name, 40)
