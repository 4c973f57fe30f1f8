"""A network cut in two at a tap: the frozen part up to it, and the part behind it, which is trained.

The second half is a copy of the network whose modules before the cut hand on what they are given, so its weights keep
their names. That it makes of the cut's activations what the whole network makes of the pictures is proven each time.
This module imports torch: import it inside functions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import nn

from trainer.sharding import whole
from zoo.errors import BadPlan
from zoo.truncated import place_of

ALIKE = 1e-4  # largest difference of a logit, as a share of the largest, between the whole network and its halves


class _Reached(Exception):
    """The activations at the cut are there; nothing behind it need run."""

    def __init__(self, made: Any) -> None:
        super().__init__()
        self.made = made


@dataclass(frozen=True, eq=False)
class Halves:
    """``whole`` up to the module called ``place``, and ``after``, which eats what that module gives."""

    whole: nn.Module
    place: str
    after: nn.Module

    def activations(self, x: torch.Tensor) -> torch.Tensor:
        """What the cut gives for pictures (B, 3, size, size), in evaluation mode."""
        return _activations(self.whole, self.place, x)

    def joined(self, after: nn.Module) -> nn.Module:
        """The whole network with what ``after``, which is trained, has learned."""
        state = after.state_dict()
        own = self.whole.state_dict().keys()
        self.whole.load_state_dict({name: whole(value) for name, value in state.items() if name in own}, strict=False)
        return self.whole.requires_grad_(False).eval()


def halves(network: nn.Module, tap: int, size: int) -> Halves:
    """``network`` with its last layer in place, cut behind ``tap``; what the second half uses may learn, no more.

    Args:
        size: side of the network's input.

    Raises:
        BadPlan: it has no part behind the tap that can stand alone.
    """
    network.requires_grad_(False).eval()
    place = place_of(network, tap)
    where = next(network.parameters()).device
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)).to(where)
    with torch.no_grad():
        said, tuples = _traced(network, place, x)
        given = _activations(network, place, x)
    for hollow in (True, False):
        after = copy.deepcopy(network)
        _pass_before(after, place, tuples, hollow)
        try:
            made = _learning(after, given)
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
            continue  # it looks into a module that was emptied, or is no chain of modules
        if (made - said).abs().max() <= ALIKE * said.abs().max().clamp_min(1e-6):
            return Halves(network, place, after)
    raise BadPlan(f"{type(network).__name__} cannot be cut behind {place[:60]!r}.", "Choose another cut, or full.")


def _activations(network: nn.Module, place: str, x: torch.Tensor) -> torch.Tensor:
    def stop(_module: nn.Module, _given: object, made: Any) -> None:
        raise _Reached(made[0] if isinstance(made, tuple) else made)

    hook = network.get_submodule(place).register_forward_hook(stop)
    try:
        network.forward_features(x)  # type: ignore[operator]
    except _Reached as reached:
        return reached.made  # type: ignore[no-any-return]
    finally:
        hook.remove()
    raise BadPlan("The cut is never reached.", "Choose another cut.")


def _traced(network: nn.Module, place: str, x: torch.Tensor) -> tuple[torch.Tensor, set[str]]:
    """The network's logits, and which of the modules before the cut give tuples."""
    tuples: set[str] = set()

    def note(name: str) -> Any:
        return lambda _m, _x, made: tuples.add(name) if isinstance(made, tuple) else None

    hooks = [network.get_submodule(name).register_forward_hook(note(name)) for name in _before(network, place)]
    try:
        return network(x), tuples
    finally:
        for hook in hooks:
            hook.remove()


def _learning(after: nn.Module, given: torch.Tensor) -> torch.Tensor:
    """The logits of ``after``; only parameters that have a part in them require gradients from then on."""
    after.requires_grad_(True).eval()
    made: torch.Tensor = after(given)
    made.float().square().sum().backward()
    for parameter in after.parameters():
        parameter.requires_grad_(parameter.grad is not None)
        parameter.grad = None
    return made.detach()


def _before(network: nn.Module, place: str) -> Iterator[str]:
    """Names of the modules that run up to the cut, as large as they can be: siblings on the way there, and itself."""
    parent, path, last = network, list[str](), network.get_classifier()  # type: ignore[operator]
    for part in place.split("."):
        for name, child in parent.named_children():
            if name == part:
                break
            if child is not last:  # which some networks name first
                yield ".".join([*path, name])
        path.append(part)
        parent = parent.get_submodule(part)
    yield place


def _pass_before(after: nn.Module, place: str, tuples: set[str], hollow: bool) -> None:
    """Let what runs up to the cut hand on its input; ``hollow`` modules lose their weights too."""
    for name in list(_before(after, place)):
        hand_on = _in_tuple if name in tuples else _as_it_is
        module = nn.Identity() if hollow else after.get_submodule(name)
        module.forward = MethodType(hand_on, module)
        after.set_submodule(name, module)
    for owner in after.modules():
        if hasattr(type(owner), "_pos_embed"):  # of timm's transformers: adds class token and positions
            owner.__dict__["_pos_embed"] = MethodType(_as_it_is, owner)


def _as_it_is(_self: nn.Module, x: torch.Tensor, *_others: object, **_more: object) -> torch.Tensor:
    return x


def _in_tuple(_self: nn.Module, x: torch.Tensor, *_others: object, **_more: object) -> tuple[torch.Tensor]:
    return (x,)
