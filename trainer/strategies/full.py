"""Fine-tuning: the head first, from the probe, then every layer by backpropagation, the early ones more gently.

Starting from a fitted head keeps the first steps from tearing up the features (Kumar et al., ICLR 2022).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainer.events import Epoch, Event, Progress, Stopped
from trainer.head import Head, fit_head
from trainer.job import Job, Trained
from trainer.networks import embed, set_head


class Full:
    """The strategy ``full``."""

    name = "full"
    title = "Fine-tune all layers"
    why = "Much data, or data unlike the pretraining data: every layer may learn, at the risk of overfitting."

    def fit(self, job: Job) -> Iterator[Event | Trained]:
        from trainer.finetune import finetune  # brings torch, which listing the strategies must not

        rows = job.split.of("train")  # the select part judges the epochs, so the head may not know it either
        for progress in job.reading(rows):
            yield progress
            if job.stop():
                yield Stopped(step=0)
                return
        features = job.extractor.rows(rows)
        yield Progress(stage="head", done=0, total=len(rows))
        head: Head | None = None
        y, groups, classes = job.dataset.y[rows], job.dataset.groups[rows], len(job.dataset.classes)
        for step in fit_head(features.head, y, groups, classes, job.plan.seed):
            head = step if not isinstance(step, Epoch) else head
        assert head is not None
        yield Progress(stage="head", done=len(rows), total=len(rows))
        network = job.backbone.network(classes)
        set_head(network, head.weight, head.bias)
        network.requires_grad_(True)
        for event in finetune(job, network):
            if isinstance(event, Event):
                yield event
                if isinstance(event, Stopped):
                    return
            else:
                network = event
        device = next(network.parameters()).device

        def read(indices: NDArray[np.int64]) -> NDArray[np.float32]:
            return embed(network, job.shown(indices), job.preprocessing, device)

        yield Trained(network, read, None, job.extractor.seconds)


STRATEGY = Full()
