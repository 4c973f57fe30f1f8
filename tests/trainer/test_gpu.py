"""Training on CUDA devices: mixed precision, memory that runs out, memory handed back, several devices.

Where there is none these are skipped, and the skip says that it was not tested.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import drawn
from trainer.events import Epoch, Event, Noted, Started, Step, Stopped
from trainer.finetune import finetune
from trainer.folder import RunFolder
from trainer.job import Job
from trainer.plan import Plan
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store, write_json

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]
BACKBONE = "embedded/tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    settings = Settings(home=tmp_path_factory.mktemp("home"), offline=True)
    top = tmp_path_factory.mktemp("pictures")
    for kind in range(3):
        (top / f"class_{kind}").mkdir()
        for number in range(40):
            drawn(kind, number, (240, 180)).save(top / f"class_{kind}" / f"{number}.png")
    store = Store(settings.home)
    dataset = intake(top, store, settings)
    plan = Plan(
        dataset=dataset.id, backbone=BACKBONE, strategy="full", epochs=2, batch=16, learning_rate=1e-3, compile="no",
        patience=0,
    )  # fmt: skip
    return Job(plan, dataset, store, settings, store.root, lambda: False)


def trained(job: Job, folder: Path, **changes: object) -> Iterator[Event]:
    import torch

    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    mine = replace(job, plan=replace(job.plan, **changes), folder=folder)  # type: ignore[arg-type]
    yield from finetune(mine, mine.backbone.network(3).requires_grad_(True))


def losses(events: Iterable[Event]) -> list[float]:
    return [event.loss for event in events if isinstance(event, Step)]


def test_half_precision_learns_what_full_precision_does(job: Job, tmp_path: Path) -> None:
    curves = {}
    for precision in ("no", "bf16", "fp16"):
        events = list(trained(job, tmp_path / precision, precision=precision))
        assert next(event for event in events if isinstance(event, Started)).precision == precision
        curves[precision] = losses(events)
    assert curves["bf16"] == pytest.approx(curves["no"], rel=0.1, abs=0.02)
    assert curves["fp16"] == pytest.approx(curves["no"], rel=0.1, abs=0.02)


def test_where_the_device_has_no_memory_left_the_step_is_begun_again_in_pieces(job: Job, tmp_path: Path) -> None:
    import torch

    whole = [
        event.loss for event in trained(job, tmp_path / "whole", batch=64, precision="no") if isinstance(event, Step)
    ]
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (900 << 20)) / total)
    try:
        events = list(trained(job, tmp_path / "spared", batch=64, precision="no"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any("Memory ran out" in event.message for event in events if isinstance(event, Noted))
    assert losses(events) == pytest.approx(whole, rel=0.02)


def test_a_stopped_run_hands_the_device_memory_back(job: Job, tmp_path: Path) -> None:
    import gc

    import torch

    list(trained(job, tmp_path / "warm", epochs=1))  # what CUDA's libraries keep for themselves
    gc.collect()
    before = torch.cuda.memory_allocated()
    mine = replace(job, stop=lambda: True)
    assert any(isinstance(event, Stopped) for event in trained(mine, tmp_path / "stopped"))
    gc.collect()
    assert torch.cuda.memory_allocated() <= before + (1 << 20)


def test_a_compiled_network_learns_what_it_does_uncompiled(job: Job, tmp_path: Path) -> None:
    plain, compiled = (losses(trained(job, tmp_path / how, compile=how, precision="no")) for how in ("no", "yes"))
    assert compiled == pytest.approx(plain, rel=0.02)


@pytest.mark.parametrize("sharded", [False, True])
def test_two_devices_learn_what_one_does(sharded: bool, job: Job, tmp_path: Path) -> None:
    import torch

    if torch.cuda.device_count() < 2:
        pytest.skip("there is one CUDA device here: training on several was NOT tested on this machine")
    curves = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        plan = replace(job.plan, processes=processes, batch=16 // processes, precision="no", sharded=sharded)
        write_json(folder / "plan.json", plan.as_json())
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        home = ["--home", str(job.settings.home)]
        line = [sys.executable, *launcher, "-m", "trainer", "work", str(folder), *home]
        subprocess.run(line, cwd=ROOT, check=True)
        events = [event for _, event in RunFolder(folder).tail().read()]
        assert any(isinstance(event, Epoch) for event in events)
        curves.append(losses(events))
    assert curves[1] == pytest.approx(curves[0], rel=0.02)
