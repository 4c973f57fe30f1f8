"""The plan as a form: filled from the advice, every knob with its reason, the cost told before the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from trainer.plan import Plan
from trainer.strategies import strategies
from trainer.ui.contrast_view import megabytes
from trainer.ui.knobs import KNOBS, Knob
from trainer.ui.train_view import expected
from zoo.ui import kit
from zoo.ui.kit import duration, esc, percent

# Order of the form's fields, which is the order of the values that events hand over.
NAMES = ("backbone", "strategy", *(knob.field for knob in KNOBS))
WHOLE = tuple(knob.field for knob in KNOBS if knob.kind == "whole")
# The forecast follows them.
COSTLY = (
    *("epochs", "budget_seconds", "batch", "checkpointing", "views", "cut", "taps"),
    *("processes", "worker_cpus", "worker_gpus"),
)


@dataclass(frozen=True)
class Form:
    """The fields in the order of ``NAMES``, and what is foreseen."""

    fields: tuple[Any, ...]
    foreseen: gr.HTML
    elsewhere: Callable[[Plan], str]

    @classmethod
    def place(cls, elsewhere: Callable[[Plan], str] = lambda _: "") -> Form:
        """Lay it out; ``elsewhere`` says what a plan takes on other machines."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=300):
                backbone = gr.Dropdown(
                    [], label="Backbone", info="The compared ones, or any other id.", allow_custom_value=True
                )
                strategy = gr.Radio(
                    [(strategies()[name].title, name) for name in sorted(strategies(), key=_cheapest_first)],
                    label="How deep to train",
                    elem_classes="tz-choices",
                )
            with gr.Column(scale=2, min_width=260):
                foreseen = gr.HTML()
        placed: dict[str, Any] = {}
        for title, advanced in (("Knobs, each with its reason", False), ("Advanced knobs", True)):
            with gr.Accordion(title, open=False), gr.Row(elem_classes="tz-knobs"):
                placed |= {knob.field: _component(knob) for knob in KNOBS if knob.advanced == advanced}
        return cls((backbone, strategy, *(placed[knob.field] for knob in KNOBS)), foreseen, elsewhere)

    @property
    def backbone(self) -> Any:
        return self.fields[0]

    @property
    def strategy(self) -> Any:
        return self.fields[1]

    @property
    def parts(self) -> list[Any]:
        """What ``filled`` updates, in its order."""
        return [*self.fields, self.foreseen]

    @property
    def later(self) -> list[Any]:
        """Events after which the forecast is another; of words once they are written, as half a name is none."""
        costly = [field for name, field in zip(NAMES, self.fields, strict=True) if name in COSTLY]
        words = [field for field in costly if isinstance(field, gr.Textbox)]
        written = [event for field in words for event in (field.blur, field.submit)]
        return [*(field.input for field in costly if field not in words), *written]

    def filled(self, plan: Plan, advice: dict[str, Any] | None) -> list[Any]:
        """Updates that make the form say ``plan`` and show what its strategy heeds."""
        choices = [row["id"] for row in (advice or {}).get("backbones", [])]
        choices = choices if plan.backbone in choices else [plan.backbone, *choices]
        knobs = [gr.update(value=getattr(plan, knob.field), visible=knob.heeded(plan.strategy)) for knob in KNOBS]
        return [gr.Dropdown(choices=choices, value=plan.backbone), plan.strategy, *knobs, self.forecast(plan)]

    def forecast(self, plan: Plan) -> str:
        """What is expected of ``plan`` before it starts."""
        figures = []
        if plan.predicted_seconds is not None:
            where = "expected on this machine" if plan.engine == "local" else "expected on a machine like this"
            figures.append((duration(plan.predicted_seconds), where))
        if plan.predicted_memory_mb is not None:
            figures.append((megabytes(plan.predicted_memory_mb), "of memory at the peak"))
        if plan.predicted_disk_mb is not None:
            figures.append((megabytes(plan.predicted_disk_mb), "on the disk"))
        if plan.predicted_accuracy is not None:
            figures.append((expected(plan), f"right, {percent(plan.predicted_accuracy, 0)} in the comparison"))
        why = f"<b>Why so?</b> {esc(strategies()[plan.strategy].why)}"
        lesson = f'<p class="tz-lesson" style="margin:0!important">{why}</p>'
        return f'<div class="tz-stack tz-foreseen">{kit.tiles(figures)}{self.elsewhere(plan)}{lesson}</div>'


def changes(values: Sequence[Any]) -> dict[str, Any]:
    """The plan's fields as the form has them; what was left empty is left to the advice."""
    found = {name: value for name, value in zip(NAMES, values, strict=True) if value not in (None, "")}
    whole = {name: int(found[name]) for name in WHOLE if name in found}
    return found | whole | {"backbone": str(found.get("backbone", "")).strip()}


def _cheapest_first(name: str) -> tuple[int, str]:
    order = ("linear_head", "earlier_layer", "last_blocks", "lora", "full")
    return order.index(name) if name in order else len(order), name


def _component(knob: Knob) -> Any:
    """The control for a knob, its reason beside it."""
    common: dict[str, Any] = {"label": knob.label, "info": knob.reason, "min_width": 260}
    match knob.kind:
        case "whole" if knob.high > 1000:
            return gr.Number(precision=0, **common)
        case "whole" | "slide":
            return gr.Slider(knob.low, knob.high, step=knob.step, **common)
        case "number":
            return gr.Number(**common)
        case "switch":
            return gr.Checkbox(**common)
        case "choice":
            return gr.Dropdown(list(knob.choices), **common)
        case _:
            return gr.Textbox(max_lines=1, **common)
