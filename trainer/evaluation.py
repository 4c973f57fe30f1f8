"""How good a classifier is on pictures it has not seen: counts, intervals, and whether its certainty means something.

Pure arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.probe import accuracy_interval, wilson

BINS = 15
RESAMPLES = 1000
AT_ONCE = 4_000_000  # drawn counts held in memory


def evaluate(
    probabilities: NDArray[np.float64],
    y: NDArray[np.int64],
    classes: tuple[str, ...],
    names: tuple[str, ...],
    groups: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """The report on N pictures.

    Args:
        probabilities: (N, C), calibrated.
        y: (N,) true labels.
        names: (N,) what each picture is called, for the hardest ones.
        groups: (N,) pictures of a group count as one where intervals are made.

    Returns:
        n, accuracy, interval, balanced_accuracy, ece, ece_interval, ece_by_chance, ece_debiased, brier, brier_interval,
        confusion (true × predicted), per_class, reliability and hardest; every accuracy is in 0…1.
    """
    n = len(y)
    if n == 0:
        return {"n": 0, "accuracy": None, "interval": [0.0, 1.0], "balanced_accuracy": None, "ece": None}
    predicted = probabilities.argmax(axis=1)
    right = predicted == y
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(confusion, (y, predicted), 1)
    present = confusion.sum(axis=1) > 0
    recalls = confusion.diagonal()[present] / confusion.sum(axis=1)[present]
    confidence = probabilities.max(axis=1)
    drawn = _resampled_ece(confidence, right)
    error, bounds = ece_with_interval(confidence, right, drawn)
    scores = ((probabilities - np.eye(len(classes))[y]) ** 2).sum(axis=1)
    return {
        "n": n,
        "accuracy": float(right.mean()),
        "interval": list(accuracy_interval(right, groups)),
        "balanced_accuracy": float(recalls.mean()),
        "ece": error,
        "ece_interval": bounds,
        "ece_by_chance": ece_by_chance(confidence),
        "ece_debiased": ece_debiased(confidence, right, drawn),
        "brier": float(scores.mean()),
        "brier_interval": _mean_interval(scores),
        "classes": list(classes),
        "confusion": confusion.tolist(),
        "per_class": per_class(probabilities, y, classes, np.arange(n) if groups is None else groups),
        "reliability": reliability(confidence, right),
        "hardest": _hardest(probabilities, y, classes, names),
    }


def ece(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error over 15 bins of equal width (Guo et al., ICML 2017)."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(place, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def fit_temperature(
    logits: NDArray[np.float64],
    y: NDArray[np.int64],
    unseen: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None,
) -> float:
    """The temperature of least log loss on calibration pictures (Guo et al., ICML 2017), between 0.05 and 20.

    ``unseen`` are logits and labels of other pictures that the classifier's kind did not learn from, counted along: a
    calibration part of twenty pictures alone misses by a third. 1.0 where there are fewer than ten pictures in all.
    """
    from scipy.optimize import minimize_scalar

    if unseen is not None:
        logits, y = np.concatenate([logits, unseen[0]]), np.concatenate([y, unseen[1]])
    if len(y) < 10:
        return 1.0

    def loss(log_temperature: float) -> float:
        z = logits / np.exp(log_temperature)
        z = z - z.max(axis=1, keepdims=True)
        return float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]).mean())

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))


def ece_with_interval(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], drawn: NDArray[np.float64] | None = None
) -> tuple[float, list[float]]:
    """``ece`` and its 95 % percentile interval over resampled pictures, whose errors are ``drawn`` if at hand."""
    found = _resampled_ece(confidence, right) if drawn is None else drawn
    low, high = np.percentile(found, [2.5, 97.5])
    return ece(confidence, right), [float(low), float(high)]


def _resampled_ece(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """``ece`` of each resample of the pictures."""
    drawn = np.random.default_rng(0).integers(len(right), size=(RESAMPLES, len(right)))
    return np.array([ece(confidence[rows], right[rows]) for rows in drawn])


def ece_by_chance(confidence: NDArray[np.float64]) -> tuple[float, list[float]]:
    """What ``ece`` shows of a classifier that is right exactly as often as it says: mean, and where 95 % fall.

    Bins of few pictures are off by chance, so it is above 0 (Bröcker and Smith 2007, consistency resampling).
    """
    rng = np.random.default_rng(0)
    found = [ece(confidence, rng.random(len(confidence)) < confidence) for _ in range(RESAMPLES)]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(np.mean(found)), [float(low), float(high)]


def ece_debiased(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], drawn: NDArray[np.float64] | None = None
) -> tuple[float, list[float]]:
    """``ece`` less the bias that resampling shows it to have, and the interval mirrored likewise; none below 0.

    The plain figure grows where bins hold few pictures, by noise alone (Kumar, Liang and Ma, NeurIPS 2019).
    """
    plain = ece(confidence, right)
    found = _resampled_ece(confidence, right) if drawn is None else drawn
    low, high = np.percentile(found, [2.5, 97.5])
    estimate, *ends = (max(0.0, float(2 * plain - value)) for value in (found.mean(), high, low))
    return estimate, ends


def _mean_interval(values: NDArray[np.float64]) -> list[float]:
    """95 % percentile interval of a mean over resampled pictures."""
    rng = np.random.default_rng(0)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)]
    return [float(end) for end in np.percentile(means, [2.5, 97.5])]


def per_class(
    probabilities: NDArray[np.float64], y: NDArray[np.int64], classes: tuple[str, ...], groups: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class, each with its interval over resampled groups; None where undefined."""
    said, count = probabilities.argmax(axis=1), len(classes)
    _, member = np.unique(groups, return_inverse=True)
    many = int(member.max()) + 1 if len(y) else 1
    hit, true, called = (np.zeros((many, count)) for _ in range(3))
    np.add.at(hit, (member[said == y], y[said == y]), 1)
    np.add.at(true, (member, y), 1)
    np.add.at(called, (member, said), 1)
    drawn = _resampled(hit, true, called)
    found = [part.sum(axis=0) for part in (hit, true, called)]
    rows = []
    for index, label in enumerate(classes):
        h, t, c = (float(part[index]) for part in found)
        dh, dt, dc = (part[:, index] for part in drawn)
        rows.append(
            {
                "label": label,
                "n": int(t),
                "precision": h / c if c else None,
                "recall": h / t if t else None,
                "f1": 2 * h / (t + c) if t + c else None,
                "precision_interval": _spread(h, c, dh, dc),
                "recall_interval": _spread(h, t, dh, dt),
                "f1_interval": _spread(2 * h, t + c, 2 * dh, dt + dc),
            }
        )
    return rows


