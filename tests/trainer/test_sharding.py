"""A network shared out over two real processes (FSDP over gloo) learns what copies of it do, and comes out whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.conftest import classes_of, drawn, random_weights
from tests.trainer.small_shares import run
from trainer.classifier import Classifier
from trainer.events import Epoch, Failed, Finished, Started, Step
from trainer.folder import RunFolder
from trainer.plan import Plan
from trainer.sharding import Copies, _blocks, _check, _size, holding, local, whole
from zoo.errors import BadPlan
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store, write_json

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENV = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
TRANSFORMER, CONVOLUTIONAL = "test_vit.r160_in1k", "test_efficientnet.r160_in1k"
CLASSES = (24, 12, 12)

Found = list[dict[str, Any]]  # what each process wrote down


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the random weights of two tiny networks."""
    home = tmp_path_factory.mktemp("home")
    for network in (TRANSFORMER, CONVOLUTIONAL):
        random_weights(home, network)
    return home


@pytest.fixture(scope="module")
def plan(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Nine steps of a tiny transformer, over forty-eight small pictures shared by two processes."""
    pictures = classes_of(tmp_path_factory.mktemp("pictures"), CLASSES)
    dataset = intake(pictures, Store(home), Settings(home=home, offline=True, threads=1))
    return Plan(
        dataset=dataset.id, backbone=f"timm/{TRANSFORMER}", strategy="full", epochs=3, batch=4, processes=2, patience=0,
        learning_rate=1e-4, label_smoothing=0.1, sharded=True,
    )  # fmt: skip


def launched(*line: object) -> None:
    """Two processes of ``line``."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*launcher, *map(str, line)], cwd=ROOT, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def trained(home: Path, folder: Path, plan: Plan, stop_at: int = 0) -> Found:
    """What each process of a fine-tuning in ``folder``, or of the rest of one, wrote down."""
    folder.mkdir(exist_ok=True)
    if plan.processes == 1:
        run(home, plan, folder, stop_at)
    else:
        launched(HERE / "small_shares.py", home, json.dumps(plan.as_json()), folder, stop_at)
    return [json.loads((folder / f"process-{rank}.json").read_text()) for rank in range(plan.processes)]


def network(folder: Path) -> dict[str, Any]:
    import torch

    state: dict[str, Any] = torch.load(folder / "network-0.pt", weights_only=True)
    return state


def alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    import torch

    return one.keys() == other.keys() and all(
        torch.allclose(value, other[name], rtol=1e-3, atol=1e-5) for name, value in one.items()
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes"),
    [(TRANSFORMER, {}), (CONVOLUTIONAL, {"optimizer": "sgd", "learning_rate": 1e-2, "checkpointing": True})],
)
def test_processes_with_shares_learn_what_processes_with_copies_do_and_hold_half(
    name: str, changes: dict[str, Any], home: Path, plan: Plan, tmp_path: Path
) -> None:
    plan = replace(plan, backbone=f"timm/{name}", batch=2, accumulate=2, **changes)
    copies = trained(home, tmp_path / "copies", replace(plan, sharded=False))
    shares = trained(home, tmp_path / "shares", plan)
    assert len(shares[0]["losses"]) == 9
    for each in shares:
        assert each["losses"] == pytest.approx(copies[0]["losses"], rel=1e-4)
        assert each["judged"] == pytest.approx(copies[0]["judged"], rel=1e-4)
    for part in ("weights", "average", "optimizer"):
        assert copies[0]["held"][part] == copies[1]["held"][part] == 1
        held = [each["held"][part] for each in shares]
        assert sum(held) == pytest.approx(1)
        assert held == pytest.approx([0.5, 0.5], abs=0.02)
    assert shares[0]["held"]["statistics"] == shares[1]["held"]["statistics"]
    assert alike(network(tmp_path / "shares"), network(tmp_path / "copies"))
    assert not (tmp_path / "shares" / "network-1.pt").exists(), "the first process alone has the whole network"


@pytest.mark.slow
def test_a_run_goes_on_sharded_or_not_and_with_another_number_of_processes(
    home: Path, plan: Plan, tmp_path: Path
) -> None:
    whole = trained(home, tmp_path / "whole", replace(plan, processes=1, batch=8))
    shares, copies = tmp_path / "shares", tmp_path / "copies"
    first = trained(home, shares, plan, stop_at=5)
    trained(home, copies, replace(plan, sharded=False), stop_at=5)
    for folder in (shares, copies):
        shutil.copytree(folder, f"{folder} alone")
    assert len(first[0]["losses"]) == 5
    again = trained(home, shares, plan)
    assert first[0]["losses"] + again[0]["losses"] == pytest.approx(whole[0]["losses"], rel=1e-4)
    assert alike(network(shares), network(tmp_path / "whole"))
    again = trained(home, copies, plan)
    assert first[0]["losses"] + again[0]["losses"] == pytest.approx(whole[0]["losses"], rel=1e-4)
    assert alike(network(copies), network(tmp_path / "whole"))
    alone = [trained(home, Path(f"{folder} alone"), replace(plan, processes=1))[0] for folder in (shares, copies)]
    assert len(alone[0]["losses"]) > 4  # the smaller steps that were left
    assert alone[0]["losses"] == pytest.approx(alone[1]["losses"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (TRANSFORMER, {"strategy": "lora", "precision": "bf16"}),
        (CONVOLUTIONAL, {"strategy": "last_blocks", "optimizer": "sgd"}),
    ],
)
def test_the_classifier_of_a_sharded_run_answers(
    name: str, changes: dict[str, Any], home: Path, plan: Plan, tmp_path: Path
) -> None:
    plan = replace(plan, backbone=f"timm/{name}", epochs=2, learning_rate=1e-3, **changes)
    write_json(tmp_path / "plan.json", plan.as_json())
    launched("-m", "trainer", "work", tmp_path, "--home", home)
    events = [event for _, event in RunFolder(tmp_path).tail().read()]
    assert not kinds(events, Failed)
    assert [event.processes for event in kinds(events, Started)] == [2]
    assert len(kinds(events, Epoch)) == 2
    assert len({event.loss for event in kinds(events, Step)}) > 2
    (finished,) = kinds(events, Finished)
    classifier = Classifier.load(tmp_path / "classifier")
    answers = classifier.predict([np.asarray(drawn(kind, 100 + kind)) for kind in range(3)])
    assert all(sum(share for _, share in answer.top) == pytest.approx(1) for answer in answers)
    assert finished.test["accuracy"] >= 0.5


def kinds(events: Iterable[Any], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_one_process_holds_everything_and_what_cannot_be_shared_out_is_refused(plan: Plan) -> None:
    import torch
    from torch import nn

    alone: Any = SimpleNamespace(num_processes=1)
    assert isinstance(holding(plan, alone), Copies)
    several: Any = SimpleNamespace(num_processes=2)
    assert isinstance(holding(replace(plan, sharded=False), several), Copies)
    ones = torch.ones(3)
    assert local(ones) is ones is whole(ones)
    with pytest.raises(BadPlan, match="not compiled"):
        replace(plan, compile="yes")
    scaled = nn.Linear(2, 2)
    scaled.scale = nn.Parameter(torch.tensor(1.0))
    with pytest.raises(BadPlan, match="single numbers"):
        _check(scaled)
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    _check(tied)
    tied[1].weight = tied[0].weight
    with pytest.raises(BadPlan, match="several layers use"):
        _check(tied)


@pytest.mark.parametrize(
    ("name", "largest", "left"),
    [
        ("vit_tiny_patch16_224", 0.09, 0.03),
        ("swinv2_tiny_window8_256", 0.27, 0.03),
        ("regnety_002", 0.12, 0.08),  # its stages are no lists
        ("convnext_atto", 0.26, 0.03),
    ],
)
def test_a_network_comes_together_block_by_block(name: str, largest: float, left: float) -> None:
    import timm
    import torch

    with torch.device("meta"):
        network = timm.create_model(name)
    sizes = [_size(block) / _size(network) for block in _blocks(network, network)]
    assert max(sizes) < largest, "the largest block"
    assert 1 - sum(sizes) < left, "what stays together while it trains"
