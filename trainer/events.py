"""What happens to a run, as values and as JSON lines. The worker writes them; everyone else reads."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Started:
    """A worker took the run up, from its beginning or from a checkpoint at ``step``."""

    step: int
    steps: int
    epochs: int
    device: str
    processes: int
    precision: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where on a cluster it runs from now on: each process's ``rank``, ``node``, that machine's ``kind``, ``pid``."""

    workers: tuple[dict[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """``done`` of ``total`` in a stage before or after the steps: "features", "head", "test", …"""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """One optimizer step; ``loss`` is the mean over its pictures on all processes."""

    step: int
    epoch: int
    loss: float
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass, measured on the select part: accuracies in 0…1, the interval at 95 %.

    ``train_accuracy`` is over augmented training pictures as they were trained on, so a gap to ``accuracy``
    understates overfitting rather than inventing it. ``best`` says that this epoch's weights are kept.

    ``fitted`` is the accuracy on a sample of the training part, shown as the select part is; ``gap`` is how much better
    that is than ``accuracy``, with its interval at 95 %: wholly above 0 it is overfitting as it happens.
    """

    epoch: int
    step: int
    train_loss: float
    train_accuracy: float
    loss: float
    accuracy: float
    interval: tuple[float, float]
    seconds: float
    best: bool
    fitted: float | None = None
    gap: float | None = None
    gap_interval: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Noted:
    """The run decided or found something that a person should know; ``message`` is a sentence or two."""

    step: int
    message: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The classifier is saved and its test part was read, once."""

    test: dict[str, Any]
    seconds: float
    forward_seconds: float
    peak_rss_mb: float
    peak_gpu_mb: float | None = None
    disk_mb: float | None = None


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A person stopped it; the checkpoint of ``step`` is kept and can be resumed."""

    step: int


@dataclass(frozen=True, kw_only=True)
class Failed:
    """It cannot go on; ``problem`` and ``remedy`` are sentences for a person."""

    problem: str
    remedy: str


Event = Started | Placed | Progress | Step | Epoch | Noted | Finished | Stopped | Failed
KINDS: dict[str, type[Event]] = {
    kind.__name__.lower(): kind for kind in (Started, Placed, Progress, Step, Epoch, Noted, Finished, Stopped, Failed)
}
PAIRS = ("interval", "gap_interval", "workers")


def to_line(event: Event) -> str:
    """``event`` as one JSON line with its newline, its kind and the time (seconds since 1970)."""
    value = {"event": type(event).__name__.lower(), "at": round(time.time(), 3)} | asdict(event)
    return json.dumps(value, ensure_ascii=False) + "\n"


def from_line(line: str) -> tuple[float, Event] | None:
    """When it happened, and the event; None for a line cut short by a crash or of a kind not known here."""
    try:
        value = json.loads(line)
        kind = KINDS[value.pop("event")]
        at = float(value.pop("at"))
        known = {field.name for field in fields(kind)}
        value = {name: tuple(item) if name in PAIRS and item else item for name, item in value.items() if name in known}
        return at, kind(**value)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
