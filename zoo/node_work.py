"""What a node of a cluster does for a comparison: features of one shard, by the same engine as everywhere else.

Every process of a node computes with one thread, a network is the one file that the first machine exported, batches
are cut before they are sent, and each process answers for a few pictures first what the first machine answered: so
rows are equal to the bit where processors are of one kind, and near (a cosine above ``NEAR``) where they are not.
"""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from zoo import sources
from zoo.backbone import Backbone, Card
from zoo.carried import Carried, Pull, Sent
from zoo.errors import BackboneUnavailable
from zoo.forward import forward, use_threads
from zoo.onnx_engine import NEAR, EngineBackbone, How, likeness, open_engine
from zoo.runtime import processor
from zoo.settings import Settings, usable_cores

SEEN = 4  # pictures by which a node's features are held against the first machine's


@dataclass(frozen=True)
class Proof:
    """Prepared pictures, and what the first machine makes of them.

    Attributes:
        key: differs where the pictures or the answers do; found once, as every shard asks for it.
    """

    batch: NDArray[np.generic]
    taps: list[NDArray[np.float32]]
    key: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(self.batch.tobytes())
        for tap in self.taps:
            digest.update(tap.tobytes())
        object.__setattr__(self, "key", digest.hexdigest())


@dataclass(frozen=True)
class Errand:
    """One backbone for many shards of one dataset.

    Attributes:
        side: pictures are decoded to this shorter side at most.
        how: the way to run the exported network that comes along; None to run torch's.
        sha: SHA-256 of that network, "" without one.
        dataset: whose pictures are looked at, by its id.
    """

    card: Card
    side: int
    how: How | None
    sha: str
    proof: Proof
    dataset: str


@dataclass(frozen=True)
class Shard:
    """Features of the pictures ``shas`` and how they came about.

    Attributes:
        equal: the node's answers to the proof were the first machine's to the bit.
        pulled: how many of the pictures were not on that node yet.
    """

    shas: list[str]
    taps: list[NDArray[np.float32]]
    ms_per_picture: float
    engine: str
    node: str
    kind: str
    equal: bool
    pulled: int


def featured(
    errand: Errand,
    shas: list[str],
    carried: Carried,
    pull: Pull,
    network: Sent | None,
    weights: Mapping[str, Sent],
    node: str = "",
) -> Shard:
    """Be a node for one shard: its pictures fetched where they are not here, decoded once, and looked at.

    Raises:
        BackboneUnavailable: the network cannot be run here, or gives other features here.
    """
    pulled = carried.fetch(shas, pull)
    pictures = carried.pictures(shas, errand.side)
    opened = _opened(errand, carried, network, weights)
    found = forward(opened.backbone, [pictures[index] for index in range(len(pictures))])
    engine = getattr(opened.backbone, "engine", "torch")
    return Shard(shas, found.taps, found.ms_per_picture, engine, node, kind(), opened.equal, pulled)


@dataclass
class _Opened:
    key: str = ""
    backbone: Backbone = field(init=False)
    equal: bool = True


_latest = _Opened()  # the backbone this process ran last: the next shard wants the same


def _opened(errand: Errand, carried: Carried, network: Sent | None, weights: Mapping[str, Sent]) -> _Opened:
    key = f"{errand.card.revision} {errand.sha} {errand.proof.key}"
    if _latest.key != key:
        _latest.key = ""
        _latest.backbone = backbone = _loaded(errand, carried, network, weights)
        ours, theirs = backbone.forward(errand.proof.batch), errand.proof.taps
        if likeness(ours, theirs) < NEAR:
            raise BackboneUnavailable(
                f"A machine of kind {kind()} gives other features of {errand.card.id}.",
                "Use the same versions on every machine, or take it out of the cluster.",
            )
        _latest.equal = all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))
        _latest.key = key
    return _latest


def _loaded(errand: Errand, carried: Carried, network: Sent | None, weights: Mapping[str, Sent]) -> Backbone:
    settings = Settings(home=carried.store.root, offline=Settings.read().offline, threads=1)
    if errand.how is not None and network is not None:
        return opened(errand, carried.network(network), settings)
    carried.keep_weights(errand.card.id, weights)
    return opened(errand, None, settings)


def opened(errand: Errand, network: Path | None, settings: Settings) -> Backbone:
    """What ``errand`` wants run: the exported ``network``, or else torch's by its source.

    Raises:
        BackboneUnavailable: it cannot be had here, or with other weights.
    """
    card = errand.card
    if errand.how is not None and network is not None:
        return EngineBackbone(card, open_engine(network, errand.how, settings.threads), errand.how.engine)
    backbone = sources.load(card.id, settings)
    if backbone.card.revision != card.revision:
        raise BackboneUnavailable(f"A machine has other weights of {card.id}.", "Put the same on every machine.")
    if "torch" in sys.modules:
        use_threads(settings.threads)
    framed = backbone.card.preprocessing == card.preprocessing
    return backbone if framed else replace(backbone, card=card)  # type: ignore[type-var]


@cache
def kind() -> str:
    """What sort of machine this is, in words: its processor."""
    name = next((line.partition(":")[2].strip() for line in processor() if line.startswith("model name")), "")
    return name or platform.processor() or platform.machine()


def standing(node: str = "") -> dict[str, Any]:
    """What this machine is and how busy: cores, load as a share of them over half a second, memory, its kind."""
    memory = psutil.virtual_memory()
    return {
        "node": node,
        "kind": kind(),
        "cores": usable_cores(),
        "load": psutil.cpu_percent(interval=0.5) / 100,
        "memory": memory.total,
        "memory_used": memory.total - memory.available,
    }


def batches_of(shas: Sequence[str], size: int) -> list[list[str]]:
    """``shas`` as the batches in which a single machine would look at them."""
    return [list(shas[first : first + size]) for first in range(0, len(shas), size)]
