"""Every knob of a plan with its reason, as a table: the form is built from it, and a test knows what it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.plan import BALANCES, COMPILING, FRAMINGS, OPTIMIZERS, PRECISIONS, TRACKERS

FITTED = ("linear_head", "earlier_layer")  # strategies that fit a layer and take no steps
SET_ELSEWHERE = ("dataset", "engine")  # by the first screen, by the machine
Kind = Literal["whole", "slide", "number", "switch", "choice", "text"]


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One field of a plan.

    Attributes:
        reason: what it does and when to turn it, for a person.
        low, high, step: of a slider.
        choices: of a choice.
        advanced: folded away: the advice is right nearly always.
        of: the strategies that heed it; "steps" for all that train by steps, "" for every one.
    """

    field: str
    label: str
    reason: str
    kind: Kind
    low: float = 0
    high: float = 1
    step: float = 1
    choices: tuple[str, ...] = ()
    advanced: bool = True
    of: str = "steps"

    def heeded(self, strategy: str) -> bool:
        """Whether a run of ``strategy`` does anything with it."""
        return self.of in ("", strategy) or (self.of == "steps" and strategy not in FITTED)


KNOBS = (
    Knob(
        field="epochs", label="Epochs", kind="whole", low=1, high=100, advanced=False,
        reason="Passes over the pictures, at most: it stops early once nothing improves.",
    ),
    Knob(
        field="patience", label="Patience", kind="whole", high=20, advanced=False,
        reason="Passes without improvement before it stops, or a held-out loss near nothing; 0 never stops early.",
    ),
    Knob(
        field="learning_rate", label="Learning rate", kind="number", advanced=False,
        reason="The size of a step. Too large forgets the pretraining, too small learns nothing.",
    ),
    Knob(
        field="batch", label="Batch", kind="whole", low=4, high=256, step=4, advanced=False,
        reason="Pictures a step looks at. Fewer need less memory.",
    ),
    Knob(
        field="flip", label="Mirror at random", kind="switch", advanced=False,
        reason="Not for digits, text, or anything with a left and a right.",
    ),
    Knob(
        field="crop", label="Smallest crop", kind="slide", low=0.3, high=1, step=0.05, advanced=False,
        reason="Random crops show the subject at other sizes; 1 for small subjects near the edge.",
    ),
    Knob(
        field="cut", label="Train from", kind="text", of="last_blocks", advanced=False,
        reason="The name of the tap after which layers are trained, those before stay frozen. Empty: where it pays.",
    ),
    Knob(
        field="taps", label="Taps", kind="text", of="earlier_layer", advanced=False,
        reason="Names of the depths that the layer reads, with commas. Empty: the best, or the best three joined.",
    ),
    Knob(
        field="lora_rank", label="Rank", kind="whole", low=1, high=128, of="lora", advanced=False,
        reason="How much the small added matrices can say; more weights learn more, and overfit sooner.",
    ),
    Knob(
        field="budget_seconds", label="Seconds at most", kind="number", advanced=False,
        reason="Training ends after the pass that goes beyond. Empty for no limit.",
    ),
    Knob(
        field="seed", label="Seed", kind="whole", high=2**31 - 1, of="", advanced=False,
        reason="The same seed gives the same split and the same run.",
    ),
    Knob(
        field="framing", label="Framing", kind="choice", choices=FRAMINGS, of="",
        reason="crop sees what the backbone asks for, of most the centre; squash sees the whole picture, distorted.",
    ),
    Knob(
        field="balance", label="Rare classes", kind="choice", choices=BALANCES, of="",
        reason="sample shows every class equally often, weights counts mistakes on rare ones more, none does neither.",
    ),
    Knob(
        field="rotate", label="Turn at random", kind="whole", high=180,
        reason="Degrees, either way. 180 where no side is up, as under a microscope or from above.",
    ),
    Knob(
        field="mixup", label="Mixup", kind="slide", high=2, step=0.1,
        reason="Blends pairs of pictures. Helps large sets; with few pictures it costs more than it gives.",
    ),
    Knob(
        field="label_smoothing", label="Label smoothing", kind="slide", high=0.5, step=0.05,
        reason="Asks for less than full certainty: against wrong labels and overconfidence.",
    ),
    Knob(
        field="layer_decay", label="Layer decay", kind="slide", low=0.3, high=1, step=0.05,
        reason="Early layers know edges and need little change: each group steps this much less than the next.",
    ),
    Knob(
        field="weight_decay", label="Weight decay", kind="number",
        reason="Keeps weights small, against overfitting.",
    ),
    Knob(
        field="optimizer", label="Optimizer", kind="choice", choices=OPTIMIZERS,
        reason="adamw for transformers, sgd for convolutional networks, as they were pretrained.",
    ),
    Knob(
        field="ema", label="Averaging", kind="slide", high=1, step=0.05,
        reason="The share of the steps whose weights are averaged: calmer than the last step alone; 0 for none.",
    ),
    Knob(
        field="wise", label="Look between probe and result", kind="switch",
        reason="A network on the way from one to the other is often better than both, and it costs seconds.",
    ),
    Knob(
        field="views", label="Kept versions of a picture", kind="whole", low=1, high=16, of="last_blocks",
        reason="What the frozen layers made of so many augmented versions is kept, not computed in each pass.",
    ),
    Knob(
        field="lora_alpha", label="Scale", kind="number", of="lora",
        reason="How loudly the added matrices speak; usually the rank or twice that.",
    ),
    Knob(
        field="lora_dropout", label="Dropout", kind="slide", high=0.9, step=0.05, of="lora",
        reason="The share of their inputs left out while training, against overfitting.",
    ),
    Knob(
        field="accumulate", label="Batches a step", kind="whole", low=1, high=16,
        reason="A larger batch in the memory of a small one.",
    ),
    Knob(
        field="precision", label="Precision", kind="choice", choices=PRECISIONS,
        reason="auto halves the memory where the device is good at it.",
    ),
    Knob(
        field="checkpointing", label="Compute twice, keep less", kind="switch",
        reason="Less memory for a third more time: for networks that do not fit otherwise.",
    ),
    Knob(
        field="compile", label="Compile", kind="choice", choices=COMPILING,
        reason="Quicker steps after a slow start; auto where the run is long enough to earn it back.",
    ),
    Knob(
        field="processes", label="Processes", kind="whole", low=1, high=16,
        reason="How many share a step: one a graphics card.",
    ),
    Knob(
        field="sharded", label="Share the weights out", kind="switch",
        reason="Each of several processes holds a part of the network: for one that a graphics card has no room for.",
    ),
    Knob(
        field="worker_cpus", label="CPUs for each", kind="whole", low=1, high=64,
        reason="What each process gets of a cluster's nodes; of no account on this machine.",
    ),
    Knob(
        field="worker_gpus", label="Graphics cards for each", kind="whole", low=0, high=8,
        reason="Likewise; 0 trains on the nodes' CPUs.",
    ),
    Knob(
        field="tracker", label="Tell as well", kind="choice", choices=TRACKERS,
        reason="Who else gets the curves while it runs; they are here in any case.",
    ),
)  # fmt: skip
