"""Fine-tuning from a cut: what comes before it stays as it is, and its activations are kept, so that epochs are cheap.

The head comes first, from the probe. Of each picture a few views go through the frozen part once; training then costs
what lies behind the cut, a fraction of the network. What comes out is the whole network again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from trainer import anatomy
from trainer.events import Event, Noted, Stopped
from trainer.job import Job, Trained
from trainer.probed import probed, trained
from zoo.errors import BadPlan
from zoo.room import amount

if TYPE_CHECKING:
    from torch import nn

    from trainer.halves import Halves
    from trainer.prefix import Activations


class LastBlocks:
    """The strategy ``last_blocks``."""

    name = "last_blocks"
    title = "Train the last blocks"
    why = "Between the two: late layers may learn, early ones stay; far cheaper than training all of them."

    def fit(self, job: Job) -> Iterator[Event | Trained]:
        network = yield from probed(job)
        if network is not None:
            yield from _from_cut(job, network)


def _from_cut(job: Job, network: nn.Module) -> Iterator[Event | Trained]:
    from trainer.finetune import finetune
    from trainer.halves import halves
    from trainer.prefix import Activations
    from zoo.forward import device

    tap = _cut(job)
    anatomy.learn(network, job.card, job.settings)
    parts = halves(network.to(device()), tap, job.preprocessing.size)
    kept = Activations(job, parts, device())
    yield Noted(step=0, message=_said(job, tap, kept))
    for progress in kept.build():
        yield progress
        if job.stop():
            yield Stopped(step=0)
            return
    decay = job.plan.layer_decay ** _share_of_depth(parts)
    job = replace(job, plan=replace(job.plan, layer_decay=max(decay, 0.01)))
    learned = yield from finetune(job, parts.after, kept)
    if learned is not None:
        whole = trained(job, parts.joined(learned))
        yield replace(whole, embed=kept.embedding(learned, whole.embed), kept_bytes=kept.needed)


def _cut(job: Job) -> int:
    """The tap that the plan names, else a deep one, the same for all processes and attempts of a run.

    Raises:
        BadPlan: the backbone has none of that name before its last layer.
    """
    earlier = job.card.taps[:-1]
    if job.plan.cut in earlier:
        return earlier.index(job.plan.cut)
    if job.plan.cut or not earlier:
        raise BadPlan(f"This backbone cannot be cut at {job.plan.cut[:60]!r}.", f"Choose among: {', '.join(earlier)}.")
    return anatomy.told(job.card).deep()


def _share_of_depth(parts: Halves) -> float:
    """How much of the network's groups of layers lie behind the cut: a rate falls by as much on the way there."""
    from trainer.optimizer import depth

    return (depth(parts.after) - 1) / max(depth(parts.whole) - 1, 1)


def _said(job: Job, tap: int, kept: Activations) -> str:
    views = f"{kept.views} views" if kept.views > 1 else "1 view"
    fewer = (
        f" ({job.plan.views} were asked for, and there is no room for so many)" if kept.views < job.plan.views else ""
    )
    return (
        f"What comes up to {job.card.taps[tap]} stays as it is. Its activations of {views} of each picture{fewer} take "
        f"{amount(kept.needed)} on the disk."
    )


STRATEGY = LastBlocks()
