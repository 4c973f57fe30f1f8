"""What follows from a finished run's answers: class by class, when to doubt, at what cost, and whether it overfits.

Pure arithmetic on ``Evidence``; no network is asked again. Every figure is of the test part and comes with a 95 %
interval.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.conformal import coverage
from trainer.evaluation import ece_with_interval, per_class, reliability
from zoo.errors import BadPlan
from zoo.probe import accuracy_interval, wilson
from zoo.resample import difference

Rows = NDArray[np.float64]
Ints = NDArray[np.int64]

POINTS = 40  # of the risk-coverage curve
RESAMPLES = 1000
PAIRS = 30


def details(
    probabilities: Rows, y: Ints, classes: tuple[str, ...], groups: Ints, temperature: float, trained_right: int,
    trained: int,
) -> dict[str, Any]:  # fmt: skip
    """Everything below for N test pictures.

    Args:
        probabilities: (N, C), calibrated with ``temperature``.
        groups: (N,) pictures of a group count as one where intervals are made.
        trained_right: how many of the ``trained`` pictures it learned from it is right on.

    Returns:
        per_class, pairs, before (calibration without the temperature), answering (risk and coverage), overfitting.
    """
    right = probabilities.argmax(axis=1) == y
    return {
        "per_class": per_class(probabilities, y, classes, groups),
        "pairs": pairs(probabilities, y, classes),
        "before": before(probabilities, y, temperature),
        "answering": answering(probabilities.max(axis=1), right, groups),
        "overfitting": overfitting(trained_right, trained, right, groups),
    }


def pairs(probabilities: Rows, y: Ints, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Which class is taken for which, the most frequent first, with the share of that class and its interval."""
    said = probabilities.argmax(axis=1)
    wrong = said != y
    kinds, counts = np.unique(np.stack([y[wrong], said[wrong]]), axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:PAIRS]
    rows = []
    for (truth, taken), count in ((kinds[:, place], int(counts[place])) for place in order):
        n = int((y == truth).sum())
        share = {"count": count, "of": n, "share": count / n, "interval": list(wilson(count / n, n))}
        rows.append({"truth": classes[truth], "said": classes[taken]} | share)
    return rows


def before(probabilities: Rows, y: Ints, temperature: float) -> dict[str, Any]:
    """How honest its certainty was without the temperature: what dividing the logits by it undid."""
    logits = temperature * np.log(np.maximum(probabilities, 1e-30))
    logits -= logits.max(axis=1, keepdims=True)
    raw = np.exp(logits)
    raw /= raw.sum(axis=1, keepdims=True)
    sure, right = raw.max(axis=1), raw.argmax(axis=1) == y
    error, interval = ece_with_interval(sure, right)
    return {"ece": error, "ece_interval": interval, "reliability": reliability(sure, right)}


def answering(sure: Rows, right: NDArray[np.bool_], groups: Ints) -> list[dict[str, Any]]:
    """Risk and coverage (El-Yaniv and Wiener, JMLR 2010): only answers at least so sure, and how many are right.

    Points from answering little to answering all; pictures equally sure are answered together.
    """
    order = np.argsort(-sure, kind="stable")
    n = len(sure)
    points: dict[float, dict[str, Any]] = {}
    for count in sorted({max(1, round(n * step / POINTS)) for step in range(1, POINTS + 1)} if n else set()):
        threshold = float(sure[order[count - 1]])
        answered = sure >= threshold
        points[threshold] = {
            "threshold": threshold,
            "coverage": float(answered.mean()),
            "n": int(answered.sum()),
            "accuracy": float(right[answered].mean()),
            "interval": list(accuracy_interval(right[answered], groups[answered])),
        }
    return list(points.values())


def overfitting(trained_right: int, trained: int, right: NDArray[np.bool_], groups: Ints) -> dict[str, Any] | None:
    """How much better it is on pictures it learned from; the interval of the gap is Newcombe's (1998, method 10)."""
    if not trained or not len(right):
        return None
    learned, held = trained_right / trained, float(right.mean())
    (l1, u1), (l2, u2) = wilson(learned, trained), accuracy_interval(right, groups)
    gap = learned - held
    low, high = gap - np.hypot(learned - l1, u2 - held), gap + np.hypot(u1 - learned, held - l2)
    return {
        "train": learned,
        "test": held,
        "gap": gap,
        "interval": [float(low), float(high)],
        "sentence": _verdict(gap, low, high),
    }


