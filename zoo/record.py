"""The studio's own record on this machine: what it foretold of runs against what they then achieved.

Whether a measure ranks well is told by Kendall's tau between it and the achieved test accuracy: 1 where every pair of
runs is in the foretold order, 0 where the order is chance, −1 where it is reversed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.float64]  # (runs, 2): foretold, achieved

FORETOLD = "accuracy"
MEASURES = {
    FORETOLD: "accuracy foretold by the probe",
    "knn": "nearest neighbours",
    "logme": "LogME",
    "hscore": "H-score",
    "leep": "LEEP",
    "nce": "NCE",
    "transrate": "TransRate",
    "params": "size alone (parameters)",
}
FEWEST_RUNS, FEWEST_PAIRS, RESAMPLES = 8, 12, 400


def outcomes(runs: Iterable[Mapping[str, Any]], comparisons: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """``runs`` with what comparisons of the same pictures and split had measured of their backbones.

    Args:
        runs: finished ones: dataset, backbone, strategy, seed, n, achieved, predicted, low and high.
        comparisons: what ``Comparison.as_json`` gave, newest first.
    """
    known: dict[tuple[Any, ...], Mapping[str, Any]] = {}
    for found in comparisons:
        for row in found.get("backbones", []):
            known.setdefault((found.get("dataset"), found.get("seed"), row["id"]), row)
    measured = [known.get((run["dataset"], run["seed"], run["backbone"]), {}) for run in runs]
    return [
        {**run, "measures": {name: row.get(name) for name in MEASURES if name != FORETOLD}}
        for run, row in zip(runs, measured, strict=True)
    ]


def record(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How good the studio's forecasts were.

    Args:
        rows: as ``outcomes`` gives them.

    Returns:
        runs; of those with a forecast: forecasts, error (median, in 0…1) and within (how many achieved an accuracy in
        the foretold interval); agreement, for each measure name, title, runs, pairs, tau and interval, both None where
        there are too few yet.
    """
    told = [row for row in rows if row.get("predicted") is not None]
    errors = [abs(row["predicted"] - row["achieved"]) for row in told]
    within = [row for row in told if row.get("low") is not None and row["low"] <= row["achieved"] <= row["high"]]
    return {
        "runs": len(rows),
        "forecasts": len(told),
        "error": float(np.median(errors)) if errors else None,
        "within": len(within),
        "agreement": [
            {"name": name, "title": title} | agreement(_blocks(rows, name)) for name, title in MEASURES.items()
        ],
        "points": [{key: row[key] for key in ("backbone", "strategy", "predicted", "achieved")} for row in told],
    }


def agreement(blocks: Sequence[Block], seed: int = 0) -> dict[str, Any]:
    """Kendall's tau-b over the pairs within each block, with the 95 % interval of a bootstrap over runs."""
    blocks = [block for block in blocks if len(block) > 1]
    runs, pairs = sum(map(len, blocks)), sum(_pairs(block) for block in blocks)
    nothing = {"runs": runs, "pairs": pairs, "tau": None, "interval": None}
    if runs < FEWEST_RUNS or pairs < FEWEST_PAIRS:
        return nothing
    found = _tau(blocks)
    rng = np.random.default_rng(seed)
    drawn = [_tau([block[rng.integers(len(block), size=len(block))] for block in blocks]) for _ in range(RESAMPLES)]
    certain = [tau for tau in drawn if tau is not None]
    if found is None or not certain:
        return nothing
    low, high = np.percentile(certain, [2.5, 97.5])
    return nothing | {"tau": found, "interval": [float(low), float(high)]}


def _blocks(rows: Sequence[Mapping[str, Any]], name: str) -> list[Block]:
    """Runs whose measures may be set against each other, those of one arm made one by their means.

    Accuracies mean the same on all pictures. A score is comparable within one dataset only, trained the same way.
    """
    arms: dict[tuple[str, ...], dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        value = row.get("predicted") if name == FORETOLD else row["measures"].get(name)
        if value is not None:
            place = (row["dataset"], row["strategy"])
            block = () if name == FORETOLD else place
            arms[block][" ".join((*place, row["backbone"]))].append((float(value), float(row["achieved"])))
    return [np.array([np.mean(arm, axis=0) for arm in block.values()]) for block in arms.values()]


def _pairs(block: Block) -> int:
    return len(block) * (len(block) - 1) // 2


def _tau(blocks: Sequence[Block]) -> float | None:
    """The blocks' taus, weighted by their pairs; None where no block has two different values on either side."""
    from scipy.stats import kendalltau

    taus = [(float(kendalltau(block[:, 0], block[:, 1]).statistic), _pairs(block)) for block in blocks]
    sure = [(tau, pairs) for tau, pairs in taus if np.isfinite(tau)]
    return sum(tau * pairs for tau, pairs in sure) / sum(pairs for _, pairs in sure) if sure else None
