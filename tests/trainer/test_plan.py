"""Plans refuse nonsense at birth, survive JSON, and follow the advice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr
import pytest

from tests.conftest import PictureFolder
from trainer import anatomy
from trainer.cost import Sizes, Speed, cost
from trainer.plan import Plan
from trainer.plans import suggest
from trainer.strategies import strategies, strategy
from trainer.ui.plan_form import NAMES, Form
from zoo import sources
from zoo.errors import BadPlan
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store

GOOD: dict[str, Any] = {"dataset": "d", "backbone": "embedded/tf_efficientnet_lite0"}


def test_a_forecast_is_of_the_taps_that_a_plan_names_however_it_writes_them(
    picture_folder: PictureFolder, store: Store, settings: Settings
) -> None:
    dataset = intake(picture_folder(2, 6), store, settings)
    (store.datasets / f"{dataset.id}.jsonl").unlink()  # what is at hand is not read again
    shares = {"blocks.4": 3.0, "blocks.5": 6.0, "blocks.6": 5.0, "head": 8.0}
    read = [{"name": name, "accuracy": share, "interval": [share] * 2} for name, share in shares.items()]
    joined = {"tap": {"name": "blocks.5, blocks.6, head", "accuracy": 9.0, "interval": [9.0, 9.0]}}
    row = {"id": "embedded/tf_efficientnet_lite0", "ms_per_picture": 10.0, "accuracy": 8.0, "interval": [8.0, 8.0]}
    comparison = {"backbones": [row | {"taps": read, "joined": joined}]}
    for taps, expected in (
        ("head,blocks.6 , blocks.5", 9.0),
        (" blocks.6", 5.0),
        ("blocks.6,blocks.4", 5.0),
        ("head", 8.0),
        ("", 6.0),
    ):
        plan = suggest(comparison, dataset, settings, strategy="earlier_layer", taps=taps)
        assert plan.predicted_accuracy == expected, taps
    with pytest.raises(BadPlan, match="no tap"):
        suggest(comparison, dataset, settings, strategy="earlier_layer", taps="blocks.66")


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


def test_an_epoch_has_the_same_steps_however_they_are_shared_and_accumulated() -> None:
    import numpy as np

    from trainer.batches import batches, order

    y = np.array([0] * 40 + [1] * 10)
    rows = order(np.arange(50), y, seed=3, epoch=2)
    whole = [set(batch[:, 0].tolist()) for batch in batches(rows, 16)]
    assert len(whole) == 3
    shared = [batches(rows, 4, processes=2, rank=rank, accumulate=2) for rank in (0, 1)]
    assert [len(mine) for mine in shared] == [6, 6]
    for step, pictures in enumerate(whole):
        parts = [mine[2 * step + part][:, 0] for mine in shared for part in (0, 1)]
        assert set(np.concatenate(parts).tolist()) == pictures
    assert len(batches(rows[:3], 3)) == 1
    even = order(np.arange(50), y, seed=3, epoch=2, evenly=True)
    assert np.bincount(y[even[:, 0]]).tolist() == [25, 25]
    assert len({tuple(row) for row in even.tolist()}) == 50, "who comes again comes as another crop"


def test_augmentation_depends_on_seed_epoch_and_index_alone() -> None:
    import numpy as np

    from tests.conftest import drawn
    from trainer.augmentation import Augmentation
    from zoo.backbone import Preprocessing

    augment = Augmentation(Preprocessing(size=32), crop=0.5, flip=True)
    picture = np.asarray(drawn(0, 0, (90, 60)))
    seen = [augment(picture, np.random.default_rng((0, epoch, 7))) for epoch in (0, 0, 1)]
    assert seen[0].shape == (32, 32, 3)
    assert (seen[0] == seen[1]).all()
    assert (seen[0] != seen[2]).any()


def test_long_pictures_are_shown_whole_and_rare_classes_as_often_as_others(
    store: Store, settings: Settings, picture_folder: PictureFolder
) -> None:
    from trainer.fitting import fitting

    top = picture_folder(("rare",), 12, size=(120, 40))
    picture_folder(("common",), 48, size=(120, 40))
    found = fitting(intake(top, store, settings), seed=0)
    assert {name: value for name, (value, _) in found.items()} == {"framing": "squash", "balance": "sample"}
    assert all(reason.endswith(".") for _, reason in found.values())
    assert fitting(intake(picture_folder(2, 20, name="usual"), store, settings), seed=0) == {}


def test_half_a_name_in_the_form_is_not_judged_while_it_is_typed() -> None:
    with gr.Blocks():
        form = Form.place()
    asked = {(NAMES[form.fields.index(event.__self__)], event.event_name) for event in form.later}
    assert {("cut", "blur"), ("cut", "submit"), ("taps", "blur"), ("taps", "submit"), ("epochs", "input")} <= asked
    assert not {("cut", "input"), ("taps", "input")} & asked


def test_a_joined_layer_is_foretold_the_disk_that_its_wider_gate_takes(settings: Settings) -> None:
    card = sources.card("embedded/tf_efficientnet_lite1", settings)
    plan = Plan(dataset="d", backbone=card.id, strategy="earlier_layer")
    sizes = Sizes(every=228, train=129, select=28, known=228)
    speed = Speed(frozen=0.06, torch=0.09)

    def disk(*sets: tuple[int, ...]) -> float:
        return cost(plan, card, replace(sizes, sets=sets), speed, anatomy.known(card, settings)).disk_mb

    assert disk((5, 6, 7)) == pytest.approx(30.6, rel=0.1)  # what such a run on the sample came to keep
    assert disk((2,)) < 0.6 * disk((5, 6, 7))
