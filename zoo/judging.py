"""What one backbone's features are worth on one set of pictures: a probe a tap, neighbours and scores, each once.

What was found is kept beside the features. Its name holds everything it depends on: the features' own key, the
pictures, their labels and groups, and the arithmetic, as the text of the files that do it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from zoo import probe, resample, transfer
from zoo.dataset import Dataset
from zoo.features import Features
from zoo.probe import knn, left_out_interval, ridge
from zoo.report import Joined, ProbeReport, TapScore
from zoo.store import write_bytes
from zoo.transfer import above_chance, class_rate, leep, logme, nce, shrunk_hscore, softmax

SCORED = 20_000  # pictures that neighbours and scores are taken of: their cost grows faster than their worth
SCORES = ("logme", "hscore", "transrate", "leep", "nce")
JOINED = 3  # last taps that are read together
ONE_THREAD = (
    4_096  # rows up to which linear algebra runs on one thread: several wait for each other more than they help
)


def judged(
    features: Features,
    folder: Path,
    dataset: Dataset,
    part: NDArray[np.int64],
    scores: bool,
    fresh: bool = False,
) -> ProbeReport:
    """The report on ``features`` of the pictures ``part`` of ``dataset``, ``scores`` included or not.

    What is known of them is looked for in ``folder``, unless it has to be found afresh, and kept there.
    """
    y, groups = dataset.y[part], dataset.groups[part]
    name = _name([dataset.items[index].sha for index in part], y, groups, scores, features.classifier is not None)
    path = folder / f"judged-{name}.npz"
    found = None if fresh else _known(path)
    if found is None:
        with few_threads(len(part)):
            found = _judged(features, y, groups, scores)
        _keep(path, found)
    return ProbeReport(
        card=features.card,
        ms_per_picture=features.ms_per_picture,
        torch_ms_per_picture=features.torch_ms,
        engine=features.engine,
        seconds=features.seconds,
        **found | {"taps": tuple(_tap(*told) for told in found["taps"]), "joined": _joint(found["joined"])},
    )


@contextmanager
def few_threads(rows: int) -> Iterator[None]:
    """Linear algebra of few rows on one thread: several spin while they wait, which costs a multiple of the work."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1 if rows <= ONE_THREAD else None, user_api="blas"):
        yield


def _judged(features: Features, y: NDArray[np.int64], groups: NDArray[np.int64], scores: bool) -> dict[str, Any]:
    taps, right = [], np.empty((len(features.taps), len(y)), dtype=bool)
    for index, tap in enumerate(features.taps):
        found = ridge(tap, y, groups)
        right[index] = found.predicted == y
        taps.append((features.card.taps[index], found.accuracy, found.interval))
    errors = squared(found.scores, y)  # of the last tap
    best = max(share for _, share, _ in taps)
    error = float(np.sqrt(best * (1 - best) / len(y)))
    few = slice(0, SCORED)
    neighbours = knn(features.head[few], y[few], groups[few]) == y[few]
    logits = features.logits(few)
    return {
        "pictures": len(y),
        "taps": taps,
        "best_tap": next(name for name, share, _ in taps if share >= best - error),
        "knn": float(neighbours.mean()),
        "knn_interval": left_out_interval(neighbours, y[few], groups[few]),
        "balanced_accuracy": float(np.mean([right[-1][y == label].mean() for label in np.unique(y)])),
        "pretrained": None if logits is None else doubt(logits, groups[few]),
        "right": right,
        "brier": float(errors.mean()),
        "joined": _joined(features, y, groups, errors) if scores and len(y) <= SCORED else None,
    } | (_scores(features, y[few]) if scores else dict.fromkeys(SCORES))


def _joined(features: Features, y: NDArray[np.int64], groups: NDArray[np.int64], last: NDArray[np.float64]) -> Any:
    """What a probe gains that reads the last taps together, each scaled to one spread; None where there is but one."""
    taps = features.taps[-JOINED:]
    if len(taps) == 1:
        return None
    found = ridge(side_by_side(taps)[0], y, groups)
    errors = squared(found.scores, y)
    names = ", ".join(features.card.taps[-len(taps) :])
    gain = resample.mean_interval(last - errors, groups)
    return [names, found.accuracy, found.interval, float(errors.mean()), gain]


