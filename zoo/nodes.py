"""Features over the nodes of a Ray cluster: Ray places tasks and does those of a lost node again, nothing of ours does.

Pictures are sent as the files they are, in shards, at most once to a node; features come back by content hash. Which
node a shard prefers follows from its content alone, so that each backbone finds its pictures where the last had them.
"""

from __future__ import annotations

import hashlib
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from zoo import cluster
from zoo.backbone import Card
from zoo.carried import Carried, Originals, Sent, weights_of
from zoo.cluster import Node
from zoo.errors import BadPlan, StudioError
from zoo.forward import BATCH, Told
from zoo.node_work import Errand, Shard, batches_of, standing
from zoo.settings import Settings
from zoo.store import Store, read_json, write_json

MOST_BATCHES = 16  # batches a shard: 256 pictures are seconds of work, so that a lost node costs little
ROUNDS = 4  # shards for each core at least, so that nobody waits long for the last
AHEAD = 3  # shards for each core that Ray holds at once
PULSE = 0.5  # seconds between two words of progress


@dataclass
class Nodes:
    """A cluster as one comparison uses it; ``speeds`` are milliseconds a picture by machine kind and backbone."""

    home: Path
    speeds: dict[str, dict[str, float]] = field(default_factory=dict)
    _originals: dict[str, Any] = field(default_factory=dict)

    def features(self, errand: Errand, network: Path | None, shas: Sequence[str], told: Told) -> Iterator[Shard]:
        """Features of the pictures ``shas``, a shard at a time, in the order in which they come.

        Raises:
            StudioError: a node cannot do what it is asked for.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        source, kept = self._source(errand.dataset), ray.put(errand)
        get: Callable[..., bytes] = ray.get
        own = {} if network else weights_of(errand.card.id, self.home)
        weights = {name: Sent.of(content, partial(get, ray.put(content))) for name, content in own.items()}
        engine = Sent(errand.sha, partial(get, ray.put(network.read_bytes()))) if network else None
        nodes = cluster.nodes(ray)
        waiting = deque(parted(batches_of(shas, BATCH), nodes))
        room = max(1, int(sum(node.cpus for node in nodes))) * AHEAD
        flying: dict[Any, int] = {}
        done = 0
        look = ray.remote(num_cpus=1, max_retries=3)(_featured)  # one, which every process fetches once
        while waiting or flying:
            while waiting and len(flying) < room:
                node, part = waiting.popleft()
                where = NodeAffinitySchedulingStrategy(node.id, soft=True)
                task = look.options(scheduling_strategy=where)
                flying[task.remote(kept, part, source, engine, weights)] = len(part)
            ready, _ = ray.wait(list(flying), num_returns=1, timeout=PULSE)
            for one in ready:
                done += flying.pop(one)
                shard = _got(one)
                self._learn(errand.card, shard)
                yield shard
            told(done, len(shas))

    def sent(self, dataset: str) -> dict[str, int]:
        """How many pictures of ``dataset`` went to each node so far."""
        import ray

        found: dict[str, int] = ray.get(self._source(dataset).sent.remote())
        return found

    def standings(self) -> list[dict[str, Any]]:
        """Every node as it stands: what it offers to Ray, what it is, and how busy."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = cluster.nodes(ray)
        asked = [
            ray.remote(standing)
            .options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False))
            .remote(node.address)
            for node in nodes
        ]
        return [ray.get(one) | {"cpus": node.cpus, "gpus": node.gpus} for node, one in zip(nodes, asked, strict=True)]

    def _source(self, dataset: str) -> Any:
        """Where nodes get the pictures of ``dataset`` from."""
        if dataset not in self._originals:
            self._originals[dataset] = originals(self.home, dataset)
        return self._originals[dataset]

    def _learn(self, card: Card, shard: Shard) -> None:
        known = self.speeds.setdefault(shard.kind, {})
        known[card.id] = min(shard.ms_per_picture, known.get(card.id, np.inf))


