"""Plans refuse nonsense at birth, survive JSON, and follow the advice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PictureFolder
from trainer.plan import Plan
from trainer.plans import suggest
from trainer.strategies import strategies, strategy
from zoo.errors import BadPlan
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store

GOOD: dict[str, Any] = {"dataset": "d", "backbone": "embedded/tf_efficientnet_lite0"}


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"epochs": 10**9}, {"learning_rate": float("nan")}, {"batch": -1}, {"optimizer": "lion"},
     {"precision": "int8"}, {"crop": 0.0}, {"backbone": "resnet"}, {"seed": -1}, {"processes": 0},
     {"budget_seconds": 0.0}],
)  # fmt: skip
def test_nonsense_is_refused_at_birth(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadPlan):
        Plan(**(GOOD | wrong))


@pytest.mark.parametrize("wrong", [{"epochs": "3"}, {"flip": 1}, {"nope": 1}, {"batch": 3.5}, {"epochs": None}])
def test_json_of_the_wrong_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadPlan):
        Plan.from_json(GOOD | wrong)


def test_json_without_a_dataset_is_refused() -> None:
    with pytest.raises(BadPlan, match="dataset"):
        Plan.from_json({"backbone": "a/b"})


def test_a_plan_survives_json() -> None:
    plan = Plan.from_json(GOOD | {"strategy": "full", "budget_seconds": 30.0, "predicted_accuracy": 0.5})
    assert Plan.from_json(plan.as_json()) == plan


def test_the_advice_is_followed_and_a_person_overrules_it(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    dataset = intake(picture_folder(2, 6), store, settings)
    comparison = {
        "plan": {"backbone": "embedded/tf_efficientnet_lite1", "strategy": "full"},
        "backbones": [
            {"id": "embedded/tf_efficientnet_lite1", "ms_per_picture": 10.0, "accuracy": 0.8, "interval": [0.7, 0.9]}
        ],
    }
    advised = suggest(comparison, dataset, settings)
    assert (advised.backbone, advised.strategy) == ("embedded/tf_efficientnet_lite1", "full")
    assert (advised.predicted_accuracy, advised.predicted_low, advised.predicted_high) == (0.8, 0.7, 0.9)
    assert advised.predicted_seconds is not None
    cheaper = suggest(comparison, dataset, settings, strategy="linear_head", epochs=None)
    assert cheaper.strategy == "linear_head"
    assert (cheaper.predicted_seconds or 0) < advised.predicted_seconds
    assert suggest(None, dataset, settings).backbone == "embedded/tf_efficientnet_lite0"


@pytest.mark.parametrize("wrong", [{"backbone": "pixels/8x8"}, {"strategy": "magic"}, {"engine": "abacus"}])
def test_what_cannot_run_is_refused_before_it_is_queued(
    wrong: dict[str, Any], picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    dataset = intake(picture_folder(2, 6), store, settings)
    with pytest.raises(BadPlan):
        suggest(None, dataset, settings, **wrong)


def test_every_strategy_says_what_it_is_for() -> None:
    assert {"linear_head", "full"} <= set(strategies())
    assert all(one.title and one.why.endswith(".") for one in strategies().values())
    with pytest.raises(BadPlan, match="linear_head"):
        strategy("magic")


def test_batches_do_not_depend_on_where_an_epoch_was_broken_off(tmp_path: Path) -> None:
    import numpy as np

    from trainer.batches import Batches

    whole = list(Batches(np.arange(50), 8, seed=3, epoch=2))
    assert list(Batches(np.arange(50), 8, seed=3, epoch=2, done=4)) == whole[4:]
    assert list(Batches(np.arange(50), 8, seed=3, epoch=1)) != whole
    assert len(list(Batches(np.arange(50), 8, seed=3, epoch=2, processes=4))) == 4
    assert len(list(Batches(np.arange(3), 3, seed=0, epoch=0))) == 1


def test_augmentation_depends_on_seed_epoch_and_index_alone() -> None:
    import numpy as np

    from tests.conftest import drawn
    from trainer.batches import Augmentation
    from zoo.backbone import Preprocessing

    augment = Augmentation(Preprocessing(size=32), crop=0.5, flip=True)
    picture = np.asarray(drawn(0, 0, (90, 60)))
    seen = [augment(picture, np.random.default_rng((0, epoch, 7))) for epoch in (0, 0, 1)]
    assert seen[0].shape == (32, 32, 3)
    assert (seen[0] == seen[1]).all()
    assert (seen[0] != seen[2]).any()
