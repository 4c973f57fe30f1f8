"""Feature extraction: the backbone stays as it is, and only a linear layer on its last features is trained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trainer.events import Event, Started, Stopped
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
        everything = np.arange(len(job.dataset))
        for progress in job.reading(everything):
            yield progress
            if job.stop():
                yield Stopped(step=0)
                return
        features: Features = job.extractor.rows(everything)
        head: Head | None = None
        y, groups, classes = job.dataset.y[rows], job.dataset.groups[rows], len(job.dataset.classes)
        for step in fit_head(features.head[rows], y, groups, classes, job.plan.seed):
            if isinstance(step, Head):
                head = step
                continue
            yield step
            if job.stop():
                yield Stopped(step=0)
                return
        assert head is not None
        network = job.backbone.network(classes)
        set_head(network, head.weight, head.bias)
        seconds = job.extractor.seconds
        yield Trained(network, lambda indices: features.head[indices], head.expected, seconds, head.unseen)


STRATEGY = LinearHead()
