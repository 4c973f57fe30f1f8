"""Two runs side by side: what was set otherwise, what came out otherwise, and whether that is more than chance."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.evidence import Evidence
from trainer.plan import Plan
from trainer.run import Run
from trainer.runs import Runs
from zoo.dataset import Dataset
from zoo.errors import NotFound
from zoo.resample import accuracies, difference, mid_p
from zoo.store import read_json

SURE = 0.05


@dataclass(frozen=True, eq=False)
class Answers:
    """What a finished run said of its M test pictures.

    Attributes:
        shas: the pictures, by content.
        probabilities: (M, C) as the run kept them.
        y, groups: (M,) labels, and the groups that rise and fall together.
    """

    classes: tuple[str, ...]
    shas: list[str]
    probabilities: NDArray[np.float32]
    y: NDArray[np.int64]
    groups: NDArray[np.int64]

    @classmethod
    def of(cls, runs: Runs, run: Run) -> Answers:
        """Those of ``run``.

        Raises:
            NotFound: it kept none, or its dataset is gone.
        """
        if run.state != "finished" or run.plan is None:
            raise NotFound(f"Run {run.id!r} has not finished.", "Wait for it, or resume it.")
        kept = Evidence.load(runs.folder(run.id)).of("test")
        dataset = Dataset.load(runs.store, run.plan.dataset)
        shas = [dataset.items[int(row)].sha for row in kept.rows]
        return cls(dataset.classes, shas, kept.probabilities, dataset.y[kept.rows], dataset.groups[kept.rows])

    def at(self, rows: list[int]) -> Answers:
        """Only the pictures at ``rows``."""
        shas = [self.shas[row] for row in rows]
        return Answers(self.classes, shas, self.probabilities[rows], self.y[rows], self.groups[rows])

    @property
    def said(self) -> NDArray[np.int64]:
        """(M,) the class that each picture was said to be of."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)


def contrast(runs: Runs, one: str, other: str) -> dict[str, Any]:
    """``other`` against ``one``: configuration, curves' ends, and what both said of the same test pictures.

    Raises:
        NotFound: there is no such run.
    """
    pair = (runs.read(one), runs.read(other))
    found = {"runs": [_summary(run) for run in pair], "configuration": _configuration(*(run.plan for run in pair))}
    try:
        both = _shared(*(Answers.of(runs, run) for run in pair))
    except NotFound as error:
        return found | {"paired": None, "confusion": None, "why": str(error)}
    return found | {"paired": _paired(*both), "confusion": _confusion(*both), "why": ""}


def drift(runs: Runs, first: str, again: str) -> dict[str, Any]:
    """How far a replayed run is from the one it repeats.

    Raises:
        NotFound: one of them kept no answers.
    """
    before, after = runs.read(first), runs.read(again)
    one, two = Answers.of(runs, before), Answers.of(runs, after)
    weights = _digest(runs, first) == _digest(runs, again)
    same = one.shas == two.shas and one.classes == two.classes
    told: dict[str, Any] = {
        "of": first,
        "run": again,
        "n": len(two.shas),
        "accuracy": [float((answers.said == answers.y).mean()) for answers in (one, two)],
        "same_pictures": same,
        "weights_equal": weights,
        "device": [before.device, after.device],
        "versions": _versions(runs, first, again),
        "seconds": [before.seconds, after.seconds],
    }
    told["accuracy_difference"] = told["accuracy"][1] - told["accuracy"][0]
    if not same:
        return told | {"changed": None, "largest": None, "bit_equal": False}
    largest = float(np.abs(one.probabilities.astype(np.float64) - two.probabilities).max(initial=0))
    changed = float((one.said != two.said).mean())
    equal = weights and bool(np.array_equal(one.probabilities, two.probabilities))
    return told | {"changed": changed, "largest": largest, "bit_equal": equal}


def _summary(run: Run) -> dict[str, Any]:
    known = ("id", "state", "message", "device", "note", "origin", "steps", "losses")
    told = {name: getattr(run, name) for name in known}
    curves = [
        {"epoch": at.epoch, "step": at.step, "accuracy": at.accuracy, "interval": at.interval, "loss": at.loss}
        for at in run.epochs
    ]
    return told | {"epochs": curves, "test": run.test, "predicted": run.predicted, "actual": run.actual}


def _configuration(one: Plan | None, other: Plan | None) -> dict[str, list[Any]]:
    """What was set otherwise; what was only foretold is no setting."""
    a, b = (plan.as_json() if plan else {} for plan in (one, other))
    names = [name for name in (a or b) if not name.startswith("predicted_")]
    return {name: [a.get(name), b.get(name)] for name in names if a.get(name) != b.get(name)}


def _shared(one: Answers, other: Answers) -> tuple[Answers, Answers]:
    """The test pictures of both under the same label, in one order.

    Raises:
        NotFound: there are none, or the classes differ.
    """
    if one.classes != other.classes:
        raise NotFound("The two know different classes.", "Compare runs on the same classes.")
    places = {sha: row for row, sha in enumerate(other.shas)}
    rows = [row for row, sha in enumerate(one.shas) if sha in places and other.y[places[sha]] == one.y[row]]
    if not rows:
        raise NotFound("No picture is in the test part of both.", "Give both runs the same pictures and seed.")
    return one.at(rows), other.at([places[one.shas[row]] for row in rows])


def _paired(one: Answers, other: Answers) -> dict[str, Any]:
    right = np.stack([one.said == one.y, other.said == other.y])
    shares = accuracies(right, one.groups)
    low, high = difference(shares[:, 1], shares[:, 0])
    p = mid_p(right[0], right[1])
    gained = float(right[1].mean() - right[0].mean())
    proven = p < SURE and (low > 0 or high < 0)
    return {
        "n": len(one.shas),
        "accuracy": right.mean(axis=1).tolist(),
        "difference": gained,
        "interval": [low, high],
        "mid_p": p,
        "changed": float((one.said != other.said).mean()),
        "only_right": [int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())],
        "proven": proven,
        "verdict": f"{100 * gained:+.1f} points ({100 * low:+.1f} … {100 * high:+.1f}): "
        + ("more than chance." if proven else "not proven."),
    }


def _confusion(one: Answers, other: Answers) -> dict[str, Any]:
    """(C, C) counts of the second less those of the first, truth by row, over the shared pictures."""
    count = len(one.classes)
    tables = np.zeros((2, count, count), dtype=np.int64)
    for table, answers in zip(tables, (one, other), strict=True):
        np.add.at(table, (answers.y, answers.said), 1)
    return {"classes": list(one.classes), "difference": (tables[1] - tables[0]).tolist()}


def _digest(runs: Runs, run_id: str) -> str:
    """SHA-256 of the classifier's weights."""
    with (runs.classifier(run_id) / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions(runs: Runs, first: str, again: str) -> dict[str, list[str | None]]:
    """The packages that had another version."""
    facts = [read_json(runs.classifier(run) / "studio.json") or {} for run in (first, again)]
    one, two = (fact.get("passport", {}).get("versions", {}) for fact in facts)
    names = sorted(one.keys() | two.keys())
    return {name: [one.get(name), two.get(name)] for name in names if one.get(name) != two.get(name)}
