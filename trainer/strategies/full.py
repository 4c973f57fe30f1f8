"""Fine-tuning: the head first, from the probe, then every layer by backpropagation, the early ones more gently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trainer.events import Event, Stopped
from trainer.job import Job, Trained
from trainer.probed import probed, trained

if TYPE_CHECKING:
    from torch import nn


class Full:
    """The strategy ``full``."""

    name = "full"
    title = "Fine-tune all layers"
    why = "Much data, or data unlike the pretraining data: every layer may learn, at the risk of overfitting."

    def fit(self, job: Job) -> Iterator[Event | Trained]:
        from trainer.finetune import finetune  # brings torch, which listing the strategies must not

        network: nn.Module | None = None
        for event in probed(job):
            if not isinstance(event, Event):
                network = event.requires_grad_(True)
                continue
            yield event
            if isinstance(event, Stopped):
                return
        assert network is not None
        for event in finetune(job, network):
            if not isinstance(event, Event):
                yield trained(job, event)
                continue
            yield event
            if isinstance(event, Stopped):
                return


STRATEGY = Full()
