"""Features at every depth, kept on disk by picture content, weights and preprocessing: nothing is computed twice."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from zoo import sources
from zoo.backbone import Backbone, Card, Picture, stack
from zoo.crew import Company
from zoo.dataset import Dataset
from zoo.errors import BackboneUnavailable
from zoo.forward import Told
from zoo.node_work import SEEN, Errand, Proof, Shard
from zoo.onnx_engine import EngineBackbone, Exportable
from zoo.pictures import SIDE, Pictures
from zoo.runtime import PROBED, Runtime, Sight, faithful
from zoo.settings import Settings
from zoo.store import Store, new_id, read_json, write_bytes

LAYOUT = 2  # raised when what is stored changes its meaning
BLOCK = 4096  # pictures whose features are in memory at once, and a shard at most
IN_MEMORY = 256 << 20  # bytes of one tap's features; more are gathered into a file that is mapped


def silent(done: int, total: int) -> None:
    """Progress nobody asked for."""


@dataclass(frozen=True)
class Features:
    """Features of N pictures by one backbone.

    Attributes:
        taps: per tap of the card, first to last, (N, D_tap) float32; mapped from a file where they are large.
        ms_per_picture: wall milliseconds a picture, as last measured on this machine.
        torch_ms: the same of torch alone, by which training is foretold; an engine may be quicker.
        seconds: wall seconds spent on them now; 0 where all were known already.
        classifier: the pretrained head's weights and bias, which read the last tap, where there is one.
        engine: what took ``ms_per_picture``: "torch", or the engine that a network was exported to.
    """

    card: Card
    taps: tuple[NDArray[np.float32], ...]
    ms_per_picture: float
    torch_ms: float
    seconds: float
    classifier: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    engine: str = "torch"

    @property
    def head(self) -> NDArray[np.float32]:
        """(N, D) of the last tap: what a classification layer reads."""
        return self.taps[-1]

    def logits(self, rows: slice) -> NDArray[np.float32] | None:
        """(n, Z) of the classes that the backbone was pretrained on; None where it came without its head."""
        if self.classifier is None:
            return None
        weight, bias = self.classifier
        return np.asarray(self.head[rows] @ weight.T + bias)


def kept_in(card: Card, store: Store) -> Path:
    """The folder of what is known of a network's features, whatever the dataset."""
    facts = [LAYOUT, card.revision, asdict(card.preprocessing), card.taps]
    return store.features / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


