"""Runs on two real Ray nodes: the same accuracy as at home, and what happens when a node, the head or a token fails."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import classes_of, drawn, random_weights
from tests.ray_nodes import Nodes, cluster, needs_ray
from tests.trainer.conftest import end_everything, until
from trainer.driving import _ended
from trainer.events import Failed, Started
from trainer.folder import RunFolder
from trainer.plan import Plan
from trainer.runs import Runs
from zoo.cluster import check
from zoo.errors import BadPlan
from zoo.intake import intake
from zoo.settings import Settings, usable_cores
from zoo.store import Store

pytestmark = [pytest.mark.slow, needs_ray]
__all__ = ["cluster"]
NETWORK = "test_resnet.r160_in1k"
PATIENCE = 240


@pytest.fixture(scope="module")
def runs(cluster: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), offline=True, threads=min(2, usable_cores()))
    own = {**cluster.environment, "OMP_NUM_THREADS": "1"}
    own |= {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}  # a process for each run, for clouds
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
    random_weights(runs.store.root, NETWORK)
    pictures = classes_of(tmp_path_factory.mktemp("pictures"), (20, 20, 20))
    dataset = intake(pictures, runs.store, runs.settings)
    return Plan(
        dataset=dataset.id, backbone=f"timm/{NETWORK}", strategy="full", engine="ray", processes=2, epochs=6, batch=4,
        patience=0, learning_rate=1e-4, label_smoothing=0.1, wise=False,
    )  # fmt: skip


def finished(runs: Runs, run_id: str) -> None:
    until(lambda: not runs.read(run_id).active, PATIENCE)
    told = (runs.folder(run_id) / "log.txt").read_text(errors="replace")[-3000:]
    assert runs.read(run_id).state == "finished", f"{runs.read(run_id).message}\n{told}"


def test_two_nodes_learn_what_two_processes_here_learn(runs: Runs, plan: Plan, cluster: Nodes) -> None:
    far, near = runs.start(plan), runs.start(replace(plan, engine="local"))
    finished(runs, far)
    finished(runs, near)
    there, here = runs.read(far), runs.read(near)
    assert {place["node"] for place in there.places} == {node.address for node in cluster.nodes}
    assert [place["rank"] for place in there.places] == [0, 1]
    assert len(here.losses) > 20
    assert [loss for _, loss in there.losses] == pytest.approx([loss for _, loss in here.losses], rel=1e-3), "in sync"
    assert there.test is not None
    assert here.test is not None
    low, high = here.test["interval"]
    assert low <= there.test["accuracy"] <= high
    assert (runs.classifier(far) / "model.safetensors").is_file()
    assert {event.processes for _, event in runs.watch(far) if isinstance(event, Started)} == {2}


def test_a_run_is_stopped_and_resumed_and_finishes_though_a_node_dies(runs: Runs, plan: Plan, cluster: Nodes) -> None:
    run_id = runs.start(replace(plan, epochs=14))
    until(lambda: len(runs.read(run_id).epochs) > 1 or not runs.read(run_id).active, PATIENCE)
    runs.stop(run_id)
    until(lambda: not runs.read(run_id).active, PATIENCE)
    stopped = runs.read(run_id)
    assert stopped.state == "stopped", stopped.message
    assert (runs.folder(run_id) / "checkpoint" / "newest.pt").is_file()
    runs.resume(run_id)
    until(lambda: runs.read(run_id).step > stopped.step + 3 or not runs.read(run_id).active, PATIENCE)
    assert runs.read(run_id).active, runs.read(run_id).message
    assert runs.read(run_id).first_step >= stopped.step
    cluster.nodes[1].kill()
    finished(runs, run_id)
    ended = runs.read(run_id)
    assert [place["node"] for place in ended.places] == [cluster.head.address]
    assert ended.first_step >= 2 * stopped.step, "one process goes on where two were, and takes twice the steps"
    assert [epoch.epoch for epoch in ended.epochs] == list(range(1, 15))
    cluster.restore()


def test_nodes_that_share_no_disk_bring_a_run_home_through_a_storage(
    runs: Runs, plan: Plan, cluster: Nodes, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    for kind in range(2):
        (pictures / f"class_{kind}").mkdir(parents=True)
        for number in range(12):
            drawn(kind, 100 + number).save(pictures / f"class_{kind}" / f"{number}.png")
    chosen = ("--strategy", "linear_head", "--backbone", plan.backbone, "--engine", "ray", "--json")
    line = [sys.executable, "-m", "trainer", "fit", str(pictures), *chosen]
    storage, home = tmp_path / "storage", tmp_path / "home"  # a home of its own: so is the supervisor, who has to know
    shutil.copytree(runs.store.root / "models", home / "models")
    own = os.environ | {"STUDIO_HOME": str(home), "STUDIO_OFFLINE": "1"}
    own |= {"STUDIO_CLUSTER_STORAGE": storage.as_uri()}  # nodes do not see that home: each has a disk of its own
    done = subprocess.run(line, env=own, capture_output=True, text=True, check=False, timeout=PATIENCE)
    end_everything(Store(home))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["test"]["n"] > 0
    assert "process 0 on 127.0.0." in done.stderr
    made = json.loads(done.stdout)
    kept = storage / "runs" / made["run"]
    assert {path.name for path in kept.iterdir()} >= {"classifier", "evaluation.json", "evidence.npz", "events"}
    at_home = Path(made["classifier"]) / "model.safetensors"
    assert at_home.read_bytes() == (kept / "classifier" / "model.safetensors").read_bytes()
    (node,) = (node for node in cluster.nodes if node.address in done.stderr)
    carried = cluster.home_of(node.name) / "carried" / node.address
    assert len(list(carried.glob("originals/*/*"))) == 24
    assert not list(carried.glob("runs/.*")), "what it worked in is gone"
    mine = Runs(Store(home), Settings(home=home, cluster_storage=storage.as_uri()))
    mine.delete(made["run"])
    assert kept.is_dir(), "from the bin it can come back"
    mine.purge(made["run"])
    until(lambda: not kept.exists() and not list(mine.store.runs.glob(".left-*")))
    assert list((storage / "runs").iterdir()) == [], "the folder of all runs stays"


def refusal(runs: Runs, plan: Plan, **own: str) -> str:
    """What the driver of a run says of a cluster that it cannot use; each time one sentence and a remedy."""
    folder = RunFolder(runs.store.runs / secrets.token_hex(8))
    folder.path.mkdir()
    folder.write_plan(plan)
    line = [sys.executable, "-m", "trainer", "drive", str(folder.path)]
    env = os.environ | {"STUDIO_HOME": str(runs.store.root)} | own
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (failed,) = [event for _, event in folder.tail().read() if isinstance(event, Failed)]
    shutil.rmtree(folder.path)
    return f"{failed.problem} {failed.remedy}"


def test_a_cluster_that_cannot_be_used_is_said_in_a_sentence(runs: Runs, plan: Plan, tmp_path: Path) -> None:
    wrong = tmp_path / "token"
    wrong.touch(mode=0o600)
    wrong.write_text(secrets.token_hex(32))
    told = refusal(runs, plan, STUDIO_CLUSTER_TOKEN=str(wrong))
    assert "does not take this token. Copy the head's token" in told
    assert wrong.read_text() not in told
    assert "its nodes hold 2. Add nodes, or choose 2 processes." in refusal(runs, replace(plan, processes=9))


def test_no_cluster_and_a_token_that_others_read_are_said_without_ray(cluster: Nodes, tmp_path: Path) -> None:
    open_to_all = tmp_path / "token"
    open_to_all.write_text("secret")
    open_to_all.chmod(0o644)
    known = Settings(home=tmp_path, cluster=cluster.address, cluster_token=cluster.token)
    check(known)
    for settings, told in (
        (replace(known, cluster=""), "No cluster is named."),
        (replace(known, cluster="127.0.0.1:1"), "No cluster answers at 127.0.0.1:1."),
        (replace(known, cluster_token=None), "token is missing"),
        (replace(known, cluster_token=open_to_all), "Others can read"),
    ):
        with pytest.raises(BadPlan, match=told):
            check(settings)
    assert "ray" not in sys.modules


def test_what_ends_a_run_on_a_cluster_is_known_by_its_kind_and_else_said_in_ray_s_last_words() -> None:
    from ray.exceptions import ActorDiedError, OutOfDiskError, OutOfMemoryError
    from ray.train import ControllerError, TrainingFailedError, WorkerGroupError
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    unseen = BadPlan("Node 10.0.0.7 does not see the run's folder.", "Share it.")
    dead = WorkerHealthCheckFailedError("checked", ActorDiedError())
    misled = RuntimeError("OutOfMemoryError: does not see the run's folder in cluster storage\nit said so")
    with socket.create_server(("127.0.0.1", 0)) as head:
        known = Settings(home=Path(), cluster=f"127.0.0.1:{head.getsockname()[1]}")
        for error, problem in (
            (WorkerGroupError("text", {0: unseen, 1: dead}), unseen.problem),
            (WorkerGroupError("text", {1: dead}), "were lost, more than can be made up for."),
            (WorkerGroupError("text", {1: OutOfMemoryError("0.9 used")}), "The memory of a node is full."),
            (ControllerError(OutOfDiskError("0.9 used")), "The disk of a node is full."),
            (WorkerGroupError("text", {0: misled}), "The cluster gave the run up (RuntimeError: it said so)."),
            (TrainingFailedError(), "The cluster gave the run up (TrainingFailedError)."),
        ):
            assert problem in _ended(error, known).problem
    assert "is gone" in _ended(unseen, known).problem


def test_a_head_that_is_gone_ends_the_run_with_its_remedy(runs: Runs, plan: Plan, cluster: Nodes) -> None:
    run_id = runs.start(replace(plan, epochs=200, processes=1))
    until(lambda: runs.read(run_id).step > 3 or not runs.read(run_id).active, PATIENCE)
    assert runs.read(run_id).active, runs.read(run_id).message
    cluster.head.kill()
    until(lambda: not runs.read(run_id).active, PATIENCE)
    gone = runs.read(run_id)
    assert gone.state == "failed"
    assert gone.message.startswith(f"The head of the cluster at {cluster.address} is gone. Start the cluster again")
    assert gone.resumable
