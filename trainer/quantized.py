"""The one file with 8-bit integers inside: faster on most processors and less exact, so its loss is measured first."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trainer import onefile, served
from trainer.certificate import asked, measured, truth
from trainer.parcel import MODEL, program
from trainer.proof import Order
from zoo import saved
from zoo.decode import read_picture
from zoo.store import write_json

MOST_LOST = 0.02  # share of held-out pictures it may get wrong beyond what the classifier gets wrong
INT8 = "int8"
STEM = 2  # convolutions that stay exact: the first ones lose most, in a network for phones several points
EXACT = ("whiten", "voice", "kept", "softmax", "Softmax")  # gate and end of the network stay in single precision


def quantized(order: Order, folder: Path) -> dict[str, Any]:
    """Write ``int8/model.onnx`` below ``folder`` and measure it; taken away again where it loses too much.

    Static quantisation, weights by channel, ranges by training pictures: where every picture's ranges are measured
    anew instead, convolutions get slower than they were.

    Returns:
        pictures, agreement, max_abs_dp, latency_ms, accuracy (its own), lost (by the classifier's), kept.
    """
    place = folder / INT8
    place.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        body = _static(order, Path(scratch))
    onefile.build(order.classifier, body, place / MODEL)
    program(place, "predict.py")
    proof = order.proof.checked()
    rows, seconds = asked(place / "predict.py", proof.pictures)
    ours = truth(order.classifier, proof.pictures)
    classes = onefile.notes(order.classifier)["labels"]
    y = np.array([classes.index(label) for label in proof.labels])
    right, before = rows.argmax(1) == y, ours.argmax(1) == y
    lost = float(before.mean() - right.mean())
    row = measured(ours, rows, seconds, "onnxruntime, int8") | {"accuracy": float(right.mean()), "lost": lost}
    row["kept"] = lost <= MOST_LOST
    if row["kept"]:
        write_json(place / "certificate.json", row)
    else:
        for path in place.iterdir():
            path.unlink()
        place.rmdir()
    return row


def _static(order: Order, scratch: Path) -> bytes:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = saved.preprocessing(order.classifier)

    class Training(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
        def __init__(self) -> None:
            self.left: Iterator[Path] = iter(order.proof.training)

        def get_next(self) -> dict[str, Any] | None:
            path = next(self.left, None)
            return None if path is None else {"pixels": served.pixels(read_picture(path), prepared)}

    whole, ready, small = (scratch / name for name in ("whole.onnx", "ready.onnx", "small.onnx"))
    whole.write_bytes(served.body(order.store, order.classifier))
    quant_pre_process(whole, ready, skip_symbolic_shape=True)
    nodes = onnx.load(ready).graph.node
    exact = [node.name for node in nodes if any(word in name for name in (node.name, *node.input) for word in EXACT)]
    exact += [node.name for node in nodes if node.op_type == "Gemm"]  # the last layer
    exact += [node.name for node in nodes if node.op_type == "Conv"][:STEM]
    quantize_static(
        ready,
        small,
        Training(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "MatMul"],
        nodes_to_exclude=exact,
        extra_options={"ActivationSymmetric": False},
    )
    return small.read_bytes()
