"""Feature extraction: the backbone stays as it is, and only a linear layer on its last features is trained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trainer.events import Epoch, Event, Progress, Started, Stopped
from trainer.head import CANDIDATES, Head, fit_head
from trainer.job import Job, Trained
from trainer.networks import set_head
from zoo.features import Features


class LinearHead:
    """The strategy ``linear_head``."""

    name = "linear_head"
    title = "Train the last linear layer"
    why = "Little data like the pretraining data: few weights, so little to overfit, and it takes seconds."

    def fit(self, job: Job) -> Iterator[Event | Trained]:
        rows = job.split.of("train", "select")
        yield Started(
            step=0,
            steps=CANDIDATES,
            epochs=CANDIDATES,
            device="cpu",
            processes=1,
            precision="no",
            pid=job.pid,
        )
        yield Progress(stage="features", done=0, total=len(job.dataset))
        seconds = 0.0
        everything = np.arange(len(job.dataset))
        for first in range(0, len(everything), 128):  # in pieces, so that progress is seen and a stop is heard
            if job.stop():
                yield Stopped(step=0)
                return
            piece = job.extractor.rows(everything[first : first + 128])
            seconds += piece.seconds
            yield Progress(stage="features", done=min(first + 128, len(everything)), total=len(everything))
        features: Features = job.extractor.rows(everything)
        head: Head | None = None
        y, groups, classes = job.dataset.y[rows], job.dataset.groups[rows], len(job.dataset.classes)
        for step in fit_head(features.head[rows], y, groups, classes, job.plan.seed):
            if isinstance(step, Epoch):
                yield step
            else:
                head = step
        assert head is not None
        network = job.backbone.network(classes)
        set_head(network, head.weight, head.bias)
        yield Trained(network, lambda indices: features.head[indices], head.expected, seconds)


STRATEGY = LinearHead()
