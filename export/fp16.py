"""Half precision for a GPU: weights and arithmetic of the network; inputs, outputs and calibration stay in float32."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

FILE = "model.fp16.onnx"
FLOAT32_OPERATORS = ["Softmax", "ReduceLogSumExp", "Sigmoid", "Exp", "Log", "ReduceSum", "Gemm", "MatMul"]
"""Operators for which 11 bits or a maximum of 65,504 are not enough: logarithms, squared distances."""


def write(model: Path, path: Path, float32_before: Sequence[str] = ()) -> None:
    """Convert a graph; its inputs, outputs and everything before the named convolutions stay in float32."""
    loaded = onnx.load(model)
    float32_nodes = _leading_to(loaded.graph, float32_before)
    converted = convert_float_to_float16(
        loaded, keep_io_types=True, op_block_list=FLOAT32_OPERATORS, node_block_list=float32_nodes
    )
    graph = OnnxModel(converted)
    _drop_duplicate_casts(graph.model.graph)
    graph.topological_sort()  # the converter puts its casts last
    onnx.save(graph.model, path)
    onnx.checker.check_model(path)


def _leading_to(graph: onnx.GraphProto, convolutions: Sequence[str]) -> list[str]:
    """Names of the nodes that the named convolutions' inputs depend on."""
    producer = {output: node for node in graph.node for output in node.output}
    waiting = [node.input[0] for node in graph.node if node.name in convolutions]
    ancestors: dict[str, None] = {}
    while waiting:
        node = producer.get(waiting.pop())
        if node is not None and node.name not in ancestors:
            ancestors[node.name] = None
            waiting += node.input
    return list(ancestors)


def _drop_duplicate_casts(graph: onnx.GraphProto) -> None:
    """The converter writes one cast per consumer of a tensor, all of one name; keep the first."""
    first_casts: dict[str, onnx.NodeProto] = {}
    for node in list(graph.node):
        first = first_casts.setdefault(node.output[0], node)
        if first is not node and node.op_type == "Cast" and list(node.input) == list(first.input):
            graph.node.remove(node)