def _verdict(gap: float, low: float, high: float) -> str:
    span = f"{100 * gap:.1f} points ({100 * low:.1f} to {100 * high:.1f})"
    if low <= 0:
        return f"No overfitting that these pictures can show: on those it learned from it is better by {span}."
    if gap < 0.1:
        return f"A little overfitting, as is usual: on pictures it learned from it is better by {span}."
    return (
        f"It overfits: on pictures it learned from it is better by {span}. More pictures, stronger augmentation or "
        "fewer trained layers would narrow that."
    )


def promises(
    probabilities: Rows, y: Ints, calibration: Rows, labels: Ints, classes: tuple[str, ...], novelty: Rows
) -> dict[str, Any]:
    """What sets and gate promise, on N test pictures: ``sets`` as ``conformal.coverage`` has it, and ``held_back``.

    Args:
        calibration: (M, C); labels: (M,).
        novelty: (N,), 1 at the gate's threshold; NaN where it has none.

    Returns:
        each only where enough pictures calibrated it; ``held_back`` is the share that the gate takes for unknown.
    """
    found: dict[str, Any] = {}
    with suppress(BadPlan):
        found["sets"] = coverage(probabilities, y, calibration, labels, classes)
    if len(novelty) and np.isfinite(novelty).all():
        share = float((novelty > 1).mean())
        found["held_back"] = {"value": share, "interval": list(wilson(share, len(novelty))), "n": len(novelty)}
    return found


def decisions(probabilities: Rows, costs: Rows, asking: float | None = None) -> Ints:
    """(N,) the class of least expected cost for each picture, −1 where asking a person is cheaper.

    Args:
        costs: (C, C) of saying column for a picture of row.
        asking: what it costs to leave the answer to a person; None for never.
    """
    expected = probabilities @ costs
    chosen = expected.argmin(axis=1)
    return np.where(expected.min(axis=1) > asking, -1, chosen) if asking is not None else chosen


def costed(
    probabilities: Rows, y: Ints, groups: Ints, costs: Rows, classes: tuple[str, ...], asking: float | None = None
) -> dict[str, Any]:
    """What deciding by cost is worth on these pictures against always naming the likeliest class.

    Returns:
        cost a picture by the likeliest class and by decision, their difference with its paired interval, the share
        of pictures left to a person, and per class how many of its pictures are named right and how many asked.

    Raises:
        BadPlan: a cost is negative or no number.
    """
    if not np.isfinite(costs).all() or (costs < 0).any() or (asking is not None and not 0 <= asking < np.inf):
        raise BadPlan("A cost is below 0 or no number.", "Give costs of 0 or more; a right answer costs 0.")
    plain, chosen = probabilities.argmax(axis=1), decisions(probabilities, costs, asking)
    paid = costs[y, plain], np.where(chosen < 0, asking or 0.0, costs[y, chosen])
    _, member = np.unique(groups, return_inverse=True)
    size = np.bincount(member)
    sums = np.stack([np.bincount(member, weights=each) for each in paid], axis=1)
    times = np.random.default_rng(0).multinomial(len(size), np.full(len(size), 1 / len(size)), RESAMPLES)
    shares = (times @ sums) / (times @ size)[:, None]
    return {
        "plain": float(paid[0].mean()),
        "decided": float(paid[1].mean()),
        "saved": float((paid[0] - paid[1]).mean()),
        "interval": list(difference(shares[:, 0], shares[:, 1])),
        "asked": float((chosen < 0).mean()),
        "per_class": [
            {"label": label, "n": int((y == k).sum()), "right": int(((chosen == k) & (y == k)).sum()),
             "asked": int(((chosen < 0) & (y == k)).sum()), "plain": int(((plain == k) & (y == k)).sum())}
            for k, label in enumerate(classes)
        ],
    }  # fmt: skip
