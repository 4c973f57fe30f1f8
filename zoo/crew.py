"""Processes side by side, as accelerate or torchrun starts them, look at pictures together, on several cards or none.

The first one leads: it alone compares, decides and writes. The others wait for what they are asked, each takes every
n-th batch, and accelerate brings the features back. As no other decides anything, none can decide otherwise.

    torchrun --nproc-per-node=2 -m zoo compare DATA
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from zoo.backbone import Backbone
from zoo.dataset import Dataset
from zoo.errors import BackboneUnavailable, StudioError
from zoo.forward import BATCH, Told, forward
from zoo.node_work import Errand, Shard, batches_of, kind, opened
from zoo.onnx_engine import NEAR, likeness
from zoo.pictures import Pictures
from zoo.settings import Settings, launched_rank
from zoo.store import Store

EACH = 8  # batches for each process between two words of progress
WAIT = timedelta(days=7)  # that the others wait for a word: reading a dataset or a probe may take hours


class Company(Protocol):
    """Who looks at pictures for an extractor: a cluster's nodes, or processes beside this one."""

    def features(self, errand: Errand, network: Path | None, shas: Sequence[str], told: Told) -> Iterator[Shard]:
        """Features of the pictures ``shas``, a shard at a time, in any order."""
        ...


@dataclass
class Crew:
    """The leading process's word to the others; ``seen`` counts the pictures that each looked at."""

    store: Store
    settings: Settings
    seen: dict[str, int] = field(default_factory=dict)

    def features(self, errand: Errand, network: Path | None, shas: Sequence[str], told: Told) -> Iterator[Shard]:
        """As ``Company`` says.

        Raises:
            StudioError: one of the processes cannot do what it is asked for.
        """
        looker, batches, done = _Looker(self.store, self.settings), batches_of(shas, BATCH), 0
        several = EACH * _state().num_processes
        for first in range(0, len(batches), several):
            part = batches[first : first + several]
            _word((errand, network, part))
            mine: list[Shard | StudioError] = []
            try:
                mine = looker.share(errand, network, part)
            finally:  # also where it breaks: the others wait for it there
                shards = _gathered(mine)
            for shard in shards:
                if isinstance(shard, StudioError):
                    raise shard
                done += len(shard.shas)
                self.seen[shard.node] = self.seen.get(shard.node, 0) + len(shard.shas)
                yield shard
            told(done, len(shas))


@contextmanager
def leading(store: Store, settings: Settings) -> Iterator[Crew | None]:
    """The other processes of this launch, who are sent home at the end; None where this one is alone."""
    if launched_rank() is None or _state().num_processes < 2:
        yield None
        return
    try:
        yield Crew(store, settings)
    finally:
        _word(None)


def follow(store: Store, settings: Settings) -> bool:
    """Be one of the others, until the first process sends them home; False at once where this one is no other."""
    if not launched_rank():
        return False
    looker = _Looker(store, settings)
    while (asked := _word()) is not None:
        _gathered(looker.share(*asked))
    return True


@dataclass
class _Looker:
    """What one process keeps between two shards: the network that it ran last, and the pictures."""

    store: Store
    settings: Settings
    key: str = ""
    backbone: Backbone | None = None
    pictures: Pictures | None = None
    rows: dict[str, int] = field(default_factory=dict)

    def share(self, errand: Errand, network: Path | None, batches: list[list[str]]) -> list[Shard | StudioError]:
        """This process's part of ``batches``, or why it cannot be had."""
        state = _state()
        mine = [sha for batch in batches[state.process_index :: state.num_processes] for sha in batch]
        if not mine:
            return []
        try:
            backbone = self._opened(errand, network)
        except StudioError as error:
            return [error]
        assert self.pictures is not None
        found = forward(backbone, [self.pictures[self.rows[sha]] for sha in mine])
        engine, node = getattr(backbone, "engine", "torch"), f"process {state.process_index}"
        return [Shard(mine, found.taps, found.ms_per_picture, engine, node, kind(), equal=True, pulled=0)]

    def _opened(self, errand: Errand, network: Path | None) -> Backbone:
        key = f"{errand.dataset} {errand.side} {errand.card.revision} {errand.sha} {errand.proof.key}"
        if self.key != key or self.backbone is None:
            data = Dataset.load(self.store, errand.dataset)
            self.pictures = Pictures.open(self.store, data, errand.side)
            self.rows = {item.sha: index for index, item in enumerate(data.items)}
            self.backbone, self.key = _network(errand, network, self.settings), key
        return self.backbone


def _network(errand: Errand, network: Path | None, settings: Settings) -> Backbone:
    """The network of ``errand``, its answers those of the first process.

    Raises:
        BackboneUnavailable: it cannot be had here, or gives other features here.
    """
    backbone = opened(errand, network, settings)
    if likeness(backbone.forward(errand.proof.batch), errand.proof.taps) < NEAR:
        raise BackboneUnavailable(
            f"Processes side by side see {errand.card.id} differently.", "Start them with the same versions and cards."
        )
    return backbone


def _state() -> Any:
    """What accelerate knows of the processes; its first call brings them together."""
    import torch
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available(), timeout=WAIT)


def _word(said: Any = None) -> Any:
    """What the first process says, heard by all."""
    from accelerate.utils import broadcast_object_list

    _state()
    return broadcast_object_list([said])[0]


def _gathered(mine: list[Any]) -> list[Any]:
    """Everybody's rows, known to all."""
    from accelerate.utils import gather_object

    found: list[Any] = gather_object(mine)
    return found
