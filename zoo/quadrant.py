"""Where a dataset stands on the map of transfer learning: how much data × how like the pretraining data.

Theory says: little and alike, train the last linear layer; little and unlike, train from an earlier activation; much,
fine-tune the whole network. Alike is measured by depth: where features of an earlier tap serve better than the last
ones, the network's last layers know something these pictures do not need (Yosinski et al. 2014).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.resample import gain_of_best

LITTLE, MUCH = 2_000, 10_000  # pictures; defaults to be calibrated on more datasets
LITTLE_A_CLASS, MUCH_A_CLASS = 50, 200
HALF_A_POINT = 0.005
PHOTOS = 0.15  # the thermometer above which pictures are no everyday photos: 0.06 and 0.33 were measured

THEORY = {
    ("little", "alike"): "Theory: train only the last linear layer on extracted features; more would overfit.",
    ("little", "unlike"): "Theory: train a classifier on an earlier activation; the last layers know other things.",
    ("much", "alike"): "Theory: there is enough data to fine-tune all layers.",
    ("much", "unlike"): "Theory: fine-tune the whole network; it has to learn features these pictures need.",
    ("little", "uncertain"): "Theory: with this little data, start with the last linear layer.",
    ("much", "uncertain"): "Theory: with this much data, fine-tune all layers.",
}


@dataclass(frozen=True, kw_only=True)
class Quadrant:
    """The dataset's dot on the map, with its uncertainty.

    Attributes:
        p_alike: probability that no earlier tap beats the last by half a point or more.
        p_large: 0 for little data, 1 for much, in between on a logarithmic scale.
        cell: "little, alike", "much, unlike", "little, uncertain", …
        gain: what the best tap gains over the last, cleared of having been picked, with its 95 % interval.
        slope: accuracy gained from half of the pictures to all of them; None where it was not measured.
        d2: how far the pictures are from the pretraining data by a network's stored statistics; see ``thermometer``.
        d3: how unsure the best backbone's pretrained head is of them; see ``judging.doubt``. Both only advise.
    """

    p_alike: float
    p_large: float
    cell: str
    gain: float
    gain_interval: tuple[float, float]
    slope: float | None
    sentence: str
    d2: dict[str, Any] | None = None
    d3: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        told = asdict(self)
        for name, said in (("d2", said_of_statistics(self.d2)), ("d3", said_of_head(self.d3))):
            told[name] = told[name] and told[name] | {"sentence": said}
        return told


def place(
    right: NDArray[np.bool_],
    groups: NDArray[np.int64],
    counts: NDArray[np.int64],
    slope: float | None,
    seed: int = 0,
) -> Quadrant:
    """The quadrant of a dataset.

    Args:
        right: (T, N) whether each tap's probe, first to last, is right on each left-out picture.
        groups: (N,) groups that are resampled whole.
        counts: (C,) pictures of each class in the whole dataset.
        slope: accuracy at N minus accuracy at N/2.
    """
    gain = gain_of_best(right, groups, seed)
    gain = gain if len(gain) else np.array([-1.0, 1.0])  # one group alone: nothing is known
    low, high = (float(value) for value in np.percentile(gain, [2.5, 97.5]))
    likeness = "unlike" if low > 0 else "alike" if high < HALF_A_POINT else "uncertain"
    p_large = min(_between(counts.sum(), LITTLE, MUCH), _between(np.median(counts), LITTLE_A_CLASS, MUCH_A_CLASS))
    amount = "much" if p_large >= 0.5 else "little"
    return Quadrant(
        p_alike=float((gain < HALF_A_POINT).mean()),
        p_large=p_large,
        cell=f"{amount}, {likeness}",
        gain=float(gain.mean()),
        gain_interval=(low, high),
        slope=slope,
        sentence=THEORY[amount, likeness],
    )


def said_of_statistics(d2: dict[str, Any] | None) -> str:
    """What the thermometer says, in a sentence; "" where it was not read."""
    if not d2:
        return ""
    low, high = d2["interval"]
    word = "like" if high < PHOTOS else "unlike" if low > PHOTOS else "perhaps unlike"
    return (
        f"By its stored statistics a network finds them {word} the photos it was pretrained on: {d2['kl']:.2f} "
        f"({low:.2f}–{high:.2f}), where everyday photos and drawings gave 0.06, cells under a microscope 0.33."
    )


def said_of_head(d3: dict[str, Any] | None) -> str:
    """How sure the pretrained head is, in a sentence; "" where there is none."""
    if not d3:
        return ""
    low, high = d3["entropy_interval"]
    energy = f"{d3['energy']:.1f}".replace("-", "−")
    return (
        f"Asked for its own {d3['classes']:,} classes, {d3['backbone'].partition('/')[2]} is unsure to "
        f"{100 * d3['entropy']:.0f} % ({100 * low:.0f}–{100 * high:.0f}; 100 % is no idea); energy {energy}."
    )


def _between(value: float, low: float, high: float) -> float:
    return float(np.clip(np.log(max(value, 1) / low) / np.log(high / low), 0, 1))
