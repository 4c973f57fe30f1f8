"""Features over nodes: shards and where they prefer to be, a node's own folder, and two real nodes of Ray."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import PictureFolder
from tests.ray_nodes import TOP, cluster, needs_ray
from tests.ray_nodes import Node as RayNode
from tests.ray_nodes import Nodes as RayNodes
from tests.zoo.test_sources import TINY, give_weights
from zoo import sources
from zoo.backbone import stack
from zoo.carried import Carried, Originals, Sent, weights_of
from zoo.cluster import Node
from zoo.compare import Question, compare
from zoo.errors import BadPlan, BadUpload
from zoo.features import Extractor
from zoo.intake import intake
from zoo.node_work import Errand, Proof, batches_of, featured
from zoo.nodes import Nodes, joined, parted
from zoo.pictures import SIDE, Pictures
from zoo.runtime import fingerprint
from zoo.settings import Settings
from zoo.store import Store, write_json

SMALL = Path(__file__).parent / "small_nodes.py"
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
    picture_folder: PictureFolder, store: Store, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_weights(settings, TINY[0])
    dataset = intake(picture_folder(2, 12), store, settings)
    card = sources.card(f"timm/{TINY[0]}", settings)
    whole = Extractor(card, dataset, store, settings).rows(np.arange(24))
    backbone, pictures = sources.load(card.id, settings), Pictures.open(store, dataset)
    batch = stack(backbone, [pictures[index] for index in range(4)])
    errand = Errand(backbone.card, SIDE, None, "", Proof(batch, backbone.forward(batch)), dataset.id)
    source, carried = Originals(store.root, dataset.id), Carried(Store(tmp_path / "node"))
    shas = [item.sha for item in dataset.items]

    def pull(some: list[str]) -> dict[str, bytes]:
        return source.read(some, "node")

    files = {
        name: Sent.of(content, partial(bytes, content)) for name, content in weights_of(card.id, settings.home).items()
    }
    shards = [featured(errand, shas, carried, pull, None, files) for _ in range(2)]
    assert [shard.pulled for shard in shards] == [24, 0]
    assert source.sent() == {"node": 24}
    assert shards[0].equal
    with monkeypatch.context() as once:
        once.setattr(hashlib, "sha256", lambda *_: pytest.fail("what each shard brings along was hashed again"))
        assert pickle.loads(pickle.dumps(errand)).proof.key == errand.proof.key
    for tap, found in zip(whole.taps, shards[0].taps, strict=True):
        np.testing.assert_array_equal(tap, found)

    class Slow(Nodes):
        def features(self, errand: Errand, _network: Path | None, shas: Any, *_: Any) -> Any:
            yield replace(featured(errand, list(shas), carried, pull, None, files), ms_per_picture=1e6)

    there = Extractor(card, dataset, store, settings, fresh=True, nodes=Slow(settings.home)).rows(np.arange(24))
    assert 0 < there.ms_per_picture < 1e5, "a row tells this machine's time, not a node's"
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
def test_rows_over_two_nodes_are_those_of_this_machine_also_when_a_node_is_lost_in_the_middle(
    picture_folder: PictureFolder, store: Store, settings: Settings, cluster: RayNodes
) -> None:
    question = Question(backbones=tuple(f"timm/{name}" for name in TINY[:2]), fresh=True)
    for name in TINY[:2]:
        give_weights(settings, name)
    none_pays = {"saved": 0.0, "cost": 1.0, "how": None}  # so that torch runs them here and there
    write_json(store.root / "engines" / f"machine-{fingerprint(settings.threads)}.json", none_pays)
    datasets = [intake(picture_folder(3, 28, name=f"some{seed}", seed=seed), store, settings) for seed in (0, 1)]
    here = [list(compare(dataset, question, store, settings))[-1].as_json() for dataset in datasets]
    over = threading.Event()
    lost = threading.Thread(target=_kill_at_work, args=(cluster, {item.sha for item in datasets[1].items}, over))
    lost.start()
    line = [sys.executable, str(SMALL), str(settings.home), *question.backbones, *(one.id for one in datasets)]
    own = os.environ | cluster.environment | {"PYTHONPATH": str(TOP)}
    done = subprocess.run(line, cwd=TOP, env=own, capture_output=True, text=True, check=False)
    over.set()
    lost.join()
    assert done.returncode == 0, done.stderr[-3000:]
    assert cluster.nodes[1].process.poll() is not None, "it was lost while its first pictures came"
    there = json.loads(done.stdout)
    assert [_rows(one["found"]) for one in there] == [_rows(one) for one in here]
    kept = {node.address: len(list(_originals(cluster, node).glob("*/*"))) for node in cluster.nodes}
    assert set(there[0]["sent"]) == set(kept), "both had some"
    head = cluster.head.address
    assert sum(one["sent"][head] for one in there) == kept[head], "no picture was sent twice"
    assert json.loads((settings.home / "nodes" / "speeds.json").read_text())
    cluster.restore()


def _originals(cluster: RayNodes, node: RayNode) -> Path:
    return cluster.home_of(node.name) / "carried" / node.address / "originals"


def _kill_at_work(cluster: RayNodes, shas: set[str], over: threading.Event) -> None:
    """Take the second node away once the first of these pictures has come there, with most still to be looked at."""
    folder = _originals(cluster, cluster.nodes[1])
    while not over.wait(0.02):
        if not shas.isdisjoint(path.name for path in folder.glob("*/*")):
            cluster.nodes[1].kill()
            return


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


def _rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    rows = json.loads(json.dumps(found["backbones"]))
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]
