"""The training loop on a tiny network: what its knobs change, and what may not change anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.conftest import classes_of, random_weights
from trainer.acceleration import EARNS, compiles
from trainer.augmentation import Augmentation, preview
from trainer.events import Epoch, Event, Started, Step, Stopped
from trainer.explained import early_stop
from trainer.finetune import finetune
from trainer.job import Job
from trainer.networks import embed
from trainer.plan import Plan
from zoo.errors import BadPlan
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store

if TYPE_CHECKING:
    import torch
    from torch import nn

HERE = Path(__file__).parent
ENV = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
NETWORK = "test_efficientnet.r160_in1k"
CLASSES = (24, 12, 12)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Forty-eight small pictures, half of them of one class, and a tiny network with random weights."""
    import torch

    settings = Settings(home=tmp_path_factory.mktemp("home"), offline=True, threads=1)
    torch.set_num_threads(1)
    random_weights(settings.home, NETWORK)
    top = classes_of(tmp_path_factory.mktemp("pictures"), CLASSES)
    store = Store(settings.home)
    dataset = intake(top, store, settings)
    plan = Plan(
        dataset=dataset.id, backbone=f"timm/{NETWORK}", strategy="full", epochs=2, batch=8, patience=0,
        learning_rate=1e-3, label_smoothing=0.1,
    )  # fmt: skip
    return Job(plan, dataset, store, settings, store.root, lambda: False)


class Trained:
    """A finished or stopped fine-tuning: its events, and the network's weights."""

    def __init__(self, job: Job, events: list[Event], network: nn.Module | None) -> None:
        self.job, self.events = job, events
        self.state = {} if network is None else {name: value.clone() for name, value in network.state_dict().items()}

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def losses(self) -> list[float]:
        return [step.loss for step in self.of(Step)]

    def equals(self, other: Trained) -> bool:
        return bool(self.state) and all((value == other.state[name]).all() for name, value in self.state.items())


@pytest.fixture
def train(job: Job, tmp_path: Path) -> Callable[..., Trained]:
    """``train(**changes)`` of the plan, ``train(again=earlier)`` from its checkpoint, ``stop_at`` a step."""

    def run(again: Trained | None = None, stop_at: int | None = None, **changes: Any) -> Trained:
        import torch

        folder = again.job.folder if again else tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir(exist_ok=True)
        steps: list[int] = []
        stop = lambda: stop_at is not None and len(steps) >= stop_at  # noqa: E731
        mine = replace(job, plan=replace(again.job.plan if again else job.plan, **changes), folder=folder, stop=stop)
        torch.manual_seed(0)  # for the head's start
        network = mine.backbone.network(len(CLASSES)).requires_grad_(True)
        events: list[Event] = []

        def watched() -> Generator[Event, None, None]:
            ended.append((yield from finetune(mine, network)))

        ended: list[nn.Module | None] = []
        for event in watched():
            if isinstance(event, Step):
                steps.append(event.step)
            events.append(event)
        return Trained(mine, events, ended[0])

    return run


@pytest.mark.slow
def test_a_run_stopped_and_resumed_ends_to_the_bit_where_an_undisturbed_does(train: Callable[..., Trained]) -> None:
    knobs = {
        "mixup": 0.2, "rotate": 20.0, "framing": "squash", "balance": "sample", "accumulate": 2, "batch": 4,
        "epochs": 3,
    }  # fmt: skip
    whole = train(**knobs)
    first = train(stop_at=3, **knobs)
    assert first.of(Stopped)
    second = train(again=first)
    assert second.of(Started)[0].step == 3
    assert first.losses + second.losses == whole.losses
    assert second.equals(whole)
    assert {event.epoch for event in whole.of(Epoch)} == {1, 2, 3}


@pytest.mark.slow
def test_it_stops_once_held_out_pictures_can_show_no_gain_unless_it_is_told_never_to(
    train: Callable[..., Trained],
) -> None:
    knobs: dict[str, Any] = {"epochs": 12, "label_smoothing": 0.0, "learning_rate": 1e-2, "ema": 0.0, "crop": 1.0}
    eager, stubborn = train(patience=11, **knobs), train(patience=0, **knobs)
    losses = [event.loss for event in eager.of(Epoch)]
    assert losses[-1] < 0.01 <= min(losses[:-1])
    assert len(losses) < 12
    said = early_stop(eager.job.plan, eager.of(Epoch), "finished")
    assert said.startswith(f"Stopped early, after pass {len(losses)} of 12: a held-out loss of 0.0")
    told = [event.loss for event in stubborn.of(Epoch)]
    assert told[: len(losses)] == losses
    assert len(told) == 12


@pytest.mark.slow
def test_accumulation_and_checkpointing_leave_the_loss_curve_alone(train: Callable[..., Trained]) -> None:
    whole, parted = train(), train(batch=4, accumulate=2)
    assert parted.losses == pytest.approx(whole.losses, rel=1e-4)
    twice = train(checkpointing=True)
    assert twice.losses == pytest.approx(whole.losses, rel=1e-4)


