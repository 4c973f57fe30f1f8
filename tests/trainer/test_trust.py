"""Both detectors find strangers that are strange, and the choice between them is not made by luck."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.trainer.test_head import clouds
from trainer.autoencoder import fit_autoencoder, planes
from trainer.trust import Held, auroc, compared, left_out


def test_auroc_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    new, old = np.round(rng.normal(0.5, 1, 90), 1), np.round(rng.normal(size=70), 1)
    assert auroc(new, old) == pytest.approx(roc_auc_score(np.r_[np.ones(90), np.zeros(70)], np.r_[new, old]))


@pytest.mark.slow
def test_an_autoencoder_rebuilds_the_familiar_better_and_is_the_same_again() -> None:
    x, _ = clouds(300, 4, 0)
    machine = fit_autoencoder(x, steps=200)
    familiar = machine.error(clouds(200, 4, 1)[0])
    strange = machine.error(np.random.default_rng(2).normal(size=(200, x.shape[1])).astype(np.float32) * 3)
    assert auroc(strange, familiar) > 0.95
    assert machine.codes(x).shape == (300, 32)
    assert np.array_equal(fit_autoencoder(x, steps=200).error(x), machine.error(x))


@pytest.mark.slow
def test_a_wider_bottleneck_rebuilds_more() -> None:
    x, _ = clouds(300, 6, 0)
    maps = planes(x, (2, 16))
    assert maps[2][0].shape == maps[16][0].shape == (300, 2)
    assert maps[2][1] < maps[16][1]


@pytest.mark.slow
def test_a_class_kept_out_is_found_by_both() -> None:
    x, y = clouds(240, 4, 0)
    turns = list(left_out(x, y, np.arange(240) % 3 > 0, ("a", "b", "c", "d")))
    assert [turn.label for turn in turns] == ["a", "b", "c", "d"]
    found = compared(turns)
    assert found["detectors"]["gate"]["auroc"] > 0.8
    assert found["detectors"]["autoencoder"]["auroc"] > 0.7


def test_the_gate_stays_unless_the_other_surely_wins() -> None:
    def turn(gate: float, other: float) -> Held:
        return Held(label="x", pictures=9, auroc={"gate": gate, "autoencoder": other})

    assert compared([turn(0.8, 0.83), turn(0.7, 0.66), turn(0.75, 0.8)])["accepted"] == "gate"
    assert compared([turn(0.8, 0.9), turn(0.7, 0.81), turn(0.75, 0.85)])["accepted"] == "autoencoder"
    assert compared([turn(0.8, 0.9)])["accepted"] == "gate"
    assert compared([])["accepted"] == "gate"
