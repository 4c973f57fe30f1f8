"""What each process of a run holds of its network: a copy of the whole, or a share of every weight (FSDP).

Shares are those of torch's ``fully_shard`` (Zhao et al., VLDB 2023): a block's weights and gradients are whole only
while it computes; what the optimizer keeps and the moving average of the weights are shared out likewise. Buffers, such
as BatchNorm's statistics, are the first process's on all of them. What leaves the processes is whole: checkpoints, and
the network that was trained. Both kinds have the same functions, and every process calls them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from trainer.plan import Plan
from zoo.errors import BadPlan

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator
    from timm.utils import ModelEmaV3
    from torch import nn
    from torch.distributed.fsdp import MixedPrecisionPolicy

State = dict[str, Any]
Read = Callable[["torch.device"], State | None]

LARGE, SMALL = 0.1, 0.01  # of a network's weights: what is looked into for blocks, what is none
COPIES = "Train copies: turn sharded off."


def holding(plan: Plan, accelerator: Accelerator) -> Copies | Shares:
    """Shares where the plan says so and there are several processes to hold them."""
    return Shares(accelerator) if plan.sharded and accelerator.num_processes > 1 else Copies(accelerator)


def local(value: torch.Tensor) -> torch.Tensor:
    """What this process holds of ``value``: all of it, unless it is shared out."""
    return value.to_local() if hasattr(value, "to_local") else value


def whole(value: torch.Tensor) -> torch.Tensor:
    """``value``, its shares put together where it is shared out: all processes have to ask."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def shared(network: nn.Module) -> bool:
    """Whether other processes hold shares of its weights, and have to take part in all that it does."""
    return any(hasattr(weight, "full_tensor") for weight in network.parameters())


class Copies:
    """The whole network on every process; where there are several, torch's DDP keeps the copies alike."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator

    def spread(self, network: nn.Module, average: ModelEmaV3) -> nn.Module:
        """Put both where they are held; its value is what is called in training."""
        average.to(self._accelerator.device)
        model: nn.Module = self._accelerator.prepare(network)
        return model

    def follow(self, network: nn.Module, average: ModelEmaV3, step: int) -> None:
        """Let ``average`` take in what a step made of ``network``."""
        average.update(network, step=step)

    def whole(self, state: State) -> State:
        """``state`` as it is kept in files; of use to the first process only."""
        return state

    def told(self, read: Read) -> State | None:
        """What ``read`` finds, for ``load`` and ``load_optimizer``."""
        return read(self._accelerator.device)

    def load(self, network: nn.Module, state: State) -> None:
        network.load_state_dict(state)

    def load_optimizer(self, optimizer: torch.optim.Optimizer, state: State) -> None:
        optimizer.load_state_dict(state)

    def done(self, network: nn.Module) -> nn.Module | None:
        """The whole ``network``, which nobody trains any more; None where this process is not to have it."""
        return network


class Shares:
    """A share of every weight on every process. Files are read by the first one, the only one that need see them."""

    def __init__(self, accelerator: Accelerator) -> None:
        from torch.distributed.device_mesh import init_device_mesh

        self._accelerator = accelerator
        self._first = accelerator.is_main_process
        self._mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))

    def spread(self, network: nn.Module, average: ModelEmaV3) -> nn.Module:
        """As of ``Copies``.

        Raises:
            BadPlan: the network has weights that cannot be shared out.
        """
        from torch.distributed.fsdp import MixedPrecisionPolicy, register_fsdp_forward_method

        _check(network)
        self._hollow = _hollow(network)
        self._shard(network, _policy(network, str(self._accelerator.mixed_precision)))
        self._shard(average.module, MixedPrecisionPolicy())
        average.foreach = False  # a list may not hold shares and buffers, which are whole
        for name in ("forward_features", "forward_head"):  # by which it is judged
            register_fsdp_forward_method(average.module, name)
        return network

    def follow(self, network: nn.Module, average: ModelEmaV3, step: int) -> None:
        import torch

        kept = [value for value in network.state_dict().values() if not hasattr(value, "full_tensor")]
        moving = [value for value in kept if value.is_floating_point()]
        if moving:
            flat = torch.cat([value.flatten() for value in moving])
            torch.distributed.broadcast(flat, 0)
            for value, said in zip(moving, flat.split([value.numel() for value in moving]), strict=True):
                value.copy_(said.view_as(value))
        average.update(network, step=step)

    def whole(self, state: State) -> State:
        return {name: self._put_together(value) for name, value in state.items()}

    def told(self, read: Read) -> State | None:
        import torch
        from accelerate.utils import broadcast_object_list

        state = read(torch.device("cpu")) if self._first else None
        (outline,) = broadcast_object_list([_outline(state)])
        return state if self._first else outline

    def load(self, network: nn.Module, state: State) -> None:
        own = network.state_dict()
        network.load_state_dict({name: self._dealt(value, own.get(name)) for name, value in state.items()})

    def load_optimizer(self, optimizer: torch.optim.Optimizer, state: State) -> None:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        kept = {
            number: {name: self._dealt(value, weights[number]) for name, value in values.items()}
            for number, values in state["state"].items()
        }
        optimizer.load_state_dict(state | {"state": kept})

    def done(self, network: nn.Module) -> nn.Module | None:
        import torch

        state, own = self.whole(network.state_dict()), self._hollow.state_dict()
        if not self._first:
            return None
        laid = {  # out in memory as they were
            name: torch.empty_like(own[name], device=self._accelerator.device).copy_(value)
            for name, value in state.items()
        }
        self._hollow.load_state_dict(laid, assign=True)
        return self._hollow.to(self._accelerator.device)

    def _shard(self, network: nn.Module, policy: MixedPrecisionPolicy) -> None:
        """Share out the first process's weights, block by block."""
        import torch
        from torch.distributed.fsdp import fully_shard

        for value in network.state_dict().values():
            there = value.to(self._accelerator.device)
            torch.distributed.broadcast(there, 0)
            value.copy_(there)
        for weight in network.parameters():
            weight.data = weight.data.contiguous()  # channels come first where they are shared out
        for block in list(_blocks(network, network)):
            fully_shard(block, mesh=self._mesh, mp_policy=policy)
        fully_shard(network, mesh=self._mesh, mp_policy=policy, reshard_after_forward=True)

    def _put_together(self, value: Any) -> Any:
        """``value`` with every share in it whole and on the CPU; None in its place on all processes but the first."""
        if isinstance(value, dict):
            return self.whole(value)
        if not hasattr(value, "full_tensor"):
            return value
        together = whole(value)
        return together.cpu() if self._first else None

    def _dealt(self, value: Any, like: Any) -> Any:
        """The first process's ``value``, held as ``like`` is."""
        import torch
        from torch.distributed.tensor import distribute_tensor

        if not _numbers(value):
            return value
        device = self._accelerator.device
        here = (value.to(device) if self._first else torch.empty_like(value, device=device)).contiguous()
        if hasattr(like, "placements") and like.shape == value.shape:
            return distribute_tensor(here, like.device_mesh, like.placements)
        torch.distributed.broadcast(here, 0)
        return here


