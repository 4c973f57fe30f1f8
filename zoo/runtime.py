"""Which way of running a frozen network is the quickest on this machine: measured once, kept below the store.

``engines/KEY`` holds an exported network by its weights, preprocessing, taps and the engines' versions;
``engines/machine-….json`` what was measured on a machine. An engine is used only where its features equal torch's.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.backbone import Backbone, Card
from zoo.budget import worth_export
from zoo.network import fit
from zoo.onnx_engine import NEAR, OPSET, WAYS, EngineBackbone, Exportable, How, Run, export, likeness, open_engine
from zoo.settings import Settings
from zoo.store import Store, read_json, write_json

FORMAT = 1  # raised when what is exported changes its meaning
PROBED = 16  # pictures that torch sees first, by which an engine is checked and timed
SAVED = 0.4  # of torch's time, where no engine was measured on this machine yet
COST = 1.3  # seconds of export, opening and check, likewise
TRIALS = 60  # pictures that torch would see in the time of the first export on a machine, all ways being tried
NETWORK = "network.onnx"


@dataclass(frozen=True)
class Sight:
    """Pictures as prepared for the network, and torch's answer to them."""

    batch: NDArray[np.generic]
    taps: list[NDArray[np.float32]]


class Runtime:
    """The engines of one store on this machine."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._threads = settings.threads
        self._root = store.root / "engines"
        self._machine = self._root / f"machine-{fingerprint(settings.threads)}.json"

    def known(self, card: Card) -> tuple[Backbone, float] | None:
        """What was exported of ``card``, ready to run without torch, and torch's own milliseconds a picture.

        None where nothing was, where it is damaged, and where torch was quicker or differed.
        """
        if not card.revision:
            return None
        folder = self._folder(card)
        noted = read_json(folder / "engine.json")
        if not noted or not noted["how"] or not _whole(folder / NETWORK, noted["sha256"]):
            return None
        run = _opened(folder / NETWORK, How(**noted["how"]), self._threads)
        return (EngineBackbone(card, run, noted["how"]["engine"]), float(noted["torch_ms"])) if run else None

    def file(self, card: Card) -> tuple[Path, How, str] | None:
        """The network that ``known`` opens, the way it is run, and its SHA-256; None where there is none."""
        noted = read_json(self._folder(card) / "engine.json")
        if not noted or not noted["how"]:
            return None
        return self._folder(card) / NETWORK, How(**noted["how"]), str(noted["sha256"])

    def pays(self, card: Card, torch_seconds: float, upcoming: int, left: float = inf) -> bool:
        """Whether exporting ``card`` is worth its cost, given torch's seconds a picture and the seconds ``left``."""
        if not card.revision or read_json(self._folder(card) / "engine.json"):
            return False  # tried before
        measured = read_json(self._machine)
        saved, cost = (measured["saved"], measured["cost"]) if measured else (SAVED, COST)
        if left < inf:  # it must not be overrun: as slow as the machine is now, every way tried where none was yet
            now = cost * torch_seconds * 1000 / measured["torch"]["ms"] if measured else TRIALS * torch_seconds
            cost = max(cost, now)
        return worth_export(upcoming, torch_seconds, saved, cost, left)

    def exported(self, backbone: Backbone, sight: Sight) -> tuple[Backbone, float]:
        """The quickest of ``backbone`` and its exported twins, and torch's milliseconds a picture.

        The first network that is exported on a machine is run in every way there is; the others in the way that won.
        """
        begun = time.perf_counter()
        card, folder = backbone.card, self._folder(backbone.card)
        torch_ms, _ = _timed(backbone.forward, sight.batch)
        if not isinstance(backbone, Exportable) or next(backbone.model.parameters()).device.type != "cpu":
            return backbone, torch_ms
        with self._store.lock(f"engine-{folder.name}"):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / NETWORK
            try:
                export(backbone, path)
            except Exception as error:  # noqa: BLE001 - any network's own code runs in the exporter; torch still works
                self._note(folder, None, {"torch_ms": torch_ms, "why": f"{type(error).__name__}: {error}"[:300]})
                return backbone, torch_ms
            once = time.perf_counter() - begun
            profile = read_json(self._machine)
            ways = [How(**profile["how"])] if profile and profile["how"] else WAYS
            tried = [_tried(path, how, self._threads, sight) for how in ways]
            good = [row for row in tried if row["likeness"] > NEAR and row["ms"] < torch_ms]
            best = min(good, key=lambda row: float(row["ms"])) if good else None
            how = How(**best["how"]) if best else None
            self._note(folder, how, {"torch_ms": torch_ms, "tried": tried, "sha256": _sha(path)})
            if not profile:
                self._profile(how, tried, torch_ms, cost=once + (best["seconds"] if best else 0.0))
            if how is None:
                path.unlink()
                return backbone, torch_ms
        run = _opened(path, how, self._threads)
        return (EngineBackbone(card, run, how.engine) if run else backbone), torch_ms

    def _folder(self, card: Card) -> Path:
        facts = [FORMAT, OPSET, card.revision, asdict(card.preprocessing), card.taps, _versions()]
        return self._root / hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]

    def _note(self, folder: Path, how: How | None, more: dict[str, Any]) -> None:
        write_json(folder / "engine.json", {"how": asdict(how) if how else None} | more)

    def _profile(self, how: How | None, tried: list[dict[str, Any]], torch_ms: float, cost: float) -> None:
        quickest = min([row["ms"] for row in tried if how and row["how"] == asdict(how)] or [torch_ms])
        profile = {
            "how": asdict(how) if how else None,
            "threads": self._threads,
            "torch": {"layout": "channels_last", "precision": "f32", "ms": torch_ms},
            "tried": tried,
            "saved": max(0.0, 1 - quickest / torch_ms),
            "cost": cost,
        }
        write_json(self._machine, profile)


