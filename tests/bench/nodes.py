"""How well two single-core nodes share the work of one: features of every picture by the embedded backbones.

Two real Ray nodes on this machine, each bound to a core of its own. Engines are exported beforehand; each time no
picture and no feature is known to a node, and its processes are warmed by the sample. Prints seconds on one node
and on two, and the efficiency: the first over twice the second. Ideal is 1, the floor asked for 0.8.

    python tests/bench/nodes.py DATA [--rounds N]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.ray_nodes import Nodes  # noqa: E402
from zoo import sources  # noqa: E402
from zoo.cluster import nodes as living  # noqa: E402
from zoo.compare import EMBEDDED  # noqa: E402
from zoo.dataset import Dataset  # noqa: E402
from zoo.features import Extractor  # noqa: E402
from zoo.intake import intake  # noqa: E402
from zoo.nodes import joined  # noqa: E402
from zoo.settings import Settings  # noqa: E402
from zoo.store import Store  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), offline=True, threads=2)
        store = Store(settings.home)
        warm, data = intake("sample", store, settings), intake(chosen.data, store, settings)
        for name in EMBEDDED:  # exports the engine
            Extractor(sources.card(name, settings), warm, store, settings, expected=10_000).rows(np.arange(64))
        spent: dict[int, list[float]] = {2: [], 1: []}
        with Nodes(bound=True) as cluster:
            for _ in range(chosen.rounds):
                for count, seconds in spent.items():
                    if count < len(cluster.nodes):
                        cluster.nodes.pop().kill()
                    cluster.restore(count)
                    seconds.append(measured(cluster, warm, data, store, settings))
    one, two = (min(spent[count]) for count in (1, 2))
    print(f"{len(data)} pictures x {len(EMBEDDED)} backbones: one node {one:.1f} s, two nodes {two:.1f} s")
    print(f"efficiency over two single-core nodes: {one / two / 2:.2f} of ideal (asked for: 0.80)")


def measured(cluster: Nodes, warm: Dataset, data: Dataset, store: Store, settings: Settings) -> float:
    """Wall seconds of all features of ``data`` over the nodes there are, to which no picture of it is known."""
    count = len(cluster.nodes)
    for node in cluster.nodes:
        shutil.rmtree(cluster.home_of(node.name), ignore_errors=True)
    with joined(replace(settings, engine="ray", cluster=cluster.address, cluster_token=cluster.token)) as nodes:
        assert nodes is not None
        import ray  # no sooner: joining sets what it reads

        while len(living(ray)) != count:
            time.sleep(0.2)
        extract = [
            [Extractor(sources.card(name, settings), some, store, settings, True, nodes=nodes) for name in EMBEDDED]
            for some in (warm, data)
        ]
        for one in extract[0]:
            one.rows(np.arange(len(warm)))
        begun, own = time.perf_counter(), time.process_time()
        for one in extract[1]:
            one.rows(np.arange(len(data)))
        spent, own = time.perf_counter() - begun, time.process_time() - own
        sent = nodes.sent(data.id)
    print(f"{count} node(s): {spent:.1f} s, of them {own:.1f} s of the first machine's CPU; sent: {sent}", flush=True)
    return spent


if __name__ == "__main__":
    main()
