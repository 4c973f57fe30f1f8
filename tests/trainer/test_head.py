"""The linear head: what it promises out of fold it keeps on new pictures, and strange classes do not upset it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.events import Epoch
from trainer.head import CANDIDATES, Head, fit_head, softmax
from zoo.errors import BadPlan


def clouds(n: int, classes: int, seed: int, d: int = 60) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    means = np.random.default_rng(99).normal(size=(classes, d)) * 0.5
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % classes)
    return (means[y] + rng.normal(size=(n, d)) + 5).astype(np.float32), y


def fitted(x: NDArray[np.float32], y: NDArray[np.int64], classes: int) -> tuple[list[Epoch], Head]:
    *epochs, head = fit_head(x, y, np.arange(len(y)), classes)
    assert isinstance(head, Head)
    return [epoch for epoch in epochs if isinstance(epoch, Epoch)], head


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_the_promise_out_of_fold_is_kept_on_new_pictures(classes: int) -> None:
    epochs, head = fitted(*clouds(210, classes, 0), classes)
    x, y = clouds(2000, classes, 1)
    assert len(epochs) == CANDIDATES
    assert abs(float((head.logits(x).argmax(axis=1) == y).mean()) - head.expected) < 0.06


@pytest.mark.parametrize("classes", [2, 5])
def test_its_probabilities_are_not_overconfident(classes: int) -> None:
    _, head = fitted(*clouds(200, classes, 0), classes)
    x, y = clouds(2000, classes, 1)
    probabilities = softmax(head.logits(x))
    assert abs(probabilities.max(axis=1).mean() - (probabilities.argmax(axis=1) == y).mean()) < 0.06


def test_the_head_is_the_best_candidate_on_raw_features() -> None:
    epochs, head = fitted(*clouds(160, 4, 0), 4)
    best = min(epochs, key=lambda epoch: epoch.loss)
    assert head.expected == pytest.approx(best.accuracy)
    assert head.unseen is not None
    logits, y = head.unseen  # what chooses the temperature, with the calibration part
    assert (logits.argmax(axis=1) == y).mean() == pytest.approx(best.accuracy)
    assert [epoch for epoch in epochs if epoch.best][-1] == best


def test_a_class_without_training_pictures_never_wins() -> None:
    x, y = clouds(120, 3, 0)
    _, head = fitted(x, y, 5)
    assert head.weight.shape == (5, 60)
    assert set(head.logits(x).argmax(axis=1)) <= {0, 1, 2}


def test_features_that_never_vary_are_harmless() -> None:
    x, y = clouds(90, 3, 0)
    x[:, :20] = 0
    _, head = fitted(x, y, 3)
    assert np.isfinite(head.weight).all()
    assert head.expected > 0.5


def test_a_handful_of_pictures_is_enough_to_begin() -> None:
    _, head = fitted(*clouds(4, 2, 0), 2)
    assert np.isfinite(head.logits(clouds(8, 2, 1)[0])).all()


def test_groups_keep_copies_from_flattering_it() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 300)).astype(np.float32), rng.integers(0, 4, 80)
    *_, head = fit_head(np.repeat(x, 2, axis=0), np.repeat(y, 2), np.repeat(np.arange(80), 2), 4)
    assert isinstance(head, Head)
    assert head.expected < 0.45


def test_a_stray_picture_of_a_class_of_its_own_does_not_blur_the_rest() -> None:
    x, y = clouds(120, 2, 0)
    x[y == 1] += 6
    _, alone = fitted(x, y, 2)
    stray = np.vstack([x, np.zeros((1, 60), dtype=np.float32)])
    _, beside = fitted(stray, np.append(y, 2), 3)
    sure = [float(softmax(head.logits(x)).max(axis=1).mean()) for head in (alone, beside)]
    assert min(sure) > 0.95


def test_a_rare_class_is_found_where_that_helps_and_nothing_changes_where_classes_are_even() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [360, 40])
    x = (rng.normal(size=(400, 20)) + 0.45 * y[:, None]).astype(np.float32)
    _, head = fitted(x, y, 2)
    new = (rng.normal(size=(1000, 20)) + 0.45).astype(np.float32)  # of the rare class
    upright = head.logits(new) + head.tilt * np.log([0.9, 0.1])
    assert head.tilt > 0
    assert (head.logits(new).argmax(axis=1) == 1).mean() > (upright.argmax(axis=1) == 1).mean() + 0.1
    assert fitted(*clouds(160, 4, 0), 4)[1].tilt == 0


def test_one_class_is_explained() -> None:
    with pytest.raises(BadPlan, match="one class"):
        list(fit_head(np.ones((5, 4), dtype=np.float32), np.zeros(5, dtype=np.int64), np.arange(5), 2))
