"""Half precision for a GPU: weights and arithmetic of the network; inputs, outputs and calibration stay as they are."""

from pathlib import Path

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

FILE = "model.fp16.onnx"
KEPT = ["Softmax", "ReduceLogSumExp", "Sigmoid", "Exp", "Log", "ReduceSum", "Gemm", "MatMul"]
"""Where 11 bits are too few, or 65,504 is too small: probabilities, their logarithms, squared distances."""


def write(model: Path, path: Path) -> None:
    """Convert a graph; its inputs and outputs keep their types."""
    graph = OnnxModel(convert_float_to_float16(onnx.load(model), keep_io_types=True, op_block_list=KEPT))
    _drop_twins(graph.model.graph)
    graph.topological_sort()  # the converter puts its casts last
    onnx.save(graph.model, path)
    onnx.checker.check_model(path)


def _drop_twins(graph: onnx.GraphProto) -> None:
    """The converter writes one cast per reader of a tensor, all under one name; one is enough."""
    seen: dict[str, onnx.NodeProto] = {}
    for node in list(graph.node):
        twin = seen.setdefault(node.output[0], node)
        if twin is not node and node.op_type == "Cast" and list(node.input) == list(twin.input):
            graph.node.remove(node)
