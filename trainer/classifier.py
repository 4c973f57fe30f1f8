"""A classifier: a folder that its network's library loads, and what the studio adds beside it in ``studio.json``."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.conformal import prediction_set
from trainer.head import softmax
from trainer.networks import embedded, logits
from trainer.novelty import Gate
from zoo import saved
from zoo.backbone import Picture, Preprocessing
from zoo.decode import shrink
from zoo.errors import BackboneUnavailable, BadClassifier
from zoo.pictures import SIDE
from zoo.store import new_id, read_json, write_json

if TYPE_CHECKING:
    from torch import nn

GATE = "gate.npz"


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the classifier says of one picture.

    Attributes:
        top: every class with its calibrated probability, likeliest first, at most ten.
        set: classes one of which is right 9 times of 10; all of them where calibration was too small to say.
        unknown: it looks like nothing the classifier was trained on.
        novelty: distance to the nearest class, 1 at the gate's threshold; None without a gate.
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


class Classifier:
    """A trained network with its classes, ready to answer."""

    def __init__(
        self,
        network: nn.Module,
        classes: tuple[str, ...],
        preprocessing: Preprocessing,
        facts: dict[str, Any],
        gate: Gate | None,
    ) -> None:
        from zoo.forward import device

        self.classes = classes
        self.preprocessing = preprocessing
        self.facts = facts
        self._network = network.to(device()).eval()
        self._gate = gate

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """The classifier saved in ``folder``. Only safetensors weights are read.

        Raises:
            BadClassifier: it is none, or it is damaged.
        """
        facts = read_json(folder / saved.FACTS)
        if not isinstance(facts, dict) or not (folder / "model.safetensors").is_file():
            raise BadClassifier(
                f"{folder.name!r} is not a classifier's folder.", "Give a folder with config.json and studio.json."
            )
        try:
            classes, preprocessing = tuple(facts["classes"]), saved.preprocessing(folder)
            network = saved.opened(folder, len(classes))
        except BackboneUnavailable as error:
            raise BadClassifier(
                error.problem, "Use a folder the studio wrote, or export the classifier again."
            ) from error
        except (KeyError, TypeError, ValueError) as error:
            raise BadClassifier(
                f"studio.json in {folder.name!r} is damaged.", "Export the classifier again."
            ) from error
        return cls(network, classes, preprocessing, facts, Gate.load(folder / GATE))

    def predict(self, pictures: Sequence[Picture]) -> list[Prediction]:
        """One answer a picture, (H, W, 3) uint8 RGB, upright."""
        return list(self.stream(pictures))

    def stream(self, pictures: Sequence[Picture]) -> Iterator[Prediction]:
        """The same, as they come; ``seconds`` is the picture's share of its batch."""
        shown = [
            shrink(picture, max(SIDE, int(self.preprocessing.size / self.preprocessing.crop))) for picture in pictures
        ]
        device = next(self._network.parameters()).device
        begun = time.perf_counter()
        for rows in embedded(self._network, shown, self.preprocessing, device):
            answers = self._answers(rows)
            seconds = (time.perf_counter() - begun) / len(rows)
            for probabilities, distance in answers:
                yield self._said(probabilities, distance, seconds)
            begun = time.perf_counter()

    def probabilities(self, pictures: Sequence[Picture]) -> NDArray[np.float64]:
        """(N, C) calibrated probabilities."""
        device = next(self._network.parameters()).device
        rows = [self._softmax(batch) for batch in embedded(self._network, list(pictures), self.preprocessing, device)]
        return np.concatenate(rows) if rows else np.zeros((0, len(self.classes)))

    def _softmax(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return softmax(logits(self._network, rows))

    def _answers(self, rows: NDArray[np.float32]) -> list[tuple[NDArray[np.float64], float | None]]:
        probabilities = self._softmax(rows)
        if self._gate is None:
            return [(row, None) for row in probabilities]
        return list(zip(probabilities, self._gate.distance(rows).tolist(), strict=True))

    def _said(self, probabilities: NDArray[np.float64], distance: float | None, seconds: float) -> Prediction:
        order = np.argsort(-probabilities, kind="stable")
        threshold = self.facts.get("set_threshold")
        possible = prediction_set(probabilities, 1.0 if threshold is None else float(threshold))
        gate = self._gate
        known = distance is None or gate is None or not np.isfinite(gate.threshold)
        return Prediction(
            label=self.classes[order[0]],
            probability=float(probabilities[order[0]]),
            top=tuple((self.classes[index], float(probabilities[index])) for index in order[:10]),
            set=tuple(self.classes[index] for index in possible),
            unknown=False if known else bool(distance > gate.threshold),  # type: ignore[operator, union-attr]
            novelty=None if known else float(distance / gate.threshold),  # type: ignore[operator, union-attr]
            seconds=seconds,
        )


def save(
    network: nn.Module,
    folder: Path,
    classes: tuple[str, ...],
    preprocessing: Preprocessing,
    facts: dict[str, Any],
    gate: Gate | None,
) -> None:
    """Write the folder that ``load`` reads, and the loaders that ``zoo.saved`` names for the network's library.

    It is there whole or not at all.
    """
    draft = folder.with_name(f".draft-{new_id()}")
    draft.mkdir(parents=True)
    saved.write(network, draft, classes, preprocessing)
    if gate is not None:
        gate.save(draft / GATE)
    write_json(draft / saved.FACTS, {"classes": list(classes), "preprocessing": asdict(preprocessing)} | facts)
    if folder.exists():
        shutil.rmtree(folder)  # of an attempt that was cut short after this
    os.replace(draft, folder)