def _resampled(*tables: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Of each of the (G, C) counts of groups the (R, C) sums on the same resamples of them, some at a time."""
    groups = len(tables[0])
    rng, even = np.random.default_rng(0), np.full(groups, 1 / groups)
    several = max(1, AT_ONCE // groups)
    sums: list[list[NDArray[np.float64]]] = [[] for _ in tables]
    for done in range(0, RESAMPLES, several):
        weights = rng.multinomial(groups, even, min(several, RESAMPLES - done)).astype(np.float64)
        for found, table in zip(sums, tables, strict=True):
            found.append(weights @ table)
    return [np.concatenate(found) for found in sums]


def _spread(part: float, whole: float, parts: NDArray[np.float64], wholes: NDArray[np.float64]) -> list[float] | None:
    """The percentile interval of a ratio, Wilson's where the resamples cannot differ."""
    if not whole:
        return None
    some = wholes > 0
    low, high = np.percentile(parts[some] / wholes[some], [2.5, 97.5])
    if high - low < 1e-9:
        low, high = wilson(part / whole, whole)
    return [float(low), float(high)]


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> list[dict[str, float]]:
    """For each bin that holds pictures: how sure on average, how often right, how many."""
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {"confidence": float(confidence[rows].mean()), "accuracy": float(right[rows].mean()), "n": int(rows.sum())}
        for rows in (place == number for number in range(BINS))
        if rows.any()
    ]


def _hardest(
    probabilities: NDArray[np.float64], y: NDArray[np.int64], classes: tuple[str, ...], names: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The 24 pictures whose true class got the least probability."""
    given = probabilities[np.arange(len(y)), y]
    return [
        {
            "index": int(index),
            "path": names[index],
            "label": classes[y[index]],
            "predicted": classes[int(probabilities[index].argmax())],
            "probability": float(given[index]),
        }
        for index in np.argsort(given, kind="stable")[:24]
    ]
