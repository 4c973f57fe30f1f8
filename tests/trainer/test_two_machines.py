"""Torch's launcher over two machines without Ray: two agents that meet over the loopback, one real run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import PictureFolder, random_weights
from trainer.events import Finished, Started, Step
from trainer.folder import RunFolder
from trainer.plan import Plan
from zoo.intake import intake
from zoo.settings import Settings
from zoo.store import Store

TOP = Path(__file__).parents[2]
NETWORK = "test_resnet.r160_in1k"


@pytest.mark.slow
def test_two_launchers_learn_together_what_one_machine_learns(
    picture_folder: PictureFolder, settings: Settings, store: Store
) -> None:
    random_weights(store.root, NETWORK)
    dataset = intake(picture_folder(3, 12), store, settings)
    plan = Plan(
        dataset=dataset.id, backbone=f"timm/{NETWORK}", strategy="full", processes=2, epochs=2, batch=4, patience=0,
        label_smoothing=0.1, learning_rate=1e-4, wise=False,
    )  # fmt: skip
    apart, here = (RunFolder(store.runs / name) for name in ("apart", "here"))
    for folder in (apart, here):
        folder.path.mkdir(parents=True)
        folder.write_plan(plan)
    with socket.socket() as free:
        free.bind(("127.0.0.2" if sys.platform == "linux" else "127.0.0.1", 0))
        host, port = free.getsockname()
    meeting = (
        "--nnodes=2",
        "--nproc-per-node=1",
        "--rdzv-backend=c10d",
        "--rdzv-id=one",
        f"--rdzv-endpoint={host}:{port}",
    )
    agents = [
        launched(store, apart, *meeting, f"--rdzv-conf=is_host={is_host}", f"--local-addr={host}") for is_host in (1, 0)
    ]
    assert [agent.wait(200) for agent in agents] == [0, 0], (apart.path / "log.txt").read_text()[-3000:]
    assert launched(store, here, "--standalone", "--nproc-per-node=2").wait(200) == 0
    far, near = ([event for _, event in folder.tail().read()] for folder in (apart, here))
    assert [event.processes for event in far if isinstance(event, Started)] == [2]
    assert losses(far) == pytest.approx(losses(near), rel=1e-4)
    assert [event.test["accuracy"] for event in far if isinstance(event, Finished)] == [
        event.test["accuracy"] for event in near if isinstance(event, Finished)
    ]
    assert (apart.classifier / "model.safetensors").read_bytes() == (here.classifier / "model.safetensors").read_bytes()


def losses(events: Sequence[object]) -> list[float]:
    found = [event.loss for event in events if isinstance(event, Step)]
    assert len(found) >= 4
    return found


def launched(store: Store, folder: RunFolder, *how: str) -> subprocess.Popen[bytes]:
    """One machine's launcher, as README's "Many machines" starts it."""
    own = {"STUDIO_HOME": str(store.root), "OMP_NUM_THREADS": "1", "STUDIO_OFFLINE": "1"}
    own |= {"GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0"}
    line = [sys.executable, "-m", "torch.distributed.run", *how, "-m", "trainer", "work", str(folder.path)]
    with (folder.path / "log.txt").open("ab") as log:
        return subprocess.Popen(line, cwd=TOP, env=os.environ | own, stdout=log, stderr=log)
