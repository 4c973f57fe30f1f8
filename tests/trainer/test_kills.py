"""kill -9 of page, supervisor, launcher and worker of a real fine-tuning: nothing orphaned, nothing lost for good."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.conftest import classes_of, random_weights
from tests.trainer.conftest import HERE, end_everything, kill, supervisors, until
from trainer.plan import Plan
from trainer.processes import Process, tagged
from trainer.runs import SUPERVISE, Runs
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store

pytestmark = pytest.mark.slow

NETWORK = "test_vit.r160_in1k"
EPOCHS = 16


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Runs on a home that has a tiny network's weights; supervisor, engine and worker are the product's own."""
    settings = Settings(home=tmp_path_factory.mktemp("home"), offline=True)
    made = Runs(Store(settings.home), settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HERE.parents[1]))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield made
    end_everything(made.store)


@pytest.fixture(scope="module")
def plan(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Some ten seconds of fine-tuning all layers."""
    random_weights(runs.store.root, NETWORK)
    pictures = classes_of(tmp_path_factory.mktemp("pictures"), (20, 20, 20))
    dataset = intake(pictures, runs.store, runs.settings)
    return Plan(
        dataset=dataset.id,
        backbone=f"timm/{NETWORK}",
        strategy="full",
        epochs=EPOCHS,
        batch=8,
        patience=0,
        crop=0.7,
        rotate=15.0,
        framing="squash",
        balance="sample",
        learning_rate=1e-4,
        label_smoothing=0.1,  # so that the loss never settles at 0 and every step moves the weights
    )


def weights_of(runs: Runs, run_id: str) -> str:
    """The SHA-256 of a finished run's weights."""
    until(lambda: not runs.read(run_id).active, 120)
    assert runs.read(run_id).state == "finished", runs.read(run_id).message
    return hashlib.sha256((runs.classifier(run_id) / "model.safetensors").read_bytes()).hexdigest()


def epochs_done(runs: Runs, run_id: str, count: int) -> bool:
    run = runs.read(run_id)
    assert run.active, run.message
    return len(run.epochs) >= count


def killed(runs: Runs, run_id: str, process: Process) -> None:
    """Kill it, then wait until the run knows and none of its processes is left."""
    kill(psutil.Process(process.pid))
    until(lambda: not runs.read(run_id).active, 60)
    assert runs.read(run_id).state == "lost", runs.read(run_id).message
    assert runs.read(run_id).resumable
    assert not tagged(runs.folder(run_id))


@pytest.fixture(scope="module")
def undisturbed(runs: Runs, plan: Plan) -> str:
    """A run that nobody disturbs."""
    run_id = runs.start(plan)
    weights_of(runs, run_id)
    return run_id


@pytest.fixture(scope="module")
def expected(runs: Runs, undisturbed: str) -> str:
    """The weights that it ends with."""
    return weights_of(runs, undisturbed)


def test_page_and_supervisor_killed_in_turn_do_not_disturb_the_run(runs: Runs, plan: Plan, expected: str) -> None:
    line = [str(HERE / "small_page.py"), str(runs.store.root), json.dumps(SUPERVISE), json.dumps([plan.as_json()])]
    page = subprocess.Popen([sys.executable, *line], stdout=subprocess.PIPE, text=True)
    assert page.stdout
    (run_id,) = json.loads(page.stdout.readline())
    until(lambda: epochs_done(runs, run_id, 3), 60)
    (worker,) = tagged(runs.folder(run_id))
    kill(psutil.Process(page.pid))
    kill(supervisors(runs.store)[0])
    assert worker.alive
    until(lambda: runs.read(run_id).active and supervisors(runs.store))
    assert tagged(runs.folder(run_id)) == [worker]
    assert weights_of(runs, run_id) == expected
    assert runs.read(run_id).first_step == 0
    until(lambda: not tagged(runs.folder(run_id)) and not supervisors(runs.store))


def test_a_run_whose_worker_is_killed_and_that_is_stopped_later_ends_with_the_same_weights(
    runs: Runs, plan: Plan, expected: str
) -> None:
    run_id = runs.start(plan)
    until(lambda: epochs_done(runs, run_id, 4), 60)
    killed(runs, run_id, tagged(runs.folder(run_id))[0])
    assert "ran out of memory" in runs.read(run_id).message
    runs.resume(run_id)
    until(lambda: epochs_done(runs, run_id, 10), 60)
    assert runs.read(run_id).first_step > 0
    runs.stop(run_id)
    until(lambda: not runs.read(run_id).active, 60)
    assert runs.read(run_id).state == "stopped"
    until(lambda: not tagged(runs.folder(run_id)))
    runs.resume(run_id)
    assert weights_of(runs, run_id) == expected
    assert runs.read(run_id).first_step >= 10
    assert [epoch.epoch for epoch in runs.read(run_id).epochs] == list(range(1, EPOCHS + 1))


def test_a_killed_launcher_takes_its_workers_along_and_the_run_resumes_to_the_same_weights(
    runs: Runs, plan: Plan, undisturbed: str
) -> None:
    plan = replace(plan, processes=2, batch=4)
    whole, parted = runs.start(plan), runs.start(plan)
    expected = weights_of(runs, whole)
    alone, shared = (np.array(runs.read(run_id).losses) for run_id in (undisturbed, whole))
    assert shared[:24] == pytest.approx(alone[:24], rel=1e-3), "two processes over gloo learn what one does"
    assert shared == pytest.approx(alone, rel=0.03)  # roundings add up
    until(lambda: epochs_done(runs, parted, 3), 60)
    family = tagged(runs.folder(parted))
    assert len(family) >= 3  # the launcher and two workers
    kill(supervisors(runs.store)[0])  # nobody is left to hunt for strays: the workers' own tie must end them
    kill(psutil.Process(family[0].pid))
    until(lambda: not any(process.alive for process in family), 10)
    until(lambda: not runs.read(parted).active, 60)
    assert runs.read(parted).state == "lost"
    runs.resume(parted)
    until(lambda: epochs_done(runs, parted, 7), 60)
    killed(runs, parted, tagged(runs.folder(parted))[-1])  # one worker of two
    assert "ran out of memory" in runs.read(parted).message, "the launcher told it"
    runs.resume(parted)
    assert weights_of(runs, parted) == expected
    assert runs.read(parted).first_step > 0
    until(lambda: not tagged(runs.folder(parted)) and not supervisors(runs.store))
    assert not list(Path(runs.folder(parted)).glob("**/.draft-*"))
