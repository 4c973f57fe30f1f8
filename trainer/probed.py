"""Where every fine-tuning starts: the whole network with a head fitted to its frozen features, and how it ends.

Starting from a fitted head keeps the first steps from tearing up the features (Kumar et al., ICLR 2022, LP-FT).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainer.events import Event, Progress, Stopped
from trainer.head import Head, fit_head
from trainer.job import Job, Trained
from trainer.networks import embed, set_head

if TYPE_CHECKING:
    from torch import nn


def probed(job: Job) -> Generator[Event, None, nn.Module | None]:
    """Its value is the network with the head of the probe in place, None after a ``Stopped``."""
    rows = job.split.of("train")  # the select part judges the epochs, so the head may not know it either
    for progress in job.reading(rows):
        yield progress
        if job.stop():
            yield Stopped(step=0)
            return None
    features = job.extractor.rows(rows)
    yield Progress(stage="head", done=0, total=len(rows))
    y, groups, classes = job.dataset.y[rows], job.dataset.groups[rows], len(job.dataset.classes)
    head = next(one for one in fit_head(features.head, y, groups, classes, job.plan.seed) if isinstance(one, Head))
    yield Progress(stage="head", done=len(rows), total=len(rows))
    network = job.backbone.network(classes)
    set_head(network, head.weight, head.bias)
    return network


def trained(job: Job, network: nn.Module) -> Trained:
    """What a strategy hands back of a whole network that learned from the job's pictures."""
    device = next(network.parameters()).device

    def read(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        return embed(network, job.shown(indices), job.preprocessing, device)

    return Trained(network, read, None, job.extractor.seconds)
