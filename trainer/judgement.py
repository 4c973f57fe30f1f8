"""All that is known of a finished run, from what it kept: for the Results screen, the command line and the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.conformal import coverage
from trainer.evaluation import ece_debiased
from trainer.evidence import Evidence
from trainer.folder import RunFolder
from trainer.results import costed, details
from zoo.background import identity, living, spawn
from zoo.dataset import Dataset
from zoo.errors import NotFound
from zoo.store import Store, read_json, write_json

TRUST = "trust.json"
AT_IT = ".trust.json"  # the process that measures it


@dataclass(frozen=True, eq=False)
class Judgement:
    """A finished run with its test part at hand.

    Attributes:
        evaluation: what ``evaluation.json`` says.
        kept: what it said of the pictures.
        dataset: as it was trained on, with the labels it had then.
        trust: the measured comparison of its detectors, None until it was made.
    """

    run: str
    evaluation: dict[str, Any]
    kept: Evidence
    dataset: Dataset
    trust: dict[str, Any] | None

    @classmethod
    def load(cls, folder: Path, store: Store) -> Judgement:
        """Of the run in ``folder``.

        Raises:
            NotFound: it has not finished, kept nothing, or its dataset is gone.
        """
        evaluation, run = read_json(folder / "evaluation.json"), RunFolder(folder)
        if not evaluation or not evaluation.get("n"):
            raise NotFound("This run has no results yet.", "Wait for its end; a test part is needed, too.")
        dataset = Dataset.load(store, run.plan().dataset)
        return cls(run.id, evaluation, Evidence.load(folder), dataset, read_json(folder / TRUST))

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.evaluation["classes"])

    def test(self) -> tuple[Evidence, NDArray[np.int64], NDArray[np.int64]]:
        """What it said of the test pictures, their labels and their groups."""
        held = self.kept.of("test")
        return held, held.labels(self.dataset), self.dataset.groups[held.rows]

    def results(self) -> dict[str, Any]:
        """The evaluation, everything that ``results.details`` adds, and what was measured of its trust."""
        held, y, groups = self.test()
        learned = self.kept.of("train")
        right = int((learned.probabilities.argmax(axis=1) == learned.labels(self.dataset)).sum())
        temperature = float(self.evaluation.get("temperature") or 1.0)
        sure = held.sure()
        more = details(sure, y, self.classes, groups, temperature, right, len(learned.rows))
        known = held.novelty[np.isfinite(held.novelty)]
        refused = float((known > 1).mean()) if len(known) else None
        told = dict(self.evaluation)
        if "ece_debiased" not in told:  # a run from before it was kept
            told["ece_debiased"] = ece_debiased(sure.max(axis=1), sure.argmax(axis=1) == y)
        return {"run": self.run, **told, **more, "refused": refused, "trust": self.trust}

    def coverage(self, miss: float) -> dict[str, Any]:
        """Of prediction sets that may lack the truth ``miss`` of the time.

        Raises:
            BadPlan: too few calibration pictures for that.
        """
        held, y, _ = self.test()
        calibration = self.kept.of("calibration")
        return coverage(held.sure(), y, calibration.sure(), calibration.labels(self.dataset), self.classes, miss)

    def costed(self, costs: NDArray[np.float64], asking: float | None) -> dict[str, Any]:
        """What ``results.costed`` makes of the test part; raises as it does."""
        held, y, groups = self.test()
        return costed(held.sure(), y, groups, costs, self.classes, asking)

    def cell(self, truth: int, said: int) -> list[int]:
        """Indices, in the dataset, of the test pictures of class ``truth`` that were called ``said``, surest first."""
        held, y, _ = self.test()
        sure = held.sure()
        mine = np.flatnonzero((y == truth) & (sure.argmax(axis=1) == said))
        return [int(row) for row in held.rows[mine[np.argsort(-sure[mine, said], kind="stable")]]]


def measure_trust(folder: Path, home: Path) -> None:
    """Begin ``python -m trainer trust`` for the run in ``folder``, in the background, unless it is under way."""
    if living(read_json(folder / AT_IT)) is None:
        child = spawn("trust", folder.name, home, folder / "trust.log", room="trainer")
        write_json(folder / AT_IT, identity(child.pid))


def measuring(folder: Path) -> tuple[bool, str]:
    """Whether it is under way, and the last thing it said."""
    try:
        lines = (folder / "trust.log").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    return living(read_json(folder / AT_IT)) is not None, next((one for one in reversed(lines) if one.strip()), "")