def squared(scores: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) squared errors of (N, C) scores, 0 to about 2: their mean is Brier's score (Brier 1950)."""
    return np.asarray(((scores - np.eye(scores.shape[1])[y]) ** 2).sum(axis=1))


def side_by_side(taps: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float32], list[float]]:
    """(N, sum of D) of ``taps`` joined, each divided by its spread so that none drowns the others, and the spreads."""
    spreads = [_spread(tap) for tap in taps]
    return np.hstack([tap / np.float32(one) for tap, one in zip(taps, spreads, strict=True)]), spreads


def _spread(x: NDArray[np.float32]) -> float:
    """Root of the mean squared distance of rows from their mean, 1 where there is none."""
    return float(np.sqrt(((x - x.mean(axis=0)) ** 2).sum(axis=1).mean())) or 1.0


def _tap(name: str, accuracy: float, interval: Sequence[float]) -> TapScore:
    return TapScore(name, accuracy, (interval[0], interval[1]))


def _joint(told: Any) -> Joined | None:
    return None if told is None else Joined(_tap(*told[:3]), told[3], tuple(told[4]))


def _scores(features: Features, y: NDArray[np.int64]) -> dict[str, float | None]:
    """Every transfer score of the last tap, on its first rows."""
    head, logits = features.head[: len(y)], features.logits(slice(0, len(y)))
    found: dict[str, float | None] = dict.fromkeys(SCORES)
    found |= {"logme": logme(head, y), "hscore": shrunk_hscore(head, y)}
    # TransRate is the rate of all features less that of the classes; above chance the former cancels.
    found["transrate"] = above_chance(lambda labels: -class_rate(head, labels), y)
    if logits is not None:
        probabilities, guesses = softmax(logits), logits.argmax(axis=1).astype(np.int64)
        found["leep"] = above_chance(lambda labels: leep(probabilities, labels), y)
        found["nce"] = above_chance(lambda labels: nce(guesses, labels), y)
    return found


def doubt(logits: NDArray[np.float32], groups: NDArray[np.int64]) -> dict[str, Any]:
    """How unsure the pretrained head is of these pictures, each with its 95 % interval over their groups.

    ``entropy`` is that of its probabilities, 0 for certainty and 1 for none; ``energy`` is −ln Σ exp of its logits
    (Liu et al., NeurIPS 2020), the lower the more the pictures are like what it was trained on.
    """
    p, wide = softmax(logits), np.asarray(logits, dtype=np.float64)
    top = wide.max(axis=1)
    entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1) / np.log(p.shape[1])
    energy = -(top + np.log(np.exp(wide - top[:, None]).sum(axis=1)))
    told: dict[str, Any] = {"classes": p.shape[1]}
    for name, values in (("entropy", entropy), ("energy", energy)):
        mean, *ends = resample.mean_interval(values, groups)
        told |= {name: mean, f"{name}_interval": ends}
    return told


def _keep(path: Path, found: dict[str, Any]) -> None:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, told=np.array(json.dumps(found | {"right": None})), right=found["right"])
    with suppress(OSError):  # a full disk: found again next time
        write_bytes(path, content.getvalue())


def _known(path: Path) -> dict[str, Any] | None:
    """What was found before; None where it was not, or where that is damaged."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            found: dict[str, Any] = json.loads(str(kept["told"]))
            return found | {"right": kept["right"], "knn_interval": tuple(found["knn_interval"])}
    except (OSError, ValueError, KeyError, BadZipFile):
        return None


def _name(shas: list[str], y: NDArray[np.int64], groups: NDArray[np.int64], *more: bool) -> str:
    crowd = np.unique(groups, return_inverse=True)[1]
    facts = [_arithmetic(), "".join(shas).encode(), y.tobytes(), crowd.astype(np.int64).tobytes(), repr(more).encode()]
    return hashlib.sha256(b"\n".join(facts)).hexdigest()[:24]


@cache
def _arithmetic() -> bytes:
    """The text of what does the sums, so that none of their results outlives a change of them."""
    files = [Path(str(module.__file__)) for module in (probe, resample, transfer)] + [Path(__file__)]
    return hashlib.sha256(b"\n".join(file.read_bytes() for file in files) + np.__version__.encode()).digest()
