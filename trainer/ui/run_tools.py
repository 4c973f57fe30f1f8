"""What can be done with the run looked at: words kept with it, its turn, a changed copy, another beside it, the bin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from trainer.contrast import contrast
from trainer.run import Run
from trainer.runs import Runs
from trainer.ui.contrast_view import contrast_html
from trainer.ui.train_view import name_of
from zoo.errors import NotFound
from zoo.ui.kit import QUIET, Seat, percent, spoken


@dataclass(frozen=True)
class RunTools:
    """The row below a run."""

    whole: gr.Column
    note: gr.Textbox
    other: gr.Dropdown
    first: gr.Button
    later: gr.Button
    duplicate: gr.Button
    delete: gr.Button
    beside: gr.HTML

    @classmethod
    def place(cls) -> RunTools:
        with gr.Column(visible=False) as whole:
            with gr.Row(equal_height=False):
                note = gr.Textbox(
                    label="Your note", info="Kept with the run, shown in the list.", lines=1, max_lines=6, min_width=260
                )
                other = gr.Dropdown(
                    [],
                    label="Lay another run beside it",
                    info="Curves, settings and confusions of both.",
                    min_width=260,
                )
            with gr.Row(elem_classes="tz-tools"):
                first = gr.Button("Start it next", size="sm", scale=0, min_width=140)
                later = gr.Button("Let others go first", size="sm", scale=0, min_width=140)
                duplicate = gr.Button("Duplicate and change", size="sm", scale=0, min_width=170)
                delete = gr.Button("Delete", size="sm", scale=0, min_width=100)
            beside = gr.HTML(visible=False)
        return cls(whole, note, other, first, later, duplicate, delete, beside)

    @property
    def parts(self) -> list[Any]:
        """What ``shown`` updates, in its order; what lies beside stays until another is chosen."""
        return [self.whole, self.note, self.other, self.first, self.later, self.duplicate, self.delete]

    def shown(self, run: Run | None, every: Sequence[Run]) -> list[Any]:
        """Updates that make it serve ``run``, with ``every`` run to be laid beside it."""
        if run is None:
            return [gr.update(visible=False), *[gr.skip()] * 6]
        waits = run.state == "queued"
        return [
            gr.update(visible=True),
            gr.skip(),  # a person may be writing; it is filled when the run is chosen
            gr.update(choices=[(_choice(one), one.id) for one in every if one.id != run.id]),
            gr.update(visible=waits),
            gr.update(visible=waits),
            gr.update(visible=run.plan is not None),
            gr.update(visible=not run.active),
        ]

    def wire(
        self, seat: Seat, runs: Runs, show: Callable[..., list[Any]], here: list[Any], everything: list[Any]
    ) -> None:
        """Let the notes, the turn and what lies beside work; ``show`` redraws ``everything`` from ``here``."""

        def chosen(run_id: str) -> list[Any]:
            """Another run: its own note, nothing beside it yet."""
            try:
                note = runs.read(run_id).note if run_id else ""
            except NotFound:
                note = ""
            return [note, gr.update(value=None), gr.HTML(visible=False)]

        @spoken()
        def keep(run_id: str, text: str) -> None:
            if run_id and text.strip() != runs.read(run_id).note:
                runs.note(run_id, text)

        @spoken()
        def first(run_id: str) -> None:
            runs.first(run_id)

        @spoken()
        def later(run_id: str) -> None:
            runs.last(run_id)

        @spoken()
        def lay(run_id: str, other: str | None) -> Any:
            if not other or other == run_id:
                return gr.HTML(visible=False)
            found = contrast(runs, run_id, other)
            names = (_named(runs.read(run_id)), _named(runs.read(other)))
            return gr.HTML(contrast_html(found, names), visible=True)

        again: dict[str, Any] = {"fn": show, "inputs": here, "outputs": everything, **QUIET}
        seat.run.change(chosen, seat.run, [self.note, self.other, self.beside], **QUIET)
        gr.on([self.note.blur, self.note.submit], keep, [seat.run, self.note], None, **QUIET).then(**again)
        self.first.click(first, seat.run, None, **QUIET).then(**again)
        self.later.click(later, seat.run, None, **QUIET).then(**again)
        self.other.input(lay, [seat.run, self.other], self.beside, **QUIET)


def _named(run: Run) -> str:
    """Short, and told from another of the same kind."""
    return f"{name_of(run)} · {run.note.splitlines()[0][:30] if run.note else run.id[:4]}"


def _choice(run: Run) -> str:
    result = percent(run.test["accuracy"]) if run.test and "accuracy" in run.test else run.state
    return f"{_named(run)} · {result}"
