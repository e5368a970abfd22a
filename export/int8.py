"""INT8 for the CPU: static, per channel, calibrated on real images; sensitive convolutions stay in float."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from models.classifier.evaluation import measurement

FILE = "model.int8.onnx"
QUANTISED = ("Conv",)
"""Only convolutions: they take most of the time, and a rounded calibration or softmax gives wrong probabilities."""
PARTS, SEARCHED = 8, 48
"""Number of parts of the network to try in float, and of training images to try them on."""
MAX_SHIFT = 0.1
"""Largest allowed change of the melanoma logit at the 95th percentile; an average would hide single large errors."""


class _CalibrationImages(CalibrationDataReader):  # type: ignore[misc]
    """One prepared image at a time, which bounds the memory of the ranges' collection."""

    def __init__(self, cache: NDArray[np.uint8]) -> None:
        self._batches: Iterator[dict[str, Any]] = iter({"image": cache[i : i + 1]} for i in range(len(cache)))

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def write(model: Path, cache: NDArray[np.uint8], path: Path) -> list[str]:
    """Quantise `model` with the ranges that images uint8 [N, S, S, 3] show; N of 100 to 300 is enough.

    Returns the convolutions that stay in float for accuracy: see `_sensitive`.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared, tried = Path(folder) / "prepared.onnx", Path(folder) / "tried.onnx"
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        in_float = _sensitive(prepared, cache[:SEARCHED], tried)
        _quantise(prepared, cache, path, in_float)
    onnx.checker.check_model(path)
    return in_float


def _quantise(prepared: Path, cache: NDArray[np.uint8], path: Path, in_float: list[str]) -> None:
    quantize_static(
        prepared,
        path,
        _CalibrationImages(cache),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,  # s8 activations are far slower on this runtime (measured)
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        op_types_to_quantize=list(QUANTISED),
        nodes_to_exclude=in_float,
        extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
    )


def _sensitive(prepared: Path, cache: NDArray[np.uint8], tried: Path) -> list[str]:
    """The convolutions to leave in float so that the 95th percentile of logit changes is at most MAX_SHIFT.

    Consecutive convolutions are tried together, each part alone in float; then the parts that help most stay out, one
    more at a time, until the rest is accurate enough. Squeeze-and-excitation works on 1 x 1, so
    INT8 would save no time there.
    """
    model = onnx.load(prepared)
    names = [node.name for node in model.graph.node if node.op_type == "Conv"]
    small = [node.name for node in model.graph.node if node.op_type == "Conv" and ".se." in node.input[1]]
    rest = [name for name in names if name not in small]
    parts = [part.tolist() for part in np.array_split(np.array(rest), min(PARTS, len(rest)))]
    reference = measurement.run(prepared, cache)["logit"]

    def shift(in_float: list[str]) -> float:
        _quantise(prepared, cache, tried, in_float)
        return float(np.quantile(np.abs(measurement.run(tried, cache)["logit"] - reference), 0.95))

    in_float = list(small)
    if shift(in_float) <= MAX_SHIFT:
        return in_float
    alone = [shift(small + part) for part in parts]
    for index in np.argsort(alone):
        in_float += parts[index]
        if shift(in_float) <= MAX_SHIFT:
            break
    return in_float
