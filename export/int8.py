"""INT8 for the CPU: static, per channel, calibrated on real pictures; what costs accuracy stays in float."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

FILE = "model.int8.onnx"
QUANTISED = ("Conv",)
"""Only convolutions: that is where the time goes, while a rounded calibration or softmax is a wrong probability."""


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """One prepared picture at a time, which bounds the memory of the ranges' collection."""

    def __init__(self, cache: NDArray[np.uint8]) -> None:
        self._batches: Iterator[dict[str, Any]] = iter({"image": cache[i : i + 1]} for i in range(len(cache)))

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def write(model: Path, cache: NDArray[np.uint8], path: Path) -> None:
    """Quantise `model` with the ranges that pictures uint8 [N, S, S, 3] show; N of 100 to 300 is enough."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            path,
            _Pictures(cache),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,  # s8 activations are far slower on this runtime (measured)
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=_costly(onnx.load(model)),
            extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
        )
    onnx.checker.check_model(path)


def _costly(model: onnx.ModelProto) -> list[str]:
    """The first convolution sees the picture, squeeze-and-excitation works on 1 x 1: little time, much accuracy."""
    weights = {initializer.name: tuple(initializer.dims) for initializer in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    stems = [node.name for node in convolutions if weights.get(node.input[1], (0, 0))[1] == 3]  # noqa: PLR2004
    return stems + [node.name for node in convolutions if ".se." in node.input[1]]