@pytest.mark.slow
def test_where_memory_runs_out_the_step_is_begun_again_in_smaller_pieces(
    train: Callable[..., Trained], job: Job, tmp_path: Path
) -> None:
    whole = train(epochs=1, batch=24)
    plan = json.dumps(replace(job.plan, epochs=1, batch=24).as_json())
    line = [
        sys.executable,
        str(HERE / "small_memory.py"),
        str(job.settings.home),
        plan,
        str(tmp_path / "spared"),
        "128",
    ]
    environ = ENV | {"MALLOC_ARENA_MAX": "1"}  # each thread's own would set aside 64 MB by itself
    done = subprocess.run(line, cwd=HERE.parents[1], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    spared = json.loads(done.stdout)
    assert any("Memory ran out" in note and "its 24 pictures" in note for note in spared["notes"])
    assert spared["losses"] == pytest.approx(whole.losses, rel=1e-4)


def test_a_squashed_picture_keeps_its_ends_in_training_in_features_and_in_the_preview(job: Job) -> None:
    squashed = replace(job, plan=replace(job.plan, framing="squash", crop=0.9, flip=False))
    assert squashed.preprocessing.squash
    rows = np.arange(4)
    assert not np.allclose(squashed.extractor.rows(rows).head, job.extractor.rows(rows).head)
    assert squashed.extractor.card.preprocessing == squashed.preprocessing
    long = np.zeros((40, 400, 3), np.uint8)
    long[:, :20] = long[:, -20:] = 255  # what a centre crop never shows
    seen = Augmentation(squashed.preprocessing, 0.9, flip=False)(long, np.random.default_rng(0))
    assert seen[:, :5].max() > 200 < seen[:, -5:].max()
    assert Augmentation(job.preprocessing, 1.0, flip=False)(long, np.random.default_rng(0)).max() == 0
    shown = preview(squashed, [0, 1], versions=2)
    assert [[each.shape for each in row] for row in shown] == [[(160, 160, 3)] * 3] * 2


def test_losses_of_rare_classes_weigh_more_and_blended_pictures_are_called_both(job: Job) -> None:
    import torch

    from trainer.loss import Loss, Target, blended

    y = np.array([0, 0, 0, 1])
    said, truth = torch.zeros(4, 2), torch.from_numpy(y)
    even = Loss(job.plan, y, 2, said.device)(said, Target(truth))
    weighed = Loss(replace(job.plan, balance="weights"), y, 2, said.device)(said, Target(truth))
    assert weighed.mean().item() == pytest.approx(even.mean().item())
    assert weighed[3].item() == pytest.approx(3 * weighed[0].item())
    x = torch.eye(4)
    mixed, target = blended(x, truth, 1.0, (0, 1))
    assert mixed.sum(1).tolist() == pytest.approx([1] * 4)
    assert torch.equal(mixed, blended(x, truth, 1.0, (0, 1))[0])
    assert 0.5 <= target.share < 1
    assert not torch.equal(mixed, blended(x, truth, 1.0, (0, 2))[0])


def test_an_unfitting_knob_is_said_before_training(
    train: Callable[..., Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.acceleration.find_spec", lambda name: None)
    with pytest.raises(BadPlan, match="trackio is not installed"):
        train(tracker="trackio")


@pytest.mark.slow
@pytest.mark.parametrize("tracker", ["tensorboard", "trackio"])
def test_a_tracker_is_told_every_loss_and_a_resumed_run_goes_on_with_its_curve(
    train: Callable[..., Trained], tracker: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: Any
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path_factory.mktemp("trackio")))
    first = train(stop_at=2, epochs=1, tracker=tracker)
    second = train(again=first)
    told = {step.step: step.loss for step in first.of(Step) + second.of(Step)}
    assert len(told) == second.of(Started)[0].steps
    assert noted(tracker, first.job.folder) == pytest.approx(told, rel=1e-5)


def test_torch_compiles_where_a_run_is_long_enough_to_earn_it_or_a_person_says_so(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, none = replace(job.plan, compile="yes"), replace(job.plan, compile="no")
    assert not compiles(job.plan, 10 * EARNS, "cpu"), "a CPU never earns it by itself"
    assert not compiles(job.plan, EARNS - 1, "cuda")
    assert not compiles(none, 10 * EARNS, "cuda")
    monkeypatch.setattr("trainer.acceleration.which", lambda name: f"/bin/{name}")
    assert compiles(wanted, 1, "cpu")
    monkeypatch.setattr("trainer.acceleration.which", lambda name: None)
    with pytest.raises(BadPlan, match="C\\+\\+ compiler"):
        compiles(wanted, 1, "cpu")


def noted(tracker: str, folder: Path) -> dict[int, float]:
    """Training losses by step, as the tracker's own reader has them."""
    if tracker == "trackio":
        from trackio.sqlite_storage import SQLiteStorage

        rows = SQLiteStorage.get_metric_values("transfer-zoo", folder.name, "train/loss")
        return {row["step"]: row["value"] for row in rows}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (place,) = {path.parent for path in folder.glob("tracker/transfer-zoo/events.*")}
    return {event.step: event.value for event in EventAccumulator(str(place)).Reload().Scalars("train/loss")}


def test_a_network_is_judged_in_smaller_pieces_where_memory_runs_out(job: Job) -> None:
    import torch

    network = job.backbone.network(2).eval()
    pictures, cpu = job.shown(np.arange(12)), torch.device("cpu")
    whole, sizes = embed(network, pictures, job.preprocessing, cpu), []
    features = network.forward_features

    def short(x: torch.Tensor) -> torch.Tensor:
        sizes.append(len(x))
        if len(x) > 4:
            raise RuntimeError("could not create a primitive")
        return features(x)  # type: ignore[operator, no-any-return]

    network.forward_features = short  # type: ignore[assignment]
    assert embed(network, pictures, job.preprocessing, cpu) == pytest.approx(whole, rel=1e-4, abs=1e-5)
    assert sizes == [12, 8, 4, 4, 4]
