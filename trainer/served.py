"""A classifier that answers without torch: its network exported once, run by the engine that is quickest here.

``served/KEY`` below the store holds the network by its weights, gate and the versions of what runs it. Where a network
cannot be exported, or the export disagrees, that is noted, and ``trainer.answering`` asks torch in another process.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer import onefile
from trainer.prediction import Prediction, said
from zoo import saved
from zoo.backbone import Picture, Preprocessing
from zoo.errors import BackboneUnavailable, BadClassifier, BadExport
from zoo.network import fit
from zoo.runtime import fingerprint
from zoo.store import Store, read_json, write_bytes, write_json

NETWORK = "network.onnx"
ENGINES = ("openvino", "onnxruntime")
NEAR = 1e-3  # largest difference of a probability from torch's
TRIES = 12  # answers by which an engine is timed

Pixels = NDArray[np.uint8]  # (1, 3, size, size)
Run = Callable[[Pixels], list[NDArray[np.float32]]]


class Served:
    """What ``Classifier`` says, without torch. One picture at a time: callers wait for each other."""

    def __init__(self, folder: Path, run: Run) -> None:
        facts = read_json(folder / saved.FACTS)
        self.classes: tuple[str, ...] = tuple(facts["classes"])
        self.preprocessing: Preprocessing = saved.preprocessing(folder)
        self.facts: dict[str, Any] = facts
        self._gated = onefile.gate(folder) is not None
        self.run = run
        self._turn = Lock()

    def predict(self, pictures: Sequence[Picture]) -> list[Prediction]:
        """One answer a picture, (H, W, 3) uint8 RGB, upright."""
        return list(self.stream(pictures))

    def stream(self, pictures: Sequence[Picture]) -> Iterator[Prediction]:
        """The same, as they come."""
        threshold = self.facts.get("set_threshold")
        for picture in pictures:
            begun = time.perf_counter()
            sure, novelty, _ = self.answer(picture)
            yield said(self.classes, sure, novelty, threshold, time.perf_counter() - begun)

    def probabilities(self, pictures: Sequence[Picture]) -> NDArray[np.float64]:
        """(N, C) calibrated probabilities."""
        rows = [self.answer(picture)[0] for picture in pictures]
        return np.stack(rows) if rows else np.zeros((0, len(self.classes)))

    def answer(self, picture: Picture) -> tuple[NDArray[np.float64], float | None, NDArray[np.float32]]:
        """(C,) probabilities; novelty, 1 at the threshold; (D,) what the last layer reads."""
        with self._turn:
            found = self.run(pixels(picture, self.preprocessing))
        sure = found[0].astype(np.float64)
        return sure / sure.sum(), float(found[1]) if self._gated else None, found[-1]

    def prepared(self, shown: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(N, C) probabilities of pictures that are cut to the network's size already, (N, size, size, 3)."""
        rows = []
        for one in shown:
            with self._turn:
                sure = self.run(np.ascontiguousarray(one.transpose(2, 0, 1)[None]))[0].astype(np.float64)
            rows.append(sure / sure.sum())
        return np.stack(rows)


def pixels(picture: Picture, prepared: Preprocessing) -> Pixels:
    """(1, 3, size, size): ``picture`` as the network takes it."""
    return np.ascontiguousarray(fit(picture, prepared).transpose(2, 0, 1)[None])


def known(store: Store, folder: Path, threads: int) -> Served | None:
    """The classifier saved in ``folder``, if it was made ready for this machine; None where it was not, or cannot be.

    Raises:
        BadClassifier: there is none, or it is damaged.
    """
    kept = place(store, folder)
    noted = read_json(kept / "served.json") or {}
    engine = noted.get("engines", {}).get(fingerprint(threads))
    if not engine or not (kept / NETWORK).is_file():
        return None
    return Served(folder, opened((kept / NETWORK).read_bytes(), engine, threads))


def impossible(store: Store, folder: Path) -> str:
    """Why the classifier saved in ``folder`` cannot answer without torch; "" where that is not known."""
    return str((read_json(place(store, folder) / "served.json") or {}).get("why", ""))


def body(store: Store, folder: Path) -> bytes:
    """The classifier's network as ``onefile.network`` writes it, out of the store where it was kept.

    Raises:
        BadExport: it cannot be written.
    """
    kept = place(store, folder) / NETWORK
    try:
        return kept.read_bytes()
    except FileNotFoundError:
        written = onefile.network(folder)
        write_bytes(kept, written)
        return written


