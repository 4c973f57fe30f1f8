"""Runs on two real Ray nodes: the same accuracy as at home, and what happens when a node, the head or a token fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.conftest import drawn
from tests.ray_nodes import Nodes, cluster, needs_ray
from tests.trainer.conftest import end_everything, until
from trainer.events import Event, Started
from trainer.plan import Plan
from trainer.runs import Runs
from zoo.intake import intake
from zoo.settings import Settings, usable_cores
from zoo.store import Store

pytestmark = [pytest.mark.slow, needs_ray]
__all__ = ["cluster"]
NETWORK = "test_resnet.r160_in1k"
PATIENCE = 120


@pytest.fixture(scope="module")
def runs(cluster: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), offline=True, threads=min(2, usable_cores()))
    own = {**cluster.environment, "OMP_NUM_THREADS": "1"}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)  # for the supervisor and the drivers it starts
    made = Runs(Store(settings.home), settings)
    yield made
    end_everything(made.store)
    for name, value in before.items():
        if value is None:
            os.environ.pop(name)
        else:
            os.environ[name] = value


@pytest.fixture(scope="module")
def plan(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Fine-tuning by two processes."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    weights = runs.store.root / "models" / NETWORK / "model.safetensors"
    weights.parent.mkdir(parents=True)
    save_file(timm.create_model(NETWORK, pretrained=False).state_dict(), weights)
    pictures = tmp_path_factory.mktemp("pictures")
    for kind in range(3):
        (pictures / f"class_{kind}").mkdir()
        for number in range(20):
            drawn(kind, number).save(pictures / f"class_{kind}" / f"{number}.png")
    dataset = intake(pictures, runs.store, runs.settings)
    return Plan(
        dataset=dataset.id, backbone=f"timm/{NETWORK}", strategy="full", engine="ray", processes=2, epochs=6, batch=4,
        patience=0, learning_rate=1e-4, wise=False,
    )  # fmt: skip


def finished(runs: Runs, run_id: str) -> None:
    until(lambda: not runs.read(run_id).active, PATIENCE)
    told = (runs.folder(run_id) / "log.txt").read_text(errors="replace")[-3000:]
    assert runs.read(run_id).state == "finished", f"{runs.read(run_id).message}\n{told}"


def events(runs: Runs, run_id: str, kind: type[Event]) -> list[Event]:
    return [event for _, event in runs.watch(run_id) if isinstance(event, kind)]


def test_two_nodes_learn_what_two_processes_here_learn(runs: Runs, plan: Plan, cluster: Nodes) -> None:
    far, near = runs.start(plan), runs.start(replace(plan, engine="local"))
    finished(runs, far)
    finished(runs, near)
    there, here = runs.read(far), runs.read(near)
    assert {place["node"] for place in there.places} == {node.address for node in cluster.nodes}
    assert [place["rank"] for place in there.places] == [0, 1]
    assert there.losses == pytest.approx(here.losses, rel=1e-3), "the gradients of both nodes are in every step"
    assert there.test is not None
    assert here.test is not None
    low, high = here.test["interval"]
    assert low <= there.test["accuracy"] <= high
    assert (runs.classifier(far) / "model.safetensors").is_file()
    (started,) = events(runs, far, Started)
    assert isinstance(started, Started)
    assert started.processes == 2
