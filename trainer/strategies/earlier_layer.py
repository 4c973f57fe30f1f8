"""Feature extraction from an earlier activation: a linear layer on the best tap, or on three joined; the rest goes.

The later layers of a network know the pictures it was pretrained on (Yosinski et al. 2014). Where new pictures are
unlike those, middle layers serve better; what comes after the deepest tap in use is neither run nor saved. Joined with
the last, earlier ones often add to it on pictures that are alike too (Evci et al. 2022, Head2Toe).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainer.events import Epoch, Event, Noted, Progress, Started, Stopped
from trainer.head import CANDIDATES, Head, fit_head
from trainer.job import Job, Trained
from trainer.networks import set_head
from trainer.tapsets import asked, sets_worth
from zoo.errors import BadPlan
from zoo.features import Features
from zoo.judging import side_by_side

if TYPE_CHECKING:
    from torch import nn

WORSE = 1.05  # a shallower network is taken where its loss is at most this much of the least


@dataclass(frozen=True)
class Tried:
    """A set of taps, with the head fitted to them and its loss out of fold."""

    taps: tuple[int, ...]
    head: Head
    loss: float


class EarlierLayer:
    """The strategy ``earlier_layer``."""

    name = "earlier_layer"
    title = "Train on an earlier activation"
    why = "Little data that middle layers know better, alone or joined with the last; the network ends at the deepest."

    def fit(self, job: Job) -> Iterator[Event | Trained]:
        everything = np.arange(len(job.dataset))
        for progress in job.reading(everything):
            yield progress
            if job.stop():
                yield Stopped(step=0)
                return
        features = job.extractor.rows(everything)
        rows = job.split.of("train", "select")
        y, groups = job.dataset.y[rows], job.dataset.groups[rows]
        sets = asked(job.plan.taps, job.card.taps) or worth_trying(features, rows, y, groups)
        steps = CANDIDATES * len(sets)
        yield Started(step=0, steps=steps, epochs=steps, device="cpu", processes=1, precision="no", pid=job.pid)
        tried: list[Tried] = []
        for taps in sets:
            for event in _fitted(job, features, rows, taps, len(tried) * CANDIDATES):
                if isinstance(event, Tried):
                    tried.append(event)
                    continue
                yield event
                if job.stop():
                    yield Stopped(step=0)
                    return
        best = chosen(tried, len(rows))
        yield Noted(step=steps, message=_said(job.card.taps, best, tried))
        yield Progress(stage="network", done=0, total=1)
        network = _network(job, best)
        joined = _joined(features, best.taps)
        head = best.head
        yield Trained(network, lambda indices: joined[indices], head.expected, job.extractor.seconds, head.unseen)


def worth_trying(
    features: Features, rows: NDArray[np.int64], y: NDArray[np.int64], groups: NDArray[np.int64]
) -> list[tuple[int, ...]]:
    """``sets_worth`` by a closed-form probe at each tap, which costs little beside fitting a head to each set."""
    from zoo.probe import ridge

    earlier = len(features.taps) - 1
    if not earlier:
        raise BadPlan("This backbone is read at its last layer only.", "Choose the strategy linear_head.")
    return sets_worth([ridge(tap[rows], y, groups).accuracy for tap in features.taps[:earlier]], len(rows))


def chosen(tried: list[Tried], pictures: int) -> Tried:
    """The shallowest about as good as the one with the least loss: within a standard error, and little more loss."""
    best = min(tried, key=lambda one: one.loss)
    share = best.head.expected
    error = float(np.sqrt(share * (1 - share) / pictures))
    good = [one for one in tried if one.head.expected >= share - error and one.loss <= WORSE * best.loss]
    return min(good, key=lambda one: (one.taps[-1], len(one.taps), one.loss))


def _fitted(
    job: Job, features: Features, rows: NDArray[np.int64], taps: tuple[int, ...], before: int
) -> Iterator[Epoch | Tried]:
    """Fit a head to ``taps``, each scaled to the same spread, which its weights then undo."""
    parts = [features.taps[tap][rows] for tap in taps]
    x, scales = side_by_side(parts)
    y, groups, classes = job.dataset.y[rows], job.dataset.groups[rows], len(job.dataset.classes)
    losses: list[float] = []
    for step in fit_head(x, y, groups, classes, job.plan.seed):
        if isinstance(step, Epoch):
            losses.append(step.loss)
            number = before + step.epoch
            yield Epoch(**vars(step) | {"epoch": number, "step": number})
            continue
        shrunk = np.repeat(scales, [part.shape[1] for part in parts]).astype(np.float32)
        yield Tried(taps, replace(step, weight=step.weight / shrunk), min(losses))


def _joined(features: Features, taps: tuple[int, ...]) -> NDArray[np.float32]:
    return features.taps[taps[0]] if len(taps) == 1 else np.hstack([features.taps[tap] for tap in taps])


def _network(job: Job, best: Tried) -> nn.Module:
    from zoo.truncated import truncated

    classes, count = len(job.dataset.classes), len(job.card.taps)
    whole = job.backbone.network(classes)
    size = job.preprocessing.size
    network = whole if best.taps == (count - 1,) else truncated(whole, best.taps, count, size, classes)
    set_head(network, best.head.weight, best.head.bias)
    return network


def _said(names: tuple[str, ...], best: Tried, tried: list[Tried]) -> str:
    where = ", ".join(names[tap] for tap in best.taps)
    others = "; ".join(
        f"{', '.join(names[tap] for tap in one.taps)}: {one.loss:.3f}" for one in tried if one is not best
    )
    told = f"The classifier reads {where}, whose loss out of fold is {best.loss:.3f}."
    return f"{told} Others tried: {others}." if others else told


STRATEGY = EarlierLayer()
