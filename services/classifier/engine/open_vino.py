"""OpenVINO on the CPU: bfloat16 where the processor computes in it, which is what makes it fast."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

import numpy as np
import openvino
from numpy.typing import NDArray

from services.classifier.engine.port import Scores, per_picture, wanted

WITHOUT_BIASES = "/WithoutBiases"
"""What OpenVINO adds to the name of an ONNX convolution whose bias it splits off."""


def has_bf16() -> bool:
    """Whether this processor computes in bfloat16 itself; emulated, it would be slow."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine:
    """One compiled graph and one request. What follows the last layer (calibration, softmax) stays in float32."""

    def __init__(
        self, model: Path, threads: int, precision: Literal["f32", "bf16"], float32_before: Sequence[str] = ()
    ) -> None:
        """`float32_before`: convolutions of the ONNX graph whose inputs are computed in float32 all the same."""
        compiled = openvino.Core().compile_model(
            _marked(model, float32_before) if precision == "bf16" and float32_before else model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": precision,
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
                "ENABLE_CPU_PINNING": False,  # decoding shares the cores
            },
        )
        self._wanted = wanted({name for output in compiled.outputs for name in output.names})
        self._request = compiled.create_infer_request()
        self.name = f"openvino-{openvino.__version__.split('-')[0]}-{precision}"

    def run(self, batch: NDArray[np.uint8]) -> list[Scores]:
        """Run one batch. The outputs are copied: the next batch overwrites OpenVINO's own."""
        self._request.infer({"image": batch})
        return per_picture({name: self._request.get_tensor(name).data.copy() for name in self._wanted})

    def close(self) -> None:
        """Nothing to let go of."""


def _marked(model: Path, float32_before: Sequence[str]) -> openvino.Model:
    """The graph with all that leads to the named convolutions marked `precise`: it stays as it is, whatever the hint.

    OpenVINO keeps that mark in its own files and offers no way to set it from Python, so the graph goes through one.
    """
    core = openvino.Core()
    graph = core.read_model(model)
    precise = _leading_to(graph, float32_before)
    with tempfile.TemporaryDirectory() as folder:
        xml, weights = Path(folder) / "model.xml", Path(folder) / "model.bin"
        openvino.serialize(graph, xml, weights)
        tree = ET.parse(xml)  # noqa: S314  (written a line above)
        for layer in tree.iter("layer"):
            if layer.get("name") in precise and layer.get("type") != "Const":
                marks = layer.find("rt_info")
                if marks is None:
                    marks = ET.Element("rt_info")
                    layer.insert(1 if layer.find("data") is not None else 0, marks)
                ET.SubElement(marks, "attribute", name="precise", version="0")
        return core.read_model(ET.tostring(tree.getroot()), weights.read_bytes())


def _leading_to(graph: openvino.Model, convolutions: Sequence[str]) -> set[str]:
    """Names of the layers that the named convolutions' inputs depend on."""
    named = {op.get_friendly_name().removesuffix(WITHOUT_BIASES): op for op in graph.get_ordered_ops() if _conv(op)}
    waiting, found = [named[name].input_value(0).get_node() for name in convolutions], set[str]()
    while waiting:
        op = waiting.pop()
        if op.get_friendly_name() not in found:
            found.add(op.get_friendly_name())
            waiting += [value.get_node() for value in op.input_values()]
    return found


def _conv(op: openvino.Node) -> bool:
    return op.get_type_name() in ("Convolution", "GroupConvolution")
