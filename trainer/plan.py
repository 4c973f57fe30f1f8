"""A plan: everything a run needs besides its dataset, checked at birth."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from zoo.errors import BadPlan

MB = 1_000_000  # bytes of a megabyte in figures of runs, forecasts and exports whose names end in ``_mb``
PRECISIONS = ("auto", "no", "bf16", "fp16")
OPTIMIZERS = ("sgd", "adamw")
FRAMINGS = ("crop", "squash")
BALANCES = ("none", "sample", "weights")
COMPILING = ("auto", "no", "yes")
TRACKERS = ("none", "tensorboard", "trackio")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run can be repeated from its plan and its dataset alone.

    Attributes:
        dataset: id of the dataset.
        backbone: ``source/name``.
        strategy: name of a file's ``STRATEGY`` in ``trainer/strategies``.
        epochs: most passes over the training part; early stopping may end sooner.
        batch: pictures an optimizer step on one process takes at once; ``accumulate`` such batches make one step.
        learning_rate: at the end of warm-up, for the step's whole batch.
        layer_decay: learning-rate factor from the head down to the stem, normalised by depth (1 for none).
        patience: epochs without a better select loss before it stops, which it also does once that is below 0.01;
            0 for never.
        flip: mirror training pictures at random.
        crop: smallest share of the picture that a random training crop keeps; 1 for no cropping.
        framing: "crop" is what the backbone's preprocessing says, most of which cut the centre out; "squash" shows the
            whole picture, its sides made equal, which keeps what lies at its ends. Every library's loader can do both.
        rotate: most degrees that a training picture is turned by, either way; 180 where no side is up.
        mixup: both shape parameters of the Beta law by which two training pictures are blended (Zhang et al. 2018);
            0 for no blending. For large sets: with few pictures it costs more than it gives.
        balance: "sample" shows every class equally often, "weights" weighs the losses of rare classes more.
        ema: share of all steps over which the weights that are judged and kept are averaged; 0 for no averaging.
        checkpointing: compute activations twice instead of keeping them: less memory, a third more time.
        compile: whether torch compiles the network; "auto" where the run is long enough to earn it back.
        tracker: who else is told of losses and accuracies while it runs.
        wise: look for a better network on the way from the probe to what was trained (WiSE-FT, Wortsman et al. 2022).
        cut: of ``last_blocks``: the tap that training starts behind; "" for a deep one where the pictures are like the
            pretraining's, an early one where they are not.
        views: of ``last_blocks``: how many views of each picture are kept as activations, the plain one among them;
            fewer where the disk is too small for so many.
        taps: of ``earlier_layer``: names of taps with commas between; "" for those that err least out of fold.
        lora_rank, lora_alpha, lora_dropout: of ``lora``: rank of the added matrices, their scale times the rank, and
            the share of their inputs that is dropped in training (Hu et al. 2022).
        precision: "auto" takes bf16 on CUDA devices that have it, else full precision.
        processes: how many processes share a step.
        sharded: each of several processes holds a share of every weight, gradient, average and of what the optimizer
            keeps, instead of the whole (FSDP, Zhao et al. 2023): less memory each, more said between them. It is not
            compiled then. A single process holds everything in any case.
        worker_cpus, worker_gpus: what each process gets of a cluster's nodes.
        budget_seconds: training stops after the epoch that passes this; None for no limit.
        predicted_accuracy, predicted_seconds: what the studio expected before the start; ``predicted_low`` to
            ``predicted_high`` is the accuracy's 95 % interval.
        predicted_scale: what the seconds were multiplied by, as earlier runs on this machine had it.
        predicted_memory_mb, predicted_disk_mb: peak memory, and what is kept on the disk, foretold likewise, in
            megabytes.
    """

    dataset: str
    backbone: str
    strategy: str = "linear_head"
    engine: str = "local"
    epochs: int = 10
    batch: int = 32
    accumulate: int = 1
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    layer_decay: float = 0.75
    label_smoothing: float = 0.0
    patience: int = 3
    flip: bool = True
    crop: float = 0.6
    precision: str = "auto"
    framing: str = "crop"
    rotate: float = 0.0
    mixup: float = 0.0
    balance: str = "none"
    ema: float = 0.1
    checkpointing: bool = False
    compile: str = "auto"
    tracker: str = "none"
    wise: bool = True
    cut: str = ""
    views: int = 4
    taps: str = ""
    lora_rank: int = 16
    lora_alpha: float = 16.0
    lora_dropout: float = 0.1
    processes: int = 1
    sharded: bool = False
    worker_cpus: int = 1
    worker_gpus: int = 0
    seed: int = 0
    budget_seconds: float | None = None
    predicted_accuracy: float | None = None
    predicted_low: float | None = None
    predicted_high: float | None = None
    predicted_seconds: float | None = None
    predicted_scale: float | None = None
    predicted_memory_mb: float | None = None
    predicted_disk_mb: float | None = None

    def __post_init__(self) -> None:
        _within("epochs", self.epochs, 1, 200)
        _within("batch", self.batch, 1, 1024)
        _within("accumulate", self.accumulate, 1, 64)
        _within("learning_rate", self.learning_rate, 1e-7, 10)
        _within("weight_decay", self.weight_decay, 0, 1)
        _within("layer_decay", self.layer_decay, 0.01, 1)
        _within("label_smoothing", self.label_smoothing, 0, 0.5)
        _within("patience", self.patience, 0, 200)
        _within("crop", self.crop, 0.05, 1)
        _within("rotate", self.rotate, 0, 180)
        _within("mixup", self.mixup, 0, 2)
        _within("ema", self.ema, 0, 1)
        _within("views", self.views, 1, 64)
        _within("lora_rank", self.lora_rank, 1, 1024)
        _within("lora_alpha", self.lora_alpha, 0.1, 4096)
        _within("lora_dropout", self.lora_dropout, 0, 0.9)
        _within("processes", self.processes, 1, 64)
        _within("worker_cpus", self.worker_cpus, 1, 1024)
        _within("worker_gpus", self.worker_gpus, 0, 16)
        _within("seed", self.seed, 0, 2**31 - 1)
        if self.budget_seconds is not None:
            _within("budget_seconds", self.budget_seconds, 1, 30 * 86400)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("framing", self.framing, FRAMINGS)
        _one_of("balance", self.balance, BALANCES)
        _one_of("compile", self.compile, COMPILING)
        _one_of("tracker", self.tracker, TRACKERS)
        if self.sharded and self.compile == "yes":
            raise BadPlan("A sharded network is not compiled.", "Choose compile auto or no, or turn sharded off.")
        if "/" not in self.backbone:
            raise BadPlan(f"{self.backbone[:80]!r} is not a backbone's id.", "Write it as source/name.")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Plan:
        """The plan that ``as_json`` gave.

        Raises:
            BadPlan: a key is not one of a plan's, or a value has the wrong type.
        """
        if not isinstance(value, dict):
            raise BadPlan(f"{str(value)[:80]!r} is no plan.", "Give an object, as /suggest does.")
        kinds = {field.name: field.type for field in fields(cls)}
        for key, item in value.items():
            if key not in kinds:
                raise BadPlan(f"A plan has no {key[:80]!r}.", f"Use one of: {', '.join(kinds)}.")
            if not _fits(item, str(kinds[key])):
                raise BadPlan(f"{key} is {str(item)[:80]!r}.", f"Give a value of type {kinds[key]}.")
        missing = [name for name in ("dataset", "backbone") if name not in value]
        if missing:
            raise BadPlan(f"The plan lacks {' and '.join(missing)}.", "Name both.")
        return cls(**value)


def _fits(item: object, kind: str) -> bool:
    if item is None:
        return "None" in kind
    if isinstance(item, bool):
        return kind == "bool"
    if isinstance(item, int):
        return kind.startswith(("int", "float"))
    if isinstance(item, float):
        return kind.startswith("float")
    return isinstance(item, str) and kind == "str"


def _within(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise BadPlan(f"{name} is {value}.", f"Choose between {low:g} and {high:g}.")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise BadPlan(f"{name} is {value[:80]!r}.", f"Choose one of: {', '.join(choices)}.")
