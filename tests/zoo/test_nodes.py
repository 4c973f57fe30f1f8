"""Features over nodes: shards and where they prefer to be, a node's own folder, and two real nodes of Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import PictureFolder
from tests.ray_nodes import TOP, Nodes, cluster, needs_ray
from tests.zoo.test_sources import TINY, give_weights
from zoo import sources
from zoo.backbone import stack
from zoo.carried import Carried, Originals
from zoo.errors import BadPlan, BadUpload
from zoo.features import Extractor
from zoo.intake import intake
from zoo.node_work import Errand, Proof, batches_of, featured, weights_of
from zoo.nodes import Node, joined, parted
from zoo.pictures import SIDE, Pictures
from zoo.settings import Settings
from zoo.store import Store

TIMES = {"ms_per_picture", "torch_ms_per_picture", "seconds"}  # of a row; all else must be equal

__all__ = ["cluster"]


def test_each_node_gets_its_share_in_whole_batches_and_what_it_had_comes_back() -> None:
    nodes = [Node("1", "10.0.0.1", 1, 0), Node("2", "10.0.0.2", 3, 0)]
    batches = batches_of([f"{number:064x}" for number in range(1000)], 16)
    first = parted(batches, nodes)
    count = {node.id: sum(len(shas) for one, shas in first if one is node) for node in nodes}
    assert count["1"] <= 16 * 16 <= count["1"] + 8
    assert sorted(sha for _, shas in first for sha in shas) == sorted(sha for batch in batches for sha in batch)
    ends = {batch[-1] for batch in batches}
    assert all(shas[-1] in ends for _, shas in first)
    assert parted(batches, nodes) == first
    with pytest.raises(BadPlan, match="No node"):
        parted(batches, [])


def test_a_node_fetches_a_picture_once_and_its_features_are_this_machines(
    picture_folder: PictureFolder, store: Store, settings: Settings, tmp_path: Path
) -> None:
    give_weights(settings, TINY[0])
    dataset = intake(picture_folder(2, 8), store, settings)
    card = sources.card(f"timm/{TINY[0]}", settings)
    whole = Extractor(card, dataset, store, settings).rows(np.arange(16))
    backbone, pictures = sources.load(card.id, settings), Pictures.open(store, dataset)
    batch = stack(backbone, [pictures[index] for index in range(4)])
    errand = Errand(backbone.card, SIDE, None, "", Proof(batch, backbone.forward(batch)))
    source, carried = Originals(store.root, dataset.id), Carried(Store(tmp_path / "node"))
    shas = [item.sha for item in dataset.items]

    def pull(some: list[str]) -> dict[str, bytes]:
        return source.read(some, "node")

    shards = [featured(errand, shas, carried, pull, b"", weights_of(card, settings.home)) for _ in range(2)]
    assert [shard.pulled for shard in shards] == [16, 0]
    assert source.sent() == {"node": 16}
    assert shards[0].equal
    for tap, found in zip(whole.taps, shards[0].taps, strict=True):
        np.testing.assert_array_equal(tap, found)
    with pytest.raises(BadUpload, match="changed on its way"):
        Carried(Store(tmp_path / "other")).fetch(shas[:1], lambda some: dict.fromkeys(some, b"else"))


def test_a_cluster_that_is_not_named_is_said_in_one_line(settings: Settings) -> None:
    with joined(settings) as nodes:
        assert nodes is None
    done = _zoo("compare", "sample", "--engine", "ray", home=settings.home)
    assert done.returncode == 2
    assert "STUDIO_CLUSTER" in done.stderr
    assert len(done.stderr.strip().splitlines()[-1]) < 200


@pytest.mark.slow
@needs_ray
def test_rows_over_two_nodes_are_those_of_this_machine_also_when_a_node_is_lost(
    picture_folder: PictureFolder, settings: Settings, cluster: Nodes
) -> None:
    names = [f"timm/{name}" for name in TINY[:2]]
    for name in TINY[:2]:
        give_weights(settings, name)
    asked = ("compare", str(picture_folder(3, 60)), "--json", "--backbones", *names)
    here = _rows(_zoo(*asked, home=settings.home))
    there = _zoo(*asked, "--fresh", "--engine", "ray", home=settings.home, **cluster.environment)
    assert _rows(there) == here
    kept = [sorted((cluster.folder / "homes").glob(f"{node.name}/carried/*/originals/*/*")) for node in cluster.nodes]
    assert all(kept)  # both had some
    assert json.loads((settings.home / "nodes" / "speeds.json").read_text())

    lost = threading.Thread(target=_kill_at_work, args=(cluster, settings.home))
    lost.start()
    again = _zoo(*asked, "--fresh", "--engine", "ray", home=settings.home, **cluster.environment)
    lost.join()
    assert len([node for node in cluster.nodes if node.process.poll() is None]) == 1
    assert _rows(again) == here


def _kill_at_work(cluster: Nodes, home: Path) -> None:
    """Take the second node away once features have begun to come."""
    before = len(list((home / "features").glob("*/*/sha.npy")))
    until = time.monotonic() + 60
    while time.monotonic() < until and len(list((home / "features").glob("*/*/sha.npy"))) < before + 2:
        time.sleep(0.05)
    cluster.nodes[1].kill()


def _zoo(*command: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STUDIO_CLUSTER")}
    return subprocess.run(
        [sys.executable, "-m", "zoo", *command, "--home", str(home)],
        cwd=TOP,
        env=environment | {"STUDIO_OFFLINE": "1", "OMP_NUM_THREADS": "1"} | more,
        capture_output=True,
        text=True,
        check=False,
    )


def _rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    return [{name: value for name, value in row.items() if name not in TIMES} for row in found["backbones"]]
