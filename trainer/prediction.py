"""One answer of a classifier: classes with calibrated probabilities, what else it could be, whether it knows such."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.conformal import prediction_set


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the classifier says of one picture.

    Attributes:
        top: every class with its calibrated probability, likeliest first, at most ten.
        set: classes one of which is right 9 times of 10; all of them where calibration was too small to say.
        unknown: it looks like nothing the classifier was trained on.
        novelty: the gate's distance, 1 at its threshold; None without a gate.
    """

    label: str
    probability: float
    top: tuple[tuple[str, float], ...]
    set: tuple[str, ...]
    unknown: bool
    novelty: float | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        row = asdict(self)
        row["top"] = [{"label": label, "probability": share} for label, share in self.top]
        row["set"] = list(self.set)
        return row


def said(
    classes: tuple[str, ...],
    probabilities: NDArray[np.float64],
    novelty: float | None,
    set_threshold: float | None,
    seconds: float,
) -> Prediction:
    """The answer that (C,) ``probabilities`` and ``novelty`` amount to."""
    order = np.argsort(-probabilities, kind="stable")
    possible = prediction_set(probabilities, 1.0 if set_threshold is None else float(set_threshold))
    return Prediction(
        label=classes[order[0]],
        probability=float(probabilities[order[0]]),
        top=tuple((classes[index], float(probabilities[index])) for index in order[:10]),
        set=tuple(classes[index] for index in possible),
        unknown=novelty is not None and novelty > 1,
        novelty=novelty,
        seconds=seconds,
    )