def originals(home: Path, dataset: str, **known_as: str) -> Any:
    """Who hands out the files of ``dataset``: a process on this machine, while somebody here holds what is returned.

    Args:
        known_as: the ``name`` and the ``namespace`` by which processes of the nodes find it, if they are not given it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Originals).options(num_cpus=0, scheduling_strategy=here, **known_as).remote(home, dataset)


@contextmanager
def joined(settings: Settings) -> Iterator[Nodes | None]:
    """The cluster of ``settings`` for as long as the ``with`` lasts; None where the engine is this machine.

    Raises:
        BadPlan: Ray is not installed, or no cluster answers.
    """
    if settings.engine != "ray":
        yield None
        return
    ray = cluster.join(settings)
    nodes = Nodes(settings.home, read_json(speeds_of(Store(settings.home))) or {})
    with redirect_stdout(sys.stderr):  # where Ray tells of lost nodes, of which no program asked
        try:
            yield nodes
        finally:
            write_json(speeds_of(Store(settings.home)), nodes.speeds)
            ray.shutdown()


def machines(settings: Settings) -> list[dict[str, Any]]:
    """Every machine that computes here, as ``Nodes.standings`` gives them: a cluster's nodes, or this one.

    Raises:
        BadPlan: there should be a cluster, and it does not answer.
    """
    with joined(settings) as nodes:
        if nodes is None:
            here = standing("this machine")
            return [here | {"cpus": float(here["cores"]), "gpus": 0.0}]
        found = nodes.standings()
        write_json(_seen(Store(settings.home)), {"cluster": settings.cluster, "machines": found})
        return found


def last_seen(store: Store, settings: Settings) -> list[dict[str, Any]] | None:
    """What ``machines`` last gave of this cluster, without asking it; None where it was never asked."""
    known = read_json(_seen(store)) or {}
    return known["machines"] if known.get("cluster") == settings.cluster else None


def _seen(store: Store) -> Path:
    return speeds_of(store).with_name("seen.json")


def foretold(speeds: Mapping[str, float], asked: Mapping[str, float], pictures: int, cores: float) -> float | None:
    """Seconds that a machine takes to look at ``pictures`` with every backbone ``asked``; None where it is unknown.

    Args:
        speeds: milliseconds a picture that its kind took on one core, by backbone.
        asked: billions of multiply-adds a picture, by backbone: who was never measured there takes its share of them.
    """
    pace = [speeds[name] / asked[name] for name in asked if name in speeds and asked[name]]
    if not pace:
        return None
    ms = sum(speeds.get(name, work * sum(pace) / len(pace)) for name, work in asked.items())
    return ms / 1000 * pictures / max(cores, 1)


def speeds_of(store: Store) -> Path:
    """Where milliseconds a picture are kept by machine kind and backbone, the fewest ever measured."""
    return store.root / "nodes" / "speeds.json"


def parted(batches: Sequence[list[str]], nodes: Sequence[Node]) -> list[tuple[Node, list[str]]]:
    """Whole batches as shards, each with the node it prefers: none gets more than its share of cores.

    Consistent hashing with bounded loads (Mirrokni et al. 2018): of the nodes that still have room a batch takes the
    one that its content ranks highest, so that what a node has seen mostly comes back to it.
    """
    if not nodes:
        raise BadPlan("No node of the cluster has a core to compute on.", "Start one: ray start --address=HOST:PORT")
    cpus = np.array([node.cpus for node in nodes])
    room = np.ceil(len(batches) * cpus / cpus.sum())
    mine: list[list[list[str]]] = [[] for _ in nodes]
    for batch in batches:
        order = sorted(range(len(nodes)), key=lambda one: _rank(nodes[one].address, batch[0]), reverse=True)
        chosen = next(one for one in order if len(mine[one]) < room[one])
        mine[chosen].append(batch)
    shards = [
        (node, part) for node, own in zip(nodes, mine, strict=True) for part in _shards(own, max(1, int(node.cpus)))
    ]
    return sorted(shards, key=lambda pair: _rank("", pair[1][0]))  # nodes mixed, so that all have some at once


def _shards(batches: list[list[str]], cores: int) -> list[list[str]]:
    each = min(MOST_BATCHES, max(1, len(batches) // (cores * ROUNDS)))
    return [list(chain(*batches[first : first + each])) for first in range(0, len(batches), each)]


def _rank(node: str, sha: str) -> bytes:
    return hashlib.blake2b(f"{node} {sha}".encode(), digest_size=8).digest()


def _featured(errand: Errand, shas: list[str], source: Any, network: Sent | None, weights: Mapping[str, Sent]) -> Shard:
    """The task itself, in a process of a node."""
    import ray

    from zoo.node_work import featured

    node = ray.util.get_node_ip_address()
    carried = Carried.here(node)
    return featured(errand, shas, carried, lambda some: ray.get(source.read.remote(some, node)), network, weights, node)


def _got(one: Any) -> Shard:
    import ray

    try:
        shard: Shard = ray.get(one)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, StudioError):
            raise error.cause from None
        raise
    return shard