def make(store: Store, folder: Path, threads: int) -> Served | None:
    """``known``, made ready where it is not: exported, compared with torch, timed. This imports torch once.

    Returns:
        None where torch is needed; ``impossible`` says why.

    Raises:
        BadClassifier: there is none, or it is damaged.
    """
    kept = place(store, folder)
    with store.lock(f"served-{kept.name}"):
        if impossible(store, folder) or (found := known(store, folder, threads)):
            return None if impossible(store, folder) else found
        try:
            network = body(store, folder)
        except (BadExport, BackboneUnavailable) as error:
            write_json(kept / "served.json", {"why": str(error)})
            return None
        from trainer.classifier import Classifier

        pictures = drawn()
        truth = Classifier.load(folder).probabilities(pictures)
        timed = {name: _timed(network, name, threads, folder, pictures, truth) for name in ENGINES}
        good = {name: row for name, row in timed.items() if row is not None}
        if not good:
            why = "No engine here gives its network's answers."
            write_json(kept / "served.json", {"why": why})
            return None
        best = min(good, key=lambda name: good[name])
        noted = read_json(kept / "served.json") or {}
        engines = noted.get("engines", {}) | {fingerprint(threads): best}
        write_json(kept / "served.json", {"engines": engines, "ms": good})
    return known(store, folder, threads)


def opened(network: bytes, engine: str, threads: int) -> Run:
    """``network`` run by "openvino" or "onnxruntime", all ``threads`` on one picture."""
    if engine == "openvino":
        return _openvino(network, threads)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda given: list(session.run(None, {name: given}))


def _openvino(network: bytes, threads: int) -> Run:
    import openvino

    wanted: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # it would round to bf16 by itself where the processor can
    }
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(network), "CPU", wanted)
    request, outputs = compiled.create_infer_request(), range(len(compiled.outputs))

    def run(given: Pixels) -> list[NDArray[np.float32]]:
        answer = request.infer({0: given})
        return [np.array(answer[index], dtype=np.float32) for index in outputs]

    return run


def drawn() -> list[Picture]:
    """Pictures that nobody took: ramps, stripes and noise of odd sizes, the same on every machine."""
    chance = np.random.default_rng(0)
    made: list[Picture] = []
    for height, width in ((224, 224), (50, 70), (333, 500), (101, 103), (600, 97), (240, 320)):
        y, x = np.mgrid[0:height, 0:width]
        ramp = np.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x * y) // 7 % 256], axis=-1)
        coarse = chance.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3))
        patches = np.kron(coarse, np.ones((16, 16, 1), dtype=np.int64))[:height, :width]
        made.append(((ramp + patches) // 2).astype(np.uint8))
    return made


def _timed(
    network: bytes, engine: str, threads: int, folder: Path, pictures: list[Picture], truth: NDArray[np.float64]
) -> float | None:
    """Milliseconds an answer; None where the engine is not installed, cannot run it, or disagrees with torch."""
    try:
        served = Served(folder, opened(network, engine, threads))
        if not np.abs(served.probabilities(pictures) - truth).max() < NEAR:
            return None
        given, took = pixels(pictures[0], served.preprocessing), []
        for _ in range(TRIES):
            begun = time.perf_counter()
            served.run(given)
            took.append(time.perf_counter() - begun)
        return 1000 * min(took)
    except Exception:  # noqa: BLE001 - each engine raises errors of its own kind, and torch stands by
        return None


def place(store: Store, folder: Path) -> Path:
    """Where the network of the classifier saved in ``folder`` is kept.

    Raises:
        BadClassifier: there is no classifier.
    """
    files = [folder / name for name in (saved.CONFIG, "model.safetensors", saved.FACTS)]
    try:
        digests = [onefile.FORMAT, *(_sha(path) for path in files)]
    except OSError as error:
        raise BadClassifier(
            f"{folder.name!r} is not a classifier's folder.", "Give a folder with config.json and studio.json."
        ) from error
    gate = folder / onefile.GATE
    digests.append(_sha(gate) if gate.is_file() else "")
    return store.root / "served" / hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:24]


def _sha(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
