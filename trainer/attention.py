"""Where a network looked, from inside: Grad-CAM for convolutions, attention rollout for transformers; with torch.

Both come with the sanity check of Adebayo et al. (NeurIPS 2018): the same map of the same network with its weights
shuffled. A map that hardly changes shows edges of the picture, not what was learned.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.explain import Map, agreement
from zoo.backbone import Picture, Preprocessing

if TYPE_CHECKING:
    import torch
    from torch import nn

ALIKE = 0.5  # rank correlation from which on a shuffled network's map is the same map


def inside(network: nn.Module, prepared: Picture, how: Preprocessing, label: int, seed: int = 0) -> dict[str, Any]:
    """A map of ``network`` for one prepared picture and class, where its kind of network has one.

    Returns:
        method ("gradcam", "rollout" or "none"), heat (H, W), shuffled (rank correlation with the map of the shuffled
        network, the mean of three) and sane: whether that is below ``ALIKE``.
    """
    x = _input(network, prepared, how)
    method, heat = _map(network, x, label)
    if heat is None:
        return {"method": "none", "heat": None, "shuffled": None, "sane": None}
    others = []
    for turn in range(3):
        _, other = _map(shuffled(network, seed + turn), x, label)
        others.append(agreement(heat, other) if other is not None else 0.0)
    return {"method": method, "heat": heat, "shuffled": float(np.mean(others)), "sane": float(np.mean(others)) < ALIKE}


def _map(network: nn.Module, x: torch.Tensor, label: int) -> tuple[str, Map | None]:
    spatial = _spatial(network, x)
    if spatial is not None:
        return "gradcam", gradcam(network, x, label)
    return "rollout", rollout(network, x)


def gradcam(network: nn.Module, x: torch.Tensor, label: int) -> Map | None:
    """(H, W): activations of the last spatial layer weighted by their gradient's mean, negative parts cut off.

    Selvaraju et al., ICCV 2017. None where the network does not end in a spatial layer.
    """
    import torch

    with torch.enable_grad():
        last = network.forward_features(x).detach().requires_grad_(True)  # type: ignore[operator]
        score = network.forward_head(last)[0, label]  # type: ignore[operator]
        (slope,) = torch.autograd.grad(score, last)
    act, slope = _channels_first(network, last), _channels_first(network, slope)
    heat = (act * slope.mean(dim=(2, 3), keepdim=True)).sum(dim=1)[0].clamp(min=0)
    return np.asarray(heat.detach().float().cpu().numpy(), dtype=np.float64)


def rollout(network: nn.Module, x: torch.Tensor) -> Map | None:
    """(H, W): how attention flows from the patches to what the head reads (Abnar and Zuidema, ACL 2020).

    The heads' mean with the residual path, multiplied up through the layers. None where no attention can be read.
    """
    import torch

    seen = _attentions(network, x)
    if not seen or len({matrix.shape for matrix in seen}) != 1:
        return None
    flow = torch.eye(seen[0].shape[-1])
    for matrix in seen:
        mixed = matrix / 2 + torch.eye(matrix.shape[-1]) / 2
        flow = (mixed / mixed.sum(dim=-1, keepdim=True)) @ flow
    prefix = int(getattr(network, "num_prefix_tokens", 1) or 0)
    read = flow[0, prefix:] if prefix else flow.mean(dim=0)
    side = round(len(read) ** 0.5)
    return np.asarray(read.reshape(side, side).double().numpy()) if side * side == len(read) else None


def shuffled(network: nn.Module, seed: int) -> nn.Module:
    """A copy whose weights hold their own values in random order: their spread stays, what they know goes."""
    import torch

    other = copy.deepcopy(network)
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            order = torch.randperm(parameter.numel(), generator=chance).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
    return other


def _input(network: nn.Module, prepared: Picture, how: Preprocessing) -> torch.Tensor:
    from zoo.network import normalised

    network.eval()
    return normalised(np.array(prepared)[None], how, next(network.parameters()).device)


def _spatial(network: nn.Module, x: torch.Tensor) -> torch.Tensor | None:
    import torch

    with torch.inference_mode():
        last: torch.Tensor = network.forward_features(x)  # type: ignore[operator]
    return last if last.ndim == 4 and min(_channels_first(network, last).shape[2:]) > 1 else None


def _channels_first(network: nn.Module, act: torch.Tensor) -> torch.Tensor:
    return act.permute(0, 3, 1, 2) if getattr(network, "output_fmt", "NCHW") == "NHWC" else act


def _attentions(network: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """(T, T) of each layer, the mean of its heads, by listening where timm's attention drops out."""
    import torch

    found: list[torch.Tensor] = []

    def listen(_: nn.Module, __: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        if out.ndim == 4 and out.shape[-1] == out.shape[-2]:
            found.append(out[0].mean(dim=0).float().cpu())

    modules: list[Any] = [one for one in network.modules() if hasattr(one, "attn_drop") and hasattr(one, "fused_attn")]
    was = [one.fused_attn for one in modules]
    hooks = [one.attn_drop.register_forward_hook(listen) for one in modules]
    try:
        for one in modules:
            one.fused_attn = False
        with torch.inference_mode():
            network.forward_features(x)  # type: ignore[operator]
    finally:
        for hook in hooks:
            hook.remove()
        for one, fused in zip(modules, was, strict=True):
            one.fused_attn = fused
    return found
