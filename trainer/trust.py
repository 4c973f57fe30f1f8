"""Does it know what it does not know? Each class in turn is kept from two detectors, and its pictures shown to them.

The gate and the autoencoder learn the other classes from frozen features, as if this one had never existed; a detector
is good if the pictures of the missing class are newer to it than test pictures of the others. AUROC is the share of
such pairs it orders rightly: 0.5 is a coin toss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.autoencoder import fit_autoencoder
from trainer.novelty import fit_gate

MOST_CLASSES = 12  # classes that take their turn

Rows = NDArray[np.float32]
Ints = NDArray[np.int64]
Detector = Callable[[Rows, Ints, Rows], NDArray[np.float64]]


def by_gate(known: Rows, y: Ints, shown: Rows) -> NDArray[np.float64]:
    """(M,) distance of ``shown`` by a gate that learned ``known``."""
    _, member = np.unique(y, return_inverse=True)
    return fit_gate(known, member, known[:0], int(member.max()) + 1).distance(shown)


def by_autoencoder(known: Rows, _: Ints, shown: Rows) -> NDArray[np.float64]:
    """(M,) how badly an autoencoder of ``known`` rebuilds ``shown``."""
    return fit_autoencoder(known).error(shown)


DETECTORS: dict[str, Detector] = {"gate": by_gate, "autoencoder": by_autoencoder}


@dataclass(frozen=True, kw_only=True)
class Held:
    """One class kept out; ``auroc`` is of each detector."""

    label: str
    pictures: int
    auroc: dict[str, float]


def left_out(x: Rows, y: Ints, learned: NDArray[np.bool_], classes: tuple[str, ...], seed: int = 0) -> Iterator[Held]:
    """Each class's turn, ``MOST_CLASSES`` of them drawn where there are more; those without enough pictures are passed over.

    Args:
        x: (N, D) frozen features; y: (N,) labels.
        learned: (N,) pictures the detectors may learn from; the others judge them, with all pictures of the class
            that is kept out.
    """  # noqa: E501
    rng = np.random.default_rng(seed)
    turns = np.flatnonzero(np.bincount(y, minlength=len(classes)) >= 2)
    for label in np.sort(rng.permutation(turns)[:MOST_CLASSES]):
        missing, known, familiar = y == label, learned & (y != label), ~learned & (y != label)
        if len(np.unique(y[known])) < 2 or not familiar.any():
            continue
        shown = np.concatenate([x[missing], x[familiar]])
        new = np.arange(len(shown)) < missing.sum()
        score = {name: detect(x[known], y[known], shown) for name, detect in DETECTORS.items()}
        yield Held(
            label=classes[label],
            pictures=int(missing.sum()),
            auroc={name: auroc(one[new], one[~new]) for name, one in score.items()},
        )


def compared(turns: list[Held]) -> dict[str, Any]:
    """Both detectors over all turns: mean AUROC with its interval, each class, their paired difference and a verdict.

    The intervals are Student's over the classes: what one more unknown class could have shown. None for one class.
    """
    if not turns:
        return {"classes": [], "detectors": {}, "difference": None, "accepted": "gate", "sentence": TOO_FEW}
    each = {name: np.array([one.auroc[name] for one in turns]) for name in DETECTORS}
    gap = each["autoencoder"] - each["gate"]
    span = _interval(gap)
    return {
        "classes": [{"label": one.label, "pictures": one.pictures, **one.auroc} for one in turns],
        "detectors": {name: {"auroc": float(one.mean()), "interval": _interval(one)} for name, one in each.items()},
        "difference": {"autoencoder_over_gate": float(gap.mean()), "interval": span},
        "accepted": "autoencoder" if span and span[0] > 0 else "gate",
        "sentence": _sentence({name: float(one.mean()) for name, one in each.items()}, span),
    }


TOO_FEW = "Too few classes or pictures to keep one out: what it makes of the unknown was not measured."


def _sentence(mean: dict[str, float], span: list[float] | None) -> str:
    said = (
        f"Shown a class it never learned, the gate finds it newer than a familiar picture {mean['gate']:.0%} of the "
        f"time, the autoencoder {mean['autoencoder']:.0%}"
    )
    if span is None:
        return f"{said}. One class says too little to choose between them, so the gate stays."
    told = f"{100 * span[0]:+.1f} to {100 * span[1]:+.1f} points"
    if span[0] > 0:
        return f"{said}: on these pictures the autoencoder is the better detector ({told})."
    if span[1] < 0:
        return f"{said}: the gate is the better detector ({told}), and stays."
    return f"{said}: no difference that these classes can tell ({told}), so the gate stays."


def auroc(new: NDArray[np.float64], old: NDArray[np.float64]) -> float:
    """Share of pairs in which ``new`` (n,) is above ``old`` (m,), ties counting half (Mann and Whitney 1947)."""
    order = np.sort(old)
    below, upto = np.searchsorted(order, new, "left"), np.searchsorted(order, new, "right")
    return float(((below + upto) / 2).mean() / len(old))


def _interval(values: NDArray[np.float64]) -> list[float] | None:
    from scipy.stats import t

    if len(values) < 2:
        return None
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return [float(values.mean()) - half, float(values.mean()) + half]
