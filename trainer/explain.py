"""Where a classifier looked: what happens to its answer when parts of the picture are taken away.

Occlusion (Zeiler and Fergus, ECCV 2014) needs nothing but answers, so it is the reference for every other map. The
deletion test (Petsiuk et al., BMVC 2018) says whether a map points at what matters. Pure arithmetic on answers.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.backbone import Picture
from zoo.probe import unit

GRID = 8  # parts along each side
STEPS = 8  # of the deletion test
CHANCES = 4  # random orders that a map is held against

Map = NDArray[np.float64]
Ask = Callable[[NDArray[np.uint8]], NDArray[np.float64]]  # (N, size, size, 3) prepared pictures → (N, C) probabilities


def occlusion(ask: Ask, prepared: Picture, label: int) -> Map:
    """(GRID, GRID): how much less probable ``label`` is with that part greyed out; below 0 where it is more so."""
    boxes = _boxes(prepared.shape[0])
    shown = np.repeat(prepared[None], len(boxes) + 1, axis=0)
    for one, (top, left, bottom, right) in zip(shown[1:], boxes, strict=True):
        one[top:bottom, left:right] = _grey(prepared)
    said = ask(shown)[:, label]
    return np.asarray(said[0] - said[1:]).reshape(GRID, GRID)


def by_chance(ask: Ask, prepared: Picture, label: int, seed: int = 0) -> NDArray[np.float64]:
    """(CHANCES,) mean probability of ``label`` while parts go in random orders: what every map is held against."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(GRID * GRID) for _ in range(CHANCES)]
    return np.asarray(_curves(ask, prepared, label, orders).mean(axis=1))


def deletion(
    ask: Ask, prepared: Picture, label: int, heat: Map, chance: NDArray[np.float64] | None = None
) -> dict[str, Any]:
    """How fast ``label`` is lost when parts go in the order of ``heat``, against random orders.

    Args:
        chance: ``by_chance`` of this picture, where it is known from another map.

    Returns:
        area and chance: mean probability while parts are taken away, by the map and by ``CHANCES`` random orders;
        faithful: whether the map's is the lower one in all of them; curve: probabilities from all to nothing.
    """
    known = by_chance(ask, prepared, label) if chance is None else chance
    (curve,) = _curves(ask, prepared, label, [np.argsort(-at_grid(heat).ravel(), kind="stable")])
    area = float(curve.mean())
    return {
        "area": area,
        "chance": float(known.mean()),
        "faithful": bool((area < known).all()),
        "curve": curve.tolist(),
    }


def _curves(ask: Ask, prepared: Picture, label: int, orders: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """(orders, STEPS + 1) probabilities."""
    said = ask(np.concatenate([_taken_away(prepared, order) for order in orders]))[:, label]
    return np.asarray(said.reshape(len(orders), STEPS + 1))


def agreement(one: Map, other: Map) -> float:
    """Spearman's rank correlation of two maps on the occlusion's grid, −1…1; 0 where either is flat."""
    from scipy.stats import spearmanr

    a, b = at_grid(one).ravel(), at_grid(other).ravel()
    if np.ptp(a) < 1e-12 or np.ptp(b) < 1e-12:
        return 0.0
    return float(spearmanr(a, b).statistic)


def at_grid(heat: Map) -> Map:
    """``heat`` (H, W) as (GRID, GRID)."""
    return heat if heat.shape == (GRID, GRID) else _stretched(heat, GRID)


def overlay(prepared: Picture, heat: Map) -> Picture:
    """``prepared`` with what spoke for the label in colour and the rest greyed; nothing is lit where no part did."""
    lit = np.clip(_stretched(np.maximum(heat, 0), prepared.shape[0]), 0, None)
    share = (lit / lit.max() if lit.max() > 0 else lit)[..., None] ** 0.7
    grey = prepared.mean(axis=2, keepdims=True) * 0.45 + 60
    glow = np.array([255, 170, 40])
    mixed = grey * (1 - share) + (0.72 * prepared + 0.28 * glow) * share
    return np.asarray(np.clip(mixed, 0, 255), dtype=np.uint8)


def nearest(row: NDArray[np.floating], known: NDArray[np.floating], count: int = 5) -> list[tuple[int, float]]:
    """Places and cosines of the ``count`` rows of ``known`` (N, D) that are most like ``row`` (D,), best first."""
    if not known.size:
        return []
    likeness = (unit(known.astype(np.float32)) @ unit(row[None].astype(np.float32)).T)[:, 0]
    order = np.argsort(-likeness, kind="stable")[:count]
    return [(int(place), float(likeness[place])) for place in order]


def _boxes(size: int) -> list[tuple[int, int, int, int]]:
    edges = np.linspace(0, size, GRID + 1).round().astype(int)
    spans = list(pairwise(int(edge) for edge in edges))
    return [(top, left, bottom, right) for top, bottom in spans for left, right in spans]


def _grey(prepared: Picture) -> NDArray[np.uint8]:
    return np.asarray(prepared.reshape(-1, 3).mean(axis=0).round(), dtype=np.uint8)


def _taken_away(prepared: Picture, order: NDArray[np.int64]) -> NDArray[np.uint8]:
    """(STEPS + 1, size, size, 3): whole, then with more and more parts greyed, in ``order``."""
    boxes, shown = _boxes(prepared.shape[0]), [prepared.copy()]
    for part in np.array_split(order, STEPS):
        less = shown[-1].copy()
        for place in part:
            top, left, bottom, right = boxes[place]
            less[top:bottom, left:right] = _grey(prepared)
        shown.append(less)
    return np.stack(shown)


def _stretched(heat: Map, side: int) -> Map:
    from PIL import Image

    image = Image.fromarray(np.asarray(heat, dtype=np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), dtype=np.float64)
