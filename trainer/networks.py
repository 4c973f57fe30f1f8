"""Reading and writing a network's last linear layer, and running what comes before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.acceleration import keep_nothing, out_of_memory, release
from trainer.sharding import shared, whole
from zoo.backbone import Picture, Preprocessing
from zoo.errors import BadPlan

if TYPE_CHECKING:
    import torch
    from torch import nn

BATCH = 16
DEVICE_BATCH = 64  # on a GPU, whose cores sixteen pictures leave idle


def last_layer(network: nn.Module) -> Any:
    """The linear layer over the classes.

    Raises:
        BadPlan: the network ends in something else.
    """
    from torch import nn

    layer = network.get_classifier()  # type: ignore[operator]
    if not isinstance(layer, nn.Linear):
        raise BadPlan("This network does not end in a linear layer.", "Choose another backbone.")
    return layer


def set_head(network: nn.Module, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    """Give the last layer these values, (C, D) and (C,)."""
    import torch

    layer = last_layer(network)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))


def logits(network: nn.Module, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, C): what the last layer makes of ``rows`` (N, D), in double precision."""
    layer = last_layer(network)
    weight, bias = (whole(part.detach()).cpu().double().numpy() for part in (layer.weight, layer.bias))
    return np.asarray(rows.astype(np.float64) @ weight.T + bias)


def soften(network: nn.Module, temperature: float) -> None:
    """Divide the logits by ``temperature``, inside the last layer, so that every loader's softmax is calibrated."""
    import torch

    layer = last_layer(network)
    with torch.no_grad():
        layer.weight.div_(temperature)
        layer.bias.div_(temperature)


def embed(
    network: nn.Module, pictures: list[Picture], preprocessing: Preprocessing, device: torch.device
) -> NDArray[np.float32]:
    """(N, D): what the last layer reads of each picture, in evaluation mode."""
    rows = [np.asarray(batch) for batch in embedded(network, pictures, preprocessing, device)]
    return np.concatenate(rows) if rows else np.zeros((0, last_layer(network).in_features), dtype=np.float32)


def embedded(
    network: nn.Module, pictures: list[Picture], preprocessing: Preprocessing, device: torch.device
) -> Iterator[NDArray[np.float32]]:
    """The same, a batch at a time; in smaller ones where memory runs out, unless other processes share the network."""
    from zoo.forward import keep_freed_memory

    keep_freed_memory()
    network.eval()
    size, first = BATCH if device.type == "cpu" else DEVICE_BATCH, 0
    while first < len(pictures):
        try:
            rows = _read(network, pictures[first : first + size], preprocessing, device)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or size == 1 or shared(network):
                raise
            rows = None
        if rows is None:
            size = max(1, size // 2)
            keep_nothing()
            release()
            continue
        first += size
        yield rows


def _read(
    network: nn.Module, pictures: list[Picture], preprocessing: Preprocessing, device: torch.device
) -> NDArray[np.float32]:
    import torch

    from zoo.network import fit, normalised

    batch = np.stack([fit(picture, preprocessing) for picture in pictures])
    with torch.inference_mode():
        x = network.forward_features(normalised(batch, preprocessing, device))  # type: ignore[operator]
        found: torch.Tensor = network.forward_head(x, pre_logits=True)  # type: ignore[operator]
        return np.asarray(found.flatten(1).float().cpu().numpy())
