"""ONNX Runtime, on the CPU or on a GPU."""

from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from services.classifier.engine.port import ProviderError, Scores, per_picture, wanted

Device = Literal["cpu", "cuda", "tensorrt"]
PROVIDERS: dict[Device, tuple[str, ...]] = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}


class OnnxEngine:
    """One session; `device` is asserted, because onnxruntime-gpu only logs a line when it falls back."""

    def __init__(self, model: Path, threads: int, device: Device = "cpu") -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores that decoding needs (measured in benchmarks/).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        asked = PROVIDERS[device]
        if device != "cpu":
            onnxruntime.preload_dlls()  # CUDA's libraries are packages too in our image, and on no search path
        offered = set(onnxruntime.get_available_providers())
        possible = [name for name in asked if name in offered]
        self._session = onnxruntime.InferenceSession(model, options, providers=possible)
        used = self._session.get_providers()[0]
        if used != asked[0]:
            raise ProviderError(
                f"MELALOG_CLASSIFIER_ENGINE={device} needs {asked[0]}, and this runtime would use {used}: install "
                "onnxruntime-gpu instead of onnxruntime (never both), with the CUDA libraries it names, on a machine "
                "with a GPU; or choose another engine"
            )
        self._wanted = wanted({output.name for output in self._session.get_outputs()})
        self.name = f"onnxruntime-{onnxruntime.__version__}-{device}"

    def run(self, batch: NDArray[np.uint8]) -> list[Scores]:
        """Run one batch."""
        found = self._session.run(self._wanted, {"image": batch})
        return per_picture(dict(zip(self._wanted, found, strict=True)))

    def close(self) -> None:
        """Nothing to let go of."""
