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

from models.classifier.evaluation import measurement

FILE = "model.int8.onnx"
QUANTISED = ("Conv",)
"""Only convolutions: that is where the time goes, while a rounded calibration or softmax is a wrong probability."""
PARTS, SEARCHED = 8, 48
"""Parts of the network that are tried in float, and the training pictures that they are tried on."""
MAX_SHIFT = 0.1
"""Of the melanoma logit, in all but one of twenty pictures; an average hides the pictures that are ruined."""


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """One prepared picture at a time, which bounds the memory of the ranges' collection."""

    def __init__(self, cache: NDArray[np.uint8]) -> None:
        self._batches: Iterator[dict[str, Any]] = iter({"image": cache[i : i + 1]} for i in range(len(cache)))

    def get_next(self) -> dict[str, Any] | None:
        return next(self._batches, None)


def write(model: Path, cache: NDArray[np.uint8], path: Path) -> list[str]:
    """Quantise `model` with the ranges that pictures uint8 [N, S, S, 3] show; N of 100 to 300 is enough.

    Returns the convolutions that stay in float because they cost accuracy: see `_costly`.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared, tried = Path(folder) / "prepared.onnx", Path(folder) / "tried.onnx"
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        kept = _costly(prepared, cache[:SEARCHED], tried)
        _quantise(prepared, cache, path, kept)
    onnx.checker.check_model(path)
    return kept


def _quantise(prepared: Path, cache: NDArray[np.uint8], path: Path, kept: list[str]) -> None:
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
        nodes_to_exclude=kept,
        extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
    )


def _costly(prepared: Path, cache: NDArray[np.uint8], tried: Path) -> list[str]:
    """The convolutions to leave in float so that hardly a logit moves by more than MAX_SHIFT.

    Consecutive convolutions are tried together, each part alone in float; then the parts that help most stay out, one
    more at a time, until the rest is accurate enough. Squeeze-and-excitation works on 1 x 1: no time to win.
    """
    model = onnx.load(prepared)
    names = [node.name for node in model.graph.node if node.op_type == "Conv"]
    small = [node.name for node in model.graph.node if node.op_type == "Conv" and ".se." in node.input[1]]
    rest = [name for name in names if name not in small]
    parts = [part.tolist() for part in np.array_split(np.array(rest), min(PARTS, len(rest)))]
    wanted = measurement.run(prepared, cache)["logit"]

    def shift(kept: list[str]) -> float:
        _quantise(prepared, cache, tried, kept)
        return float(np.quantile(np.abs(measurement.run(tried, cache)["logit"] - wanted), 0.95))

    kept = list(small)
    if shift(kept) <= MAX_SHIFT:
        return kept
    alone = [shift(small + part) for part in parts]
    for index in np.argsort(alone):
        kept += parts[index]
        if shift(kept) <= MAX_SHIFT:
            break
    return kept
