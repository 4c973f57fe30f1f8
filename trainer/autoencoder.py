"""A small denoising autoencoder on features: what it cannot rebuild is new to it, and its narrowest layer is a map.

D → 256 → k → 256 → D, trained to give back features from a noisy copy (Vincent et al., ICML 2008). Backpropagation
teaches it what the familiar pictures have in common; how badly it rebuilds another picture says how unfamiliar it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from zoo.probe import principal, unit

if TYPE_CHECKING:
    import torch
    from torch import nn

WIDE = 256
CODE = 32  # numbers in the narrowest layer of the detector
NOISE = 0.3  # standard deviations added to what it has to clean
STEPS = 600
BATCH = 128
LARGEST = 20_000  # pictures it learns from: more would not change what they have in common

Rows = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Autoencoder:
    """A trained one.

    Attributes:
        centre: (D,), scale: what brings unit-length features near a spread of one.
        layers: weights (out, in) and biases (out,) of the four linear layers; ReLU follows the first and the third.
    """

    centre: Rows
    scale: float
    layers: tuple[tuple[Rows, Rows], ...]

    def codes(self, x: Rows) -> Rows:
        """(N, k): the narrowest layer for raw features (N, D)."""
        return self._half(self._prepared(x), 0)

    def error(self, x: Rows) -> NDArray[np.float64]:
        """(N,) mean squared error of rebuilding them; about 1 is what the mean of all would err."""
        z = self._prepared(x)
        return np.asarray(((self._half(self._half(z, 0), 2) - z) ** 2).mean(axis=1), dtype=np.float64)

    def _prepared(self, x: Rows) -> Rows:
        return ((unit(x) - self.centre) * self.scale).astype(np.float32)

    def _half(self, z: Rows, first: int) -> Rows:
        (w1, b1), (w2, b2) = self.layers[first : first + 2]
        return np.asarray(np.maximum(z @ w1.T + b1, 0) @ w2.T + b2)


def fit_autoencoder(x: Rows, code: int = CODE, seed: int = 0, steps: int = STEPS) -> Autoencoder:
    """One for raw features (N, D) of familiar pictures; the same seed gives the same.

    Args:
        code: k, the width of the narrowest layer.
    """
    import torch

    rng = np.random.default_rng(seed)
    x = x[np.sort(rng.permutation(len(x))[:LARGEST])]
    rows = unit(x)
    centre = rows.mean(axis=0)
    scale = 1 / max(float(np.sqrt(((rows - centre) ** 2).mean())), 1e-9)
    z = torch.from_numpy(((rows - centre) * scale).astype(np.float32))
    chance = torch.Generator().manual_seed(seed)
    network = _network(z.shape[1], code, chance)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(steps):
        batch = z[torch.randint(len(z), (min(BATCH, len(z)),), generator=chance)]
        noisy = batch + NOISE * torch.randn(batch.shape, generator=chance)
        loss = ((network(noisy) - batch) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return Autoencoder(centre.astype(np.float32), scale, _weights(network))


def planes(x: Rows, widths: Sequence[int], seed: int = 0) -> dict[int, tuple[Rows, float]]:
    """For each width of the narrowest layer a map (N, 2) and the share of the spread that is rebuilt, 0…1.

    A code wider than two numbers is laid flat along its two widest directions (principal components).
    """
    found = {}
    for width in widths:
        machine = fit_autoencoder(x, width, seed)
        codes = machine.codes(x)
        flat = codes - codes.mean(axis=0)
        if width > 2:
            _, _, directions = principal(flat)
            flat = flat @ directions[:2].T
        found[width] = (flat.astype(np.float32), float(np.clip(1 - machine.error(x).mean(), 0, 1)))
    return found


def _network(features: int, code: int, chance: torch.Generator) -> nn.Sequential:
    import torch
    from torch import nn

    wide = min(WIDE, max(features, 2 * code))
    sizes = (features, wide, code, wide, features)
    layers: list[nn.Module] = []
    for place, (into, out) in enumerate(pairwise(sizes)):
        layer = nn.Linear(into, out)
        with torch.no_grad():
            layer.weight.normal_(0, (2 / into) ** 0.5 if place % 2 == 0 else (1 / into) ** 0.5, generator=chance)
            layer.bias.zero_()
        layers += [layer] if place % 2 else [layer, nn.ReLU()]
    return nn.Sequential(*layers)


def _weights(network: nn.Sequential) -> tuple[tuple[Rows, Rows], ...]:
    import torch

    linear = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    return tuple((one.weight.detach().numpy().copy(), one.bias.detach().numpy().copy()) for one in linear)
