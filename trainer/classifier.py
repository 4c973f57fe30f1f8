"""A classifier: a folder that its network's library loads, and what the studio adds beside it in ``studio.json``."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.head import softmax
from trainer.networks import embed, embedded, logits
from trainer.novelty import Gate
from trainer.prediction import Prediction, said
from zoo import saved
from zoo.backbone import Picture, Preprocessing
from zoo.errors import BackboneUnavailable, BadClassifier
from zoo.store import new_id, read_json, write_json

if TYPE_CHECKING:
    from torch import nn

GATE = "gate.npz"


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
        device = next(self._network.parameters()).device
        begun = time.perf_counter()
        for rows in embedded(self._network, list(pictures), self.preprocessing, device):
            answers = list(zip(self._softmax(rows), self._novelty(rows), strict=True))
            seconds = (time.perf_counter() - begun) / len(rows)
            for probabilities, novelty in answers:
                yield said(self.classes, probabilities, novelty, self.facts.get("set_threshold"), seconds)
            begun = time.perf_counter()

    def probabilities(self, pictures: Sequence[Picture]) -> NDArray[np.float64]:
        """(N, C) calibrated probabilities."""
        device = next(self._network.parameters()).device
        rows = [self._softmax(batch) for batch in embedded(self._network, list(pictures), self.preprocessing, device)]
        return np.concatenate(rows) if rows else np.zeros((0, len(self.classes)))

    @property
    def network(self) -> nn.Module:
        """The network itself, in evaluation mode."""
        return self._network

    def features(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """(N, D): what the last layer reads."""
        return embed(self._network, list(pictures), self.preprocessing, next(self._network.parameters()).device)

    def prepared(self, shown: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(N, C) probabilities of pictures that are cut to the network's size already, (N, size, size, 3)."""
        as_they_are = replace(self.preprocessing, crop=1.0)
        device = next(self._network.parameters()).device
        return np.concatenate(
            [self._softmax(batch) for batch in embedded(self._network, list(shown), as_they_are, device)]
        )

    def _softmax(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return softmax(logits(self._network, rows))

    def _novelty(self, rows: NDArray[np.float32]) -> list[float | None]:
        """The gate's distance, 1 at its threshold; None without a gate that was calibrated."""
        if self._gate is None or not np.isfinite(self._gate.threshold):
            return [None] * len(rows)
        return [float(gap / self._gate.threshold) for gap in self._gate.distance(rows)]


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
