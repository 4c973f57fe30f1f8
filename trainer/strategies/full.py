"""Fine-tuning: the head first, from the probe, then every layer by backpropagation, the early ones more gently."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.events import Event
from trainer.job import Job, Trained
from trainer.probed import probed, trained


class Full:
    """The strategy ``full``."""

    name = "full"
    title = "Fine-tune all layers"
    why = "Much data, or data unlike the pretraining data: every layer may learn, at the risk of overfitting."

    def fit(self, job: Job) -> Iterator[Event | Trained]:
        from trainer.finetune import finetune  # brings torch, which listing the strategies must not

        network = yield from probed(job)
        if network is not None:
            learned = yield from finetune(job, network.requires_grad_(True))
            if learned is not None:
                yield trained(job, learned)


STRATEGY = Full()
