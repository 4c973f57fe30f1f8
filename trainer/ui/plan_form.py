"""The plan as a form: filled from the advice, every knob with its reason, the cost told before the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from trainer.plan import PRECISIONS, Plan
from trainer.strategies import strategies
from trainer.ui.train_view import expected
from zoo.ui import kit
from zoo.ui.kit import duration, esc, percent

# Order of the form's fields, which is the order of the values that events hand over.
NAMES = (
    "backbone",
    "strategy",
    "epochs",
    "learning_rate",
    "layer_decay",
    "batch",
    "accumulate",
    "weight_decay",
    "patience",
    "crop",
    "flip",
    "precision",
    "budget_seconds",
    "seed",
)
WHOLE = ("epochs", "batch", "accumulate", "patience", "seed")


@dataclass(frozen=True)
class Form:
    """The fields in the order of ``NAMES``, and what is foreseen."""

    fields: tuple[Any, ...]
    tuning: gr.Accordion
    foreseen: gr.HTML

    @classmethod
    def place(cls) -> Form:
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
        with gr.Accordion("Every knob, with its reason", open=False, visible=False) as tuning:
            fields = _knobs()
        return cls((backbone, strategy, *fields), tuning, foreseen)

    @property
    def backbone(self) -> Any:
        return self.fields[0]

    @property
    def strategy(self) -> Any:
        return self.fields[1]

    @property
    def parts(self) -> list[Any]:
        """What ``filled`` updates, in its order."""
        return [*self.fields, self.tuning, self.foreseen]

    @property
    def later(self) -> list[Any]:
        """Events after which the forecast is another."""
        return [
            field.input for name, field in zip(NAMES, self.fields, strict=True) if name in ("epochs", "budget_seconds")
        ]

    def filled(self, plan: Plan, advice: dict[str, Any] | None) -> list[Any]:
        """Updates that make the form say ``plan``."""
        choices = [row["id"] for row in (advice or {}).get("backbones", [])]
        choices = choices if plan.backbone in choices else [plan.backbone, *choices]
        values = [getattr(plan, name) for name in NAMES[1:]]
        return [
            gr.Dropdown(choices=choices, value=plan.backbone),
            *values,
            gr.Accordion(visible=plan.strategy != "linear_head"),
            self.forecast(plan),
        ]

    def forecast(self, plan: Plan) -> str:
        """What is expected of ``plan`` before it starts."""
        figures = []
        if plan.predicted_seconds is not None:
            figures.append((duration(plan.predicted_seconds), "expected on this machine"))
        if plan.predicted_accuracy is not None:
            figures.append((expected(plan), f"right, {percent(plan.predicted_accuracy, 0)} in the comparison"))
        why = f"<b>Why so?</b> {esc(strategies()[plan.strategy].why)}"
        lesson = f'<p class="tz-lesson" style="margin:0!important">{why}</p>'
        return f'<div class="tz-stack">{kit.tiles(figures)}{lesson}</div>'


def changes(values: Sequence[Any]) -> dict[str, Any]:
    """The plan's fields as the form has them; what was left empty is left to the advice."""
    found = {name: value for name, value in zip(NAMES, values, strict=True) if value not in (None, "")}
    whole = {name: int(found[name]) for name in WHOLE if name in found}
    return found | whole | {"backbone": str(found.get("backbone", "")).strip()}


def _cheapest_first(name: str) -> tuple[bool, str]:
    return name != "linear_head", name


def _knobs() -> tuple[Any, ...]:
    with gr.Row():
        epochs = gr.Slider(
            1,
            50,
            10,
            step=1,
            label="Epochs",
            info="Passes over the pictures, at most: it stops early once nothing improves.",
        )
        patience = gr.Slider(
            0, 20, 3, step=1, label="Patience", info="Passes without improvement before it stops; 0 never stops early."
        )
    with gr.Row():
        rate = gr.Number(
            0.005,
            label="Learning rate",
            info="The size of a step. Too large forgets the pretraining, too small learns nothing.",
        )
        decay = gr.Slider(
            0.3,
            1,
            0.75,
            step=0.05,
            label="Layer decay",
            info="Early layers know edges and need little change: each group steps this much less than the next.",
        )
    with gr.Row():
        batch = gr.Slider(4, 256, 32, step=4, label="Batch", info="Pictures a step looks at. Fewer need less memory.")
        accumulate = gr.Slider(
            1, 16, 1, step=1, label="Batches a step", info="A larger batch in the memory of a small one."
        )
    with gr.Row():
        weight = gr.Number(0.0001, label="Weight decay", info="Keeps weights small, against overfitting.")
        crop = gr.Slider(
            0.3,
            1,
            0.6,
            step=0.05,
            label="Smallest crop",
            info="Random crops show the subject at other sizes; 1 for small subjects near the edge.",
        )
    with gr.Row():
        flip = gr.Checkbox(
            True, label="Mirror at random", info="Not for digits, text, or anything with a left and a right."
        )
        precision = gr.Dropdown(
            list(PRECISIONS),
            value="auto",
            label="Precision",
            info="auto halves the memory where the device is good at it.",
        )
    with gr.Row():
        budget = gr.Number(
            None, label="Seconds at most", info="Training ends after the pass that goes beyond. Empty for no limit."
        )
        seed = gr.Number(0, precision=0, label="Seed", info="The same seed gives the same split and the same run.")
    return epochs, rate, decay, batch, accumulate, weight, patience, crop, flip, precision, budget, seed
