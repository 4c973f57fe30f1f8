"""The gate keeps the share it promises on pictures it was not tuned to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.test_head import clouds
from trainer.novelty import KEEN, KEPT, Gate, density, fit_gate
from zoo.errors import BadClassifier
from zoo.probe import even, unit


def test_the_gate_lets_familiar_pictures_through_and_stops_others(tmp_path: Path) -> None:
    x, y = clouds(400, 4, 0)
    gate = fit_gate(x, y, clouds(300, 4, 1)[0], 4)
    gate.save(tmp_path / "gate.npz")
    loaded = Gate.load(tmp_path / "gate.npz")
    assert loaded is not None
    assert 0.9 < (loaded.distance(clouds(1000, 4, 2)[0]) <= loaded.threshold).mean() < 0.99
    strange = np.random.default_rng(5).normal(size=(200, 60)).astype(np.float32) * 3
    assert (loaded.distance(strange) > loaded.threshold).mean() > 0.95


def test_a_gate_that_was_saved_without_what_classes_say_goes_by_nearness_alone(tmp_path: Path) -> None:
    x, y = clouds(200, 4, 0)
    gate = fit_gate(x, y, x[:30], 4)
    np.savez(tmp_path / "gate.npz", means=gate.means, whiten=gate.whiten, threshold=np.array(9.0))
    older = Gate.load(tmp_path / "gate.npz")
    assert older is not None
    assert older.threshold == 9
    near = ((unit(x) @ gate.whiten)[:, None] - gate.means) ** 2
    assert older.distance(x) == pytest.approx(np.sqrt(near.sum(axis=2).min(axis=1)), rel=1e-3)


def test_what_classes_say_and_how_thinly_pictures_lie_each_make_it_farther() -> None:
    x, y = clouds(200, 4, 0)
    gate = fit_gate(x, y, x[:30], 4)
    alone = replace(gate, share=0.0)
    silent = replace(alone, voice=0 * gate.voice, offset=0 * gate.offset)
    between = (x[y == 0][:20] + x[y == 1][:20]) / 2  # no class speaks for them as for its own
    apart = np.abs(np.random.default_rng(5).normal(size=(20, 60)).astype(np.float32))  # nobody is there
    new = clouds(200, 4, 1)[0]
    for more, less, strange in ((alone, silent, between), (gate, alone, apart)):
        assert (more.distance(strange) - less.distance(strange)).mean() > (
            more.distance(new) - less.distance(new)
        ).mean()


def test_the_density_is_of_as_many_pictures_of_each_class_as_there_can_be() -> None:
    from scipy.stats import vonmises_fisher

    x, y = clouds(3000, 3, 0)
    few = np.flatnonzero(y == 2)[:100]
    mine = np.concatenate([np.flatnonzero(y != 2), few])
    kept = fit_gate(x[mine], y[mine], x[:30], 3).kept
    assert len(kept) == KEPT
    rows = even(x[mine])
    class_of = y[mine][(kept @ rows.T).argmax(axis=1)]
    assert np.bincount(class_of).tolist() == [462, 462, 100]
    points = unit(np.random.default_rng(0).normal(size=(5, 3)))
    kernels = np.stack([vonmises_fisher(point, KEEN).pdf(points) for point in points])
    most = vonmises_fisher(points[0], KEEN).pdf(points[0])
    assert density(points, points.astype(np.float32)) == pytest.approx(np.log(kernels.mean(axis=0) / most), rel=1e-4)
    assert density(rows, rows.astype(np.float32)[:1]).max() == pytest.approx(0, abs=1e-4)


def test_too_few_calibration_pictures_leave_the_gate_open() -> None:
    x, y = clouds(60, 3, 0)
    assert np.isinf(fit_gate(x, y, clouds(19, 3, 1)[0], 3).threshold)


def test_a_damaged_gate_is_explained(tmp_path: Path) -> None:
    (tmp_path / "gate.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(BadClassifier):
        Gate.load(tmp_path / "gate.npz")
    assert Gate.load(tmp_path / "none.npz") is None
