"""Half precision for a GPU: weights and arithmetic of the network; inputs, outputs and calibration stay as they are."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

FILE = "model.fp16.onnx"
KEPT = ["Softmax", "ReduceLogSumExp", "Sigmoid", "Exp", "Log", "ReduceSum", "Gemm", "MatMul"]
"""Where 11 bits are too few, or 65,504 is too small: probabilities, their logarithms, squared distances."""


def write(model: Path, path: Path, float32_before: Sequence[str] = ()) -> None:
    """Convert a graph; its inputs and outputs keep their types, and so does what leads to the named convolutions."""
    loaded = onnx.load(model)
    kept = _leading_to(loaded.graph, float32_before)
    converted = convert_float_to_float16(loaded, keep_io_types=True, op_block_list=KEPT, node_block_list=kept)
    graph = OnnxModel(converted)
    _drop_twins(graph.model.graph)
    graph.topological_sort()  # the converter puts its casts last
    onnx.save(graph.model, path)
    onnx.checker.check_model(path)


def _leading_to(graph: onnx.GraphProto, convolutions: Sequence[str]) -> list[str]:
    """Names of the nodes that the named convolutions' inputs depend on."""
    maker = {output: node for node in graph.node for output in node.output}
    waiting = [node.input[0] for node in graph.node if node.name in convolutions]
    found: dict[str, None] = {}
    while waiting:
        node = maker.get(waiting.pop())
        if node is not None and node.name not in found:
            found[node.name] = None
            waiting += node.input
    return list(found)


def _drop_twins(graph: onnx.GraphProto) -> None:
    """The converter writes one cast per reader of a tensor, all under one name; one is enough."""
    seen: dict[str, onnx.NodeProto] = {}
    for node in list(graph.node):
        twin = seen.setdefault(node.output[0], node)
        if twin is not node and node.op_type == "Cast" and list(node.input) == list(twin.input):
            graph.node.remove(node)
