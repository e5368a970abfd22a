"""OpenVINO on the CPU: bfloat16 where the processor computes in it, which is what makes it fast."""

from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from services.classifier.engine.port import Scores, per_picture, wanted


def has_bf16() -> bool:
    """Whether this processor computes in bfloat16 itself; emulated, it would be slow."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine:
    """One compiled graph and one request. What follows the last layer (calibration, softmax) stays in float32."""

    def __init__(self, model: Path, threads: int, precision: str = "") -> None:
        """`precision`: bf16 or f32; empty takes bf16 where the processor has it."""
        self.precision = precision or ("bf16" if has_bf16() else "f32")
        compiled = openvino.Core().compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": self.precision,
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
                "ENABLE_CPU_PINNING": False,  # decoding shares the cores
            },
        )
        self._wanted = wanted({name for output in compiled.outputs for name in output.names})
        self._request = compiled.create_infer_request()
        self.name = f"openvino-{openvino.__version__.split('-')[0]}-{self.precision}"

    def run(self, batch: NDArray[np.uint8]) -> list[Scores]:
        """Run one batch. The outputs are copied: the next batch overwrites OpenVINO's own."""
        self._request.infer({"image": batch})
        return per_picture({name: self._request.get_tensor(name).data.copy() for name in self._wanted})

    def close(self) -> None:
        """Nothing to let go of."""