def _check(network: nn.Module) -> None:
    named = [weight for _, weight in network.named_parameters(remove_duplicate=False)]
    if len(named) > len(set(named)) or any(weight.ndim == 0 for weight in named):
        raise BadPlan("Weights that are single numbers, or that several layers use, cannot be shared out.", COPIES)


def _blocks(module: nn.Module, network: nn.Module) -> Iterator[nn.Module]:
    """The parts of ``module`` whose weights come together at a time; what is small stays with the whole ``network``.

    They are elements of chains of layers, and what stands beside chains. None is parted further than that, for some
    networks reach into a layer for its weights, past what brings them together.
    """
    from torch import nn

    every = _size(network)
    for child in module.children():
        chained = _size(child) > LARGE * every and any(_repeats(part) for part in child.modules())
        if chained or isinstance(child, nn.Sequential | nn.ModuleList | nn.ModuleDict):
            yield from _blocks(child, network)
        elif _size(child) > SMALL * every:
            yield child


def _repeats(module: nn.Module) -> bool:
    """Whether most of it are several parts of one kind, themselves made of parts."""
    sizes: dict[type[nn.Module], list[int]] = {}
    for part in module.children():
        if any(True for _ in part.children()):
            sizes.setdefault(type(part), []).append(_size(part))
    return any(len(alike) > 1 and sum(alike) > _size(module) / 2 for alike in sizes.values())


def _size(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def _policy(network: nn.Module, precision: str) -> MixedPrecisionPolicy:
    """Weights come together in the precision that is computed with; whole ones where BatchNorm's statistics are so."""
    import torch
    from torch.distributed.fsdp import MixedPrecisionPolicy
    from torch.nn.modules.batchnorm import _BatchNorm

    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    if any(isinstance(module, _BatchNorm) for module in network.modules()):
        kind = None
    return MixedPrecisionPolicy(param_dtype=kind, reduce_dtype=torch.float32)


def _hollow(network: nn.Module) -> nn.Module:
    """A copy of ``network`` whose weights take no memory."""
    import torch
    from torch import nn

    memo: dict[int, Any] = {
        id(weight): nn.Parameter(torch.empty_like(weight, device="meta"), weight.requires_grad)
        for weight in network.parameters()
    }
    return copy.deepcopy(network, memo)


def _numbers(value: Any) -> bool:
    """Whether it is a tensor that is sent by itself: of fractions, more than one."""
    return hasattr(value, "is_floating_point") and value.is_floating_point() and value.ndim > 0


def _outline(state: Any) -> Any:
    """``state`` without the numbers in its tensors."""
    import torch

    if isinstance(state, dict):
        return {name: _outline(value) for name, value in state.items()}
    return torch.empty_like(state, device="meta") if _numbers(state) else state
