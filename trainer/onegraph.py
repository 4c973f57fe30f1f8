"""The way from a picture of any size to a network's input as ONNX operators, in front of the network in one file.

The picture stays uint8 until it has its size, as in Pillow: an antialiased ONNX Resize of uint8 then differs from
Pillow's by 1/255 in one value of ten thousand, where one of floats would move probabilities by up to a tenth.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from zoo.backbone import Preprocessing
from zoo.errors import BadExport

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

FEATURES = "features"  # an output of the network that the studio reads and exports leave out
OPSET = 18  # the first with an antialiased Resize
OLDEST = 10  # version of the file format that every reader of that opset knows
MOST_BYTES = 1_900_000_000  # protobuf ends at 2 GiB
FILTERS: dict[str, dict[str, Any]] = {
    "bicubic": {"mode": "cubic", "cubic_coeff_a": -0.5, "antialias": 1, "exclude_outside": 1},
    "bilinear": {"mode": "linear", "antialias": 1},
    "nearest": {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
}


def joined(prepared: Preprocessing, network: bytes, notes: dict[str, Any]) -> ModelProto:
    """One network from ``image`` (H, W, 3) uint8 to the outputs of ``network``.

    Args:
        network: an ONNX network of ``pixels`` (1, 3, size, size) uint8, as torch wrote it.
        notes: kept in the file as JSON under ``studio``; its ``labels`` under that name as well.

    Raises:
        BadExport: no ONNX operator resizes as this network wants, or it is too large for one file.
    """
    import onnx
    from onnx import compose, helper

    if len(network) > MOST_BYTES:
        raise BadExport(f"The network takes {len(network) / 1e9:.1f} GB, too much for one file.", "Export: folder.")
    body = onnx.load_model_from_string(network)
    front = helper.make_model(_front(prepared), opset_imports=[helper.make_opsetid("", OPSET)])
    front.ir_version = body.ir_version = OLDEST
    shown = [output for output in body.graph.output if output.name != FEATURES]
    del body.graph.output[:]
    body.graph.output.extend(shown)
    whole = compose.merge_models(front, body, io_map=[("prepared", "pixels")])
    _forget_where(whole)
    kept = {"studio": notes, "labels": notes["labels"]}
    helper.set_model_props(whole, {key: json.dumps(value, ensure_ascii=False) for key, value in kept.items()})
    whole.producer_name, whole.ir_version = "Transfer Zoo", OLDEST
    onnx.checker.check_model(whole)
    return whole


def _front(prepared: Preprocessing) -> Any:
    """The graph from ``image`` (H, W, 3) to ``prepared`` (1, 3, size, size), both uint8, as ``zoo.network.fit``."""
    from onnx import TensorProto, helper

    if prepared.interpolation not in FILTERS:
        raise BadExport(
            f"ONNX has no {prepared.interpolation} resampling, which this network was trained with.", "Export: folder."
        )
    short, size = math.floor(prepared.size / prepared.crop), prepared.size
    node, number = helper.make_node, _numbers
    nodes: list[NodeProto] = [
        node("Shape", ["image"], ["shape"]),
        number("front_0", [0]), number("front_2", [2]),
        number("front_short", [short]), number("front_size", [size, size]),
        node("Slice", ["shape", "front_0", "front_2"], ["sides"]),
        *_target(prepared.squash),
        node("Transpose", ["image"], ["planes"], perm=[2, 0, 1]),
        node("Unsqueeze", ["planes", "front_0"], ["batch"]),
        node("Resize", ["batch", "", "", "target"], ["resized"], axes=[2, 3],
             coordinate_transformation_mode="half_pixel", **FILTERS[prepared.interpolation]),
        # The crop starts at round(gap / 2), where Python rounds a half to the even number.
        node("Sub", ["target", "front_size"], ["gap"]),
        node("Div", ["gap", "front_2"], ["half"]),
        node("Mod", ["gap", "front_2"], ["odd"]),
        node("Mod", ["half", "front_2"], ["uneven"]),
        node("Mul", ["odd", "uneven"], ["up"]),
        node("Add", ["half", "up"], ["start"]),
        node("Add", ["start", "front_size"], ["end"]),
        number("front_axes", [2, 3]),
        node("Slice", ["resized", "start", "end", "front_axes"], ["cropped"]),
        number("front_shape", [1, 3, size, size]),
        node("Reshape", ["cropped", "front_shape"], ["prepared"]),
    ]  # fmt: skip
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["height", "width", 3])
    out = helper.make_tensor_value_info("prepared", TensorProto.UINT8, [1, 3, size, size])
    return helper.make_graph(nodes, "classifier", [image], [out])


def _target(squash: bool) -> list[NodeProto]:
    """``target``: height and width after the resize; the quotient of whole numbers is cut, as ``int()`` does."""
    from onnx import helper

    node = helper.make_node
    if squash:
        return [node("Concat", ["front_short", "front_short"], ["target"], axis=0)]
    return [
        node("ReduceMin", ["sides"], ["least"], keepdims=1),
        node("Mul", ["sides", "front_short"], ["longer"]),
        node("Div", ["longer", "least"], ["target"]),
    ]


def _numbers(name: str, values: list[int]) -> NodeProto:
    from onnx import TensorProto, helper

    return helper.make_node(
        "Constant", [], [name], value=helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
    )


def _forget_where(network: ModelProto) -> None:
    """Take out what the exporter notes of the code that made it, and where on the disk that lies."""
    graph = network.graph
    network.doc_string = graph.doc_string = ""
    del network.metadata_props[:]
    for parts in (graph.node, graph.value_info, graph.initializer, graph.input, graph.output):
        for part in parts:
            part.doc_string = ""
            if hasattr(part, "metadata_props"):
                del part.metadata_props[:]