def faithful(backbone: Backbone, picture: NDArray[np.uint8]) -> bool:
    """Whether an engine's way to prepare a picture is this backbone's, to the pixel."""
    return np.array_equal(backbone.prepare(picture), fit(picture, backbone.card.preprocessing))


@cache
def fingerprint(threads: int) -> str:
    """What timings depend on: processor, system, threads, versions."""
    facts = [FORMAT, platform.machine(), platform.system(), processor(), threads, _versions()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


@cache
def processor() -> list[str]:
    """What the system says of its processors, each line once."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return [platform.processor()]
    return sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})


def _tried(path: Path, how: How, threads: int, sight: Sight) -> dict[str, Any]:
    """How near to torch, and how quick, the network at ``path`` is when it is run so."""
    begun = time.perf_counter()
    run = _opened(path, how, threads)
    row: dict[str, Any] = {"how": asdict(how), "likeness": -1.0, "ms": 1e9}
    if run is not None:
        row["ms"], taps = _timed(run, sight.batch)
        row["likeness"] = likeness(taps, sight.taps)
    return row | {"seconds": time.perf_counter() - begun}


def _opened(path: Path, how: How, threads: int) -> Run | None:
    """The network at ``path``; None where the engine is not installed or cannot run it, for which torch stands by."""
    try:
        return open_engine(path, how, threads)
    except Exception:  # noqa: BLE001 - each engine raises errors of its own kind
        return None


def _timed(run: Run, batch: NDArray[np.generic]) -> tuple[float, list[NDArray[np.float32]]]:
    """Wall milliseconds a picture, by the quicker half: what else runs here only slows it down; and the answers."""
    spent, answers = [], []
    for half in np.array_split(batch, min(2, len(batch))):
        begun = time.perf_counter()
        answers.append(run(half))
        spent.append((time.perf_counter() - begun) / len(half) * 1000)
    return min(spent), [np.concatenate(parts) for parts in zip(*answers, strict=True)]


def _whole(path: Path, sha: str) -> bool:
    return path.is_file() and _sha(path) == sha


def _sha(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _versions() -> tuple[str, ...]:
    return tuple(f"{name} {_version(name)}" for name in ("openvino", "onnxruntime"))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
