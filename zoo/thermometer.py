"""How the pictures differ from the pretraining data by what one network keeps of that: its normalisation's statistics.

A BatchNorm layer stores mean and variance of every channel over the data it was trained on. One network measures every
dataset, so that figures can be compared. Brightness moves them too: this advises and decides nothing.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from zoo import sources
from zoo.backbone import Picture, stack
from zoo.dataset import Dataset
from zoo.errors import BackboneUnavailable
from zoo.pictures import Pictures
from zoo.settings import Settings
from zoo.store import Store, write_bytes

if TYPE_CHECKING:
    import torch
    from torch import nn

THERMOMETER = "embedded/tf_efficientnet_lite0"
PICTURES = 32
RESAMPLES = 200
Arrays = dict[str, NDArray[np.float64]]


def divergence(dataset: Dataset, rows: NDArray[np.int64], store: Store, settings: Settings) -> dict[str, Any] | None:
    """How far some of the pictures at ``rows`` are from the pretraining data; None where the network cannot be had.

    For each channel the Kullback-Leibler divergence of the pictures' normal distribution from the stored one,
    ½ [ln(σs²/σt²) + (σt² + (μt − μs)²)/σs² − 1]; then the median over a layer's channels and the mean over layers.
    Kept by picture and weights. The 95 % interval is of resampled pictures.
    """
    rows = rows[:PICTURES]
    try:
        card = sources.card(THERMOMETER, settings)
        facts = [1, card.revision, [dataset.items[row].sha for row in rows]]
        path = store.features / "thermometer" / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]}.npz"
        found = _known(path)
        if found is None:
            pictures = Pictures.open(store, dataset)
            found = moments([pictures[int(row)] for row in rows], settings)
            _keep(path, found)
    except BackboneUnavailable:
        return None
    value, (low, high) = spread(found)
    return {"kl": value, "interval": [low, high], "pictures": len(rows), "thermometer": THERMOMETER}


def spread(found: Arrays, seed: int = 0) -> tuple[float, tuple[float, float]]:
    """The divergence that ``moments`` tell of, and its 95 % interval over resampled pictures."""
    n = len(found["mean"])
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), RESAMPLES) / n
    values = _divergences(np.vstack([np.full((1, n), 1 / n), times]), found)
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return float(values[0]), (float(low), float(high))


def _divergences(weights: NDArray[np.float64], found: Arrays) -> NDArray[np.float64]:
    """(R,) of R weightings of the pictures."""
    mean, square = weights @ found["mean"], weights @ found["square"]
    there = found["stored_variance"] + found["least"]
    here = np.maximum(square - mean**2, 0) + found["least"]
    each = 0.5 * (np.log(there / here) + (here + (mean - found["stored_mean"]) ** 2) / there - 1)
    layer = found["layer"]
    layers = [np.median(each[:, layer == number], axis=1) for number in np.unique(layer)]
    value: NDArray[np.float64] = np.mean(layers, axis=0)
    return value


def moments(pictures: Sequence[Picture], settings: Settings) -> Arrays:
    """Of every channel before its BatchNorm: (n, K) mean and mean square of each picture, and (K,) what is stored.

    ``least`` is what a layer adds to a variance before it divides by it, so that silent channels do no harm.
    """
    import torch

    backbone = sources.load(THERMOMETER, settings)
    model: nn.Module = backbone.model  # type: ignore[attr-defined]
    layers = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    seen: dict[str, list[NDArray[np.float64]]] = {"mean": [], "square": []}

    def look(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        seen["mean"].append(given[0].mean(dim=(2, 3)).double().cpu().numpy())
        seen["square"].append(given[0].square().mean(dim=(2, 3)).double().cpu().numpy())

    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    backbone.forward(stack(backbone, pictures))
    for hook in hooks:
        hook.remove()
    stored = {"stored_mean": "running_mean", "stored_variance": "running_var"}
    return (
        {name: np.concatenate(parts, axis=1) for name, parts in seen.items()}
        | {name: np.concatenate([_numbers(getattr(layer, key)) for layer in layers]) for name, key in stored.items()}
        | {"layer": _each(layers, range(len(layers))), "least": _each(layers, [layer.eps for layer in layers])}
    )


def _each(layers: Sequence[nn.BatchNorm2d], values: Sequence[float]) -> NDArray[np.float64]:
    """(K,) each layer's value, for each of its channels."""
    return np.repeat(np.array(values, dtype=np.float64), [layer.num_features for layer in layers])


def _numbers(values: torch.Tensor) -> NDArray[np.float64]:
    return np.asarray(values.double().cpu().numpy())


def _keep(path: Path, found: Arrays) -> None:
    content = io.BytesIO()
    np.savez_compressed(
        content, allow_pickle=False, **{name: values.astype(np.float32) for name, values in found.items()}
    )
    with suppress(OSError):  # a full disk: measured again next time
        write_bytes(path, content.getvalue())


def _known(path: Path) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            return {name: kept[name].astype(np.float64) for name in kept.files}
    except (OSError, ValueError, KeyError, BadZipFile):
        return None
