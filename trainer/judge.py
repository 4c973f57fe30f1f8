"""How good a network is on pictures it does not learn from, and how much better it is on those it does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainer.batches import Material
from trainer.head import log_loss, softmax
from trainer.job import Job
from trainer.networks import logits
from zoo.errors import BadPlan
from zoo.probe import accuracy_interval

if TYPE_CHECKING:
    import torch
    from torch import nn

SAMPLE = 256  # training pictures that are looked at as the held-out ones are, at most

Right = NDArray[np.bool_]
Pair = tuple[float, float]


@dataclass(frozen=True)
class Measured:
    """On the select part: loss, accuracy, its interval; ``fitted``, ``gap`` and its interval as in ``Epoch``."""

    loss: float
    accuracy: float
    interval: Pair
    fitted: float
    gap: float
    gap_interval: Pair


class Judge:
    """Measures networks of one run.

    Args:
        agreed: what the first of several processes says, on all of them: numbers differ a little between them.
    """

    def __init__(self, job: Job, material: Material, device: torch.device, agreed: Callable[[float], float]) -> None:
        self._job, self._material, self._device, self._agreed = job, material, device, agreed
        self._held, rows = job.split.of("select"), job.split.of("train")
        if not len(self._held):
            raise BadPlan("No picture is left to choose the best epoch by.", "Add pictures: eight a class is a start.")
        count = min(SAMPLE, len(rows), len(self._held))
        self._known = np.sort(np.random.default_rng(job.plan.seed).choice(rows, count, replace=False))

    def loss(self, network: nn.Module) -> float:
        """Log loss on the select part.

        Raises:
            BadPlan: it is no number.
        """
        return self._of(network, self._held)[0]

    def measure(self, network: nn.Module) -> Measured:
        groups = self._job.dataset.groups
        loss, right = self._of(network, self._held)
        _, fitted = self._of(network, self._known)
        interval = accuracy_interval(right, groups[self._held])
        p, q = float(fitted.mean()), float(right.mean())
        between = gap_interval(p, accuracy_interval(fitted, groups[self._known]), q, interval)
        return Measured(loss, q, interval, p, p - q, between)

    def _of(self, network: nn.Module, rows: NDArray[np.int64]) -> tuple[float, Right]:
        y = self._job.dataset.y[rows]
        probabilities = softmax(logits(network, self._material.embed(network, rows, self._device)))
        loss = self._agreed(log_loss(probabilities, y))
        if not math.isfinite(loss):
            raise diverged()
        return loss, probabilities.argmax(axis=1) == y


def gap_interval(p: float, interval: Pair, q: float, other: Pair) -> Pair:
    """95 % interval of the difference of two shares from the interval of each (Newcombe 1998, method 10)."""
    return p - q - math.hypot(p - interval[0], other[1] - q), p - q + math.hypot(interval[1] - p, q - other[0])


def diverged() -> BadPlan:
    return BadPlan("The training diverged: its loss is no number any more.", "Choose a smaller learning rate.")