class Extractor:
    """The features of one dataset's pictures by one backbone, which is loaded when a picture is new to it.

    ``seconds`` adds up the wall time of every forward pass it made, ``written`` the bytes it kept. ``expected`` is how
    many pictures it will be asked for in all, and ``left`` the seconds it may take, by which it judges whether an
    export to a quicker engine pays. Given ``nodes``, they look at the pictures once it is decided what runs it.
    """

    def __init__(
        self,
        card: Card,
        dataset: Dataset,
        store: Store,
        settings: Settings,
        fresh: bool = False,
        expected: int = 0,
        nodes: Company | None = None,
    ) -> None:
        self.card = card
        self.seconds = 0.0
        self.written = 0
        self.left = inf
        self._shas = list(dataset.held.texts("sha"))
        self._dataset = dataset
        self._store = store
        self._settings = settings
        self._runtime = Runtime(store, settings)
        self._expected = expected
        self._nodes = nodes
        self._backbone: Backbone | None = None
        self._twins: list[Backbone] = []
        self._undecided = False
        self._side = SIDE
        self._pictures: Pictures | None = None
        self._row: dict[str, int] = {}
        self._shards: list[list[NDArray[np.float32]]] = []
        self._ends = [0]
        self._ms = self._torch_ms = 0.0
        self._engine = "torch"
        if not fresh and card.revision:
            self._read_known()

    @property
    def at_hand(self) -> bool:
        """Whether features of most of these pictures are known already; a test part need never be."""
        return 2 * self.known > len(self._shas)

    @property
    def known(self) -> int:
        """Of how many pictures nothing has to be computed."""
        return sum(sha in self._row for sha in self._shas)

    def rows(self, indices: Sequence[int] | NDArray[np.int64], told: Told = silent) -> Features:
        """Features of the pictures at ``indices``, in that order."""
        wanted = [self._shas[index] for index in indices]
        missing = list({sha: index for sha, index in zip(wanted, indices, strict=True) if sha not in self._row}.items())
        seconds = self._compute(missing, told) if missing else 0.0
        order = np.array([self._row[sha] for sha in wanted], dtype=np.int64)
        taps = tuple(self._gathered(index, order) for index in range(len(self.card.taps)))
        return Features(
            self.card, taps, self._ms, self._torch_ms or self._ms, seconds, self._classifier(), self._engine
        )

    def _compute(self, missing: list[tuple[str, int]], told: Told) -> float:
        from zoo.forward import forward

        begun = time.perf_counter()
        backbone, seconds, done = self._loaded(), 0.0, 0
        assert self._pictures is not None
        while done < len(missing):
            if self._nodes is not None and not self._undecided:
                seconds += self._elsewhere(self._nodes, missing[done:], _from(done, len(missing), told))
                break
            part = missing[done : done + (PROBED if self._undecided else BLOCK)]
            pictures = [self._pictures[index] for _, index in part]
            found = forward(backbone, pictures, _from(done, len(missing), told), self._twins)
            _check_numbers(self.card, found.taps)
            done += len(part)
            seconds += found.seconds
            if len(part) >= 2 * PROBED or not self._ms:  # a handful of pictures times the start more than the speed
                self._ms, self._engine = found.ms_per_picture, getattr(backbone, "engine", "torch")
            self._write([sha for sha, _ in part], found.taps)
            if self._undecided:
                upcoming = max(self._expected - len(part), len(missing) - done)
                left = self.left - (time.perf_counter() - begun)
                backbone = self._decided(backbone, pictures, found.taps, found.ms_per_picture / 1000, upcoming, left)
        self.seconds += seconds
        return seconds

    def _elsewhere(self, nodes: Company, missing: list[tuple[str, int]], told: Told) -> float:
        """``missing`` looked at by the nodes of a cluster, kept a block at a time."""
        begun, backbone = time.perf_counter(), self._loaded()
        assert self._pictures is not None
        batch = stack(backbone, [self._pictures[index] for _, index in missing[:SEEN]])
        network, how, sha = (isinstance(backbone, EngineBackbone) and self._runtime.file(self.card)) or (None, None, "")
        errand = Errand(self.card, self._side, how, sha, Proof(batch, backbone.forward(batch)), self._dataset.id)
        self._timed(backbone, [index for _, index in missing[:PROBED]])
        shards: list[Shard] = []
        left = len(missing)
        for shard in nodes.features(errand, network, [sha for sha, _ in missing], told):
            shards.append(shard)
            left -= len(shard.shas)
            if not left or sum(len(one.shas) for one in shards) >= BLOCK:
                taps = [np.concatenate(parts) for parts in zip(*(one.taps for one in shards), strict=True)]
                _check_numbers(self.card, taps)
                self._write([sha for one in shards for sha in one.shas], taps)
                shards = []
        return time.perf_counter() - begun

    def _timed(self, backbone: Backbone, some: list[int]) -> None:
        """What a few pictures take on this machine, of which the figures speak wherever the others are looked at."""
        from zoo.forward import forward

        engine = getattr(backbone, "engine", "torch")
        if not self._ms or engine != self._engine:
            assert self._pictures is not None
            found = forward(backbone, [self._pictures[index] for index in some], twins=self._twins)
            self._ms, self._engine = found.ms_per_picture, engine

    def _loaded(self) -> Backbone:
        """What is to be run: what was exported earlier, without torch, or else the network itself."""
        if self._backbone is None:
            known = self._runtime.known(self.card)
            if known is not None:
                sources.verify(self.card.id, self._settings)
                self._backbone, self._torch_ms = known
            else:
                self._backbone = _framed(sources.load(self.card.id, self._settings), self.card)
                self._undecided = isinstance(self._backbone, Exportable)
                self._keep_classifier(getattr(self._backbone, "classifier", None))
            if "torch" in sys.modules:
                from zoo.forward import twins_of, use_threads

                use_threads(self._settings.threads)
                self._twins = twins_of(self._backbone) if self._nodes is None else []
            self.card = self._backbone.card
            self._side = max(SIDE, int(self.card.preprocessing.size / self.card.preprocessing.crop))
            self._pictures = Pictures.open(self._store, self._dataset, self._side)
        return self._backbone

    def _decided(
        self,
        backbone: Backbone,
        pictures: Sequence[Picture],
        taps: list[NDArray[np.float32]],
        torch_seconds: float,
        upcoming: int,
        left: float,
    ) -> Backbone:
        """``backbone``, or its exported twin where the pictures still to come are worth the export."""
        self._undecided = False
        if self._runtime.pays(self.card, torch_seconds, upcoming, left) and faithful(backbone, pictures[0]):
            backbone, self._torch_ms = self._runtime.exported(backbone, Sight(stack(backbone, pictures), taps))
            self._backbone = backbone
        return backbone

    def _keep_classifier(self, found: tuple[NDArray[np.float32], NDArray[np.float32]] | None) -> None:
        path = self.folder / "classifier.npz"
        if found is not None and found[0].shape[1] == self.card.dim and not path.exists():
            content = io.BytesIO()
            np.savez(content, allow_pickle=False, weight=found[0], bias=found[1])
            write_bytes(path, content.getvalue())

    def _classifier(self) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        try:
            with np.load(self.folder / "classifier.npz", allow_pickle=False) as found:
                return found["weight"], found["bias"]
        except (OSError, ValueError, KeyError, BadZipFile):
            return None

    @property
    def folder(self) -> Path:
        """Where the features of this card's network are kept, whatever the dataset."""
        return kept_in(self.card, self._store)

    def _write(self, shas: list[str], taps: list[NDArray[np.float32]]) -> None:
        """Keep one shard: a folder with the hashes, a file for each tap, and the timings."""
        folder = self.folder
        draft = folder / f".{new_id()}"
        draft.mkdir(parents=True)
        try:
            np.save(draft / "sha.npy", np.array(shas), allow_pickle=False)
            for index, tap in enumerate(taps):
                np.save(draft / f"tap{index}.npy", tap, allow_pickle=False)
            about = {"ms": self._ms, "torch_ms": self._torch_ms, "engine": self._engine}
            (draft / "about.json").write_text(json.dumps(about))
            os.replace(draft, folder / new_id())
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        self.written += sum(tap.nbytes for tap in taps)
        self._add(shas, taps)

    def _read_known(self) -> None:
        """What earlier comparisons computed of this dataset's pictures, oldest first."""
        wanted = set(self._shas)
        for file in sorted(self.folder.glob("[0-9a-f]*/sha.npy"), key=lambda path: path.stat().st_mtime_ns):
            shard = file.parent
            try:
                shas = np.load(file, allow_pickle=False).tolist()
                if not wanted.isdisjoint(shas):
                    taps = [_mapped(shard / f"tap{index}.npy", len(shas)) for index in range(len(self.card.taps))]
                    about: dict[str, Any] = read_json(shard / "about.json") or {}
                    self._add(shas, taps)
                    self._ms, self._torch_ms = float(about["ms"]), float(about["torch_ms"])
                    self._engine = str(about.get("engine", "torch"))
            except (ValueError, KeyError, EOFError, OSError):
                shutil.rmtree(shard, ignore_errors=True)  # damaged: computed again

    def _add(self, shas: list[str], taps: list[NDArray[np.float32]]) -> None:
        self._row.update({sha: self._ends[-1] + index for index, sha in enumerate(shas)})
        self._shards.append(taps)
        self._ends.append(self._ends[-1] + len(shas))

    def _gathered(self, tap: int, order: NDArray[np.int64]) -> NDArray[np.float32]:
        """(N, D) rows of one tap in ``order``, a block of a shard at a time."""
        shape = len(order), self._shards[0][tap].shape[1] if self._shards else 0
        rows = _room(shape, self._store.features)
        shard = np.searchsorted(self._ends, order, side="right") - 1
        by_shard = np.argsort(shard, kind="stable")
        for mine in np.split(by_shard, np.flatnonzero(np.diff(shard[by_shard])) + 1):
            if len(mine):
                number = int(shard[mine[0]])
                rows[mine] = self._shards[number][tap][order[mine] - self._ends[number]]
        return rows


