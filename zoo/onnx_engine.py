"""A frozen network exported once, then run by OpenVINO or ONNX Runtime: quicker than torch, and without importing it.

The exported file takes (B, size, size, 3) uint8 and gives every tap; normalisation and pooling are inside.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from zoo.backbone import Backbone, Card, Picture
from zoo.network import fit
from zoo.store import write_bytes

if TYPE_CHECKING:
    import torch
    from torch import nn

OPSET = 18
NEAR = 0.9999  # least cosine between an engine's features and torch's, for every picture and tap

Run = Callable[[NDArray[np.generic]], list[NDArray[np.float32]]]


@runtime_checkable
class Exportable(Backbone, Protocol):
    """A backbone that is a torch module inside, its taps computed by one function of a batch of pixels."""

    @property
    def model(self) -> nn.Module: ...

    def taps(self, batch: torch.Tensor) -> Sequence[torch.Tensor]: ...


@dataclass(frozen=True)
class How:
    """A way to run an exported network.

    Attributes:
        engine: "openvino" or "onnxruntime".
        piece: pictures handed to the network at once; small ones stay in the processor's cache.
        precision: "f32", or "bf16" where the engine may round to it.
    """

    engine: str
    piece: int = 1
    precision: str = "f32"


WAYS = (How("openvino"), How("openvino", piece=4), How("openvino", precision="bf16"), How("onnxruntime"))


@dataclass(frozen=True)
class EngineBackbone:
    """A backbone without its torch network: what is exported answers in its place."""

    card: Card
    run: Run
    engine: str

    def prepare(self, picture: Picture) -> Picture:
        return fit(picture, self.card.preprocessing)

    def forward(self, batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        return self.run(batch)


def export(backbone: Exportable, path: Path) -> None:
    """Write ``backbone``'s taps as an ONNX network to ``path``, whole or not at all.

    torch's older exporter is used: it takes a tenth of the newer one's time. Whatever goes wrong in it is raised as it
    is, for the network's own code runs inside it.
    """
    import torch

    class Taps(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = backbone.model

        def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(tap.float() for tap in backbone.taps(batch))

    size = backbone.card.preprocessing.size
    example = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    names = [f"tap{index}" for index in range(len(backbone.card.taps))]
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # that it is the older exporter, and that constants become constants
        torch.onnx.export(
            Taps().eval(),
            (example,),
            content,  # type: ignore[arg-type]  # a file, as the older exporter takes
            dynamo=False,
            opset_version=OPSET,
            input_names=["pictures"],
            output_names=names,
            dynamic_axes={name: {0: "pictures"} for name in ("pictures", *names)},
        )
    write_bytes(path, _anonymous(content.getvalue()))


def _anonymous(content: bytes) -> bytes:
    """The same network without notes on where the code that made it lies.

    Raises:
        onnx.checker.ValidationError: it is not a whole network.
    """
    import onnx

    network = onnx.load_model_from_string(content)
    network.graph.doc_string = ""
    for node in network.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(network)
    return bytes(network.SerializeToString())


def open_engine(path: Path, how: How, threads: int) -> Run:
    """The network at ``path``, ``threads`` pieces of a batch at a time.

    Raises:
        ImportError: the engine is not installed.
    """
    once = _openvino(path, how, threads) if how.engine == "openvino" else _onnxruntime(path)
    pool, warm = ThreadPoolExecutor(threads), threading.Event()

    def run(batch: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        pieces = [batch[first : first + how.piece] for first in range(0, len(batch), how.piece)]
        # The first piece goes alone: two threads at OpenVINO's first use of NumPy wait for each other forever.
        alone = 0 if warm.is_set() else 1
        answers = [pool.submit(once, piece).result() for piece in pieces[:alone]]
        answers += pool.map(once, pieces[alone:])
        warm.set()
        return [np.concatenate(parts) for parts in zip(*answers, strict=True)]

    return run


def likeness(ours: Sequence[NDArray[np.float32]], theirs: Sequence[NDArray[np.float32]]) -> float:
    """The least cosine between two features of the same picture and tap; −1 where a value is no number."""
    least = 1.0
    for one, other in zip(ours, theirs, strict=True):
        a, b = one.astype(np.float64), other.astype(np.float64)
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        cosine = np.where((a == b).all(axis=1), 1.0, (a * b).sum(axis=1) / np.maximum(lengths, 1e-30))
        ratio = np.abs(np.linalg.norm(a, axis=1) - np.linalg.norm(b, axis=1)) / np.maximum(lengths**0.5, 1e-30)
        if not np.isfinite(cosine).all() or (ratio > 0.01).any():
            return -1.0
        least = min(least, float(cosine.min()))
    return least


def _openvino(path: Path, how: How, threads: int) -> Run:
    import openvino

    wanted: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": threads,
        "INFERENCE_PRECISION_HINT": how.precision,  # it would round to bf16 by itself where the processor can
    }
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", wanted)
    mine = threading.local()

    def once(piece: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        if not hasattr(mine, "request"):
            mine.request = compiled.create_infer_request()
        answer = mine.request.infer({0: np.ascontiguousarray(piece)})
        return [np.array(answer[index], dtype=np.float32) for index in range(len(compiled.outputs))]

    return once


def _onnxruntime(path: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the pieces of a batch are what runs side by side
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda piece: list(session.run(None, {"pictures": piece}))
