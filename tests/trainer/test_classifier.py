"""Classifier folders from strangers: nothing in them may name a file, a hub, or hold what is no number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.classifier import Classifier, save
from zoo.backbone import Preprocessing
from zoo.errors import BadClassifier

CLASSES = ("a", "<b>${1}</b>")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny classifier with random weights."""
    import timm

    network = timm.create_model("test_vit", num_classes=2)
    save(network, tmp_path / "classifier", CLASSES, Preprocessing(size=160), {}, None)
    return tmp_path / "classifier"


def test_it_is_whole_and_answers_without_a_gate(folder: Path) -> None:
    import numpy as np

    assert not list(folder.parent.glob(".draft-*"))
    answer = Classifier.load(folder).predict([np.zeros((50, 70, 3), dtype=np.uint8)])[0]
    assert {label for label, _ in answer.top} == set(CLASSES)
    assert (answer.unknown, answer.novelty, len(answer.set)) == (False, None, 2)


def test_saving_again_replaces_what_a_cut_short_attempt_left(folder: Path) -> None:
    import timm

    (folder / "studio.json").unlink()
    save(timm.create_model("test_vit", num_classes=2), folder, CLASSES, Preprocessing(size=160), {}, None)
    assert Classifier.load(folder).classes == CLASSES


@pytest.mark.parametrize(
    "change",
    [{"architecture": "hf-hub:someone/something"}, {"architecture": "local-dir:/etc"}, {"architecture": 3},
     {"model_args": {"checkpoint_path": "/etc/passwd"}}, {"model_args": {"pretrained": True}}],
)  # fmt: skip
def test_a_config_that_reaches_outside_is_refused(change: dict[str, Any], folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadClassifier):
        Classifier.load(folder)


@pytest.mark.parametrize("text", ["[]", "{", "null"])
def test_a_config_that_is_none_is_refused(text: str, folder: Path) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(BadClassifier):
        Classifier.load(folder)


def test_weights_that_are_no_numbers_are_refused(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    next(iter(state.values())).fill_(float("nan"))
    save_file(state, folder / "model.safetensors")
    with pytest.raises(BadClassifier, match="no numbers"):
        Classifier.load(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    import timm
    from safetensors.torch import save_file

    save_file(timm.create_model("test_vit", num_classes=5).state_dict(), folder / "model.safetensors")
    with pytest.raises(BadClassifier, match="do not fit"):
        Classifier.load(folder)
