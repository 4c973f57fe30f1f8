"""On the way from the start of training to its end there may be a network better than both.

WiSE-FT (Wortsman et al., CVPR 2022): weights between those of the probe and those that were trained, chosen by
pictures that neither has learned from. It costs as many looks at them as there are stations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from trainer.events import Event, Noted, Progress
from trainer.sharding import local

if TYPE_CHECKING:
    import torch
    from torch import nn

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8)  # of the way; the end itself is known already

Weights = dict[str, "torch.Tensor"]


def weights_of(network: nn.Module) -> Weights:
    """A copy of everything in ``network`` that training may change, on the CPU; of shares, those held here."""
    return {name: local(value.detach()).to("cpu", copy=True) for name, value in network.state_dict().items()}


def place(network: nn.Module, start: Weights, end: Weights, share: float) -> None:
    """Put ``network`` at ``share`` of the way from ``start`` to ``end``; what is no fraction is taken from the end."""
    import torch

    with torch.no_grad():
        for name, value in network.state_dict().items():
            there = end[name]
            local(value).copy_(torch.lerp(start[name], there, share) if there.is_floating_point() else there)


def interpolated(
    network: nn.Module, start: Weights, loss: Callable[[nn.Module], float], at_end: float, step: int
) -> Iterator[Event]:
    """Move ``network``, which stands at the end, to where ``loss`` is least; equal losses stay nearer the end.

    Args:
        loss: of held-out pictures, the same on every process.
        at_end: that loss where it stands now.
    """
    end = weights_of(network)
    best, least = 1.0, at_end
    for number, share in enumerate(reversed(SHARES)):
        yield Progress(stage="interpolation", done=number, total=len(SHARES))
        place(network, start, end, share)
        found = loss(network)
        if found < least:
            best, least = share, found
    yield Progress(stage="interpolation", done=len(SHARES), total=len(SHARES))
    place(network, start, end, best)
    yield Noted(step=step, message=_said(best, least, at_end))


def _said(share: float, least: float, at_end: float) -> str:
    if share == 1:
        return "No network between the probe and the end of training errs less than the end: that is kept."
    if share == 0:
        return (
            "Training gave nothing: the probe it began from errs least on the pictures to choose by "
            f"(loss {abs(least):.3f}, {at_end:.3f} at the end), so it is kept."
        )
    return (
        f"At {share:.0%} of the way from the probe to the end of training it errs least on the pictures to choose by "
        f"(loss {abs(least):.3f}, {at_end:.3f} at the end): that network is kept (WiSE-FT)."
    )