def _framed(backbone: Backbone, wanted: Card) -> Backbone:
    """``backbone``, shown whole pictures where ``wanted`` says so and its own card does not."""
    shown = backbone.card.preprocessing
    if not wanted.preprocessing.squash or shown.squash:
        return backbone
    whole = replace(shown, squash=True, crop=wanted.preprocessing.crop)
    return replace(backbone, card=replace(backbone.card, preprocessing=whole))  # type: ignore[type-var]


def _check_numbers(card: Card, taps: Sequence[NDArray[np.float32]]) -> None:
    if not all(np.isfinite(tap).all() for tap in taps):
        raise BackboneUnavailable(f"{card.id} gives values that are no numbers.", "Choose another.")


def _from(before: int, every: int, told: Told) -> Told:
    """``told``, counting a part of the pictures from ``before`` of ``every``."""
    return lambda done, _: told(before + done, every)


def _room(shape: tuple[int, int], folder: Path) -> NDArray[np.float32]:
    """Room for rows: in memory, or in a file without a name that goes when the array goes."""
    if shape[0] * shape[1] * 4 <= IN_MEMORY:
        return np.empty(shape, dtype=np.float32)
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)


def _mapped(path: Path, rows: int) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    if found.ndim != 2 or len(found) != rows or found.dtype != np.float32:
        raise ValueError(f"{path.name} is not what was written")
    return found
