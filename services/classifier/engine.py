"""The network behind a port: a batch of prepared pictures in, one finding per picture out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

OUTPUTS = ("melanoma", "malignant", "classes", "logit", "ood", "heatmap")
OPTIONAL = "photograph"
"""An output that older graphs do not have."""


@dataclass(frozen=True)
class Scores:
    """One picture's outputs. heatmap: [h, w] in 0 to 1."""

    melanoma: float
    malignant: float
    classes: NDArray[np.float32]
    logit: float
    ood: float
    heatmap: NDArray[np.float32]
    photograph: float | None = None


class Engine(Protocol):
    """What runs the network."""

    name: str

    def run(self, batch: NDArray[np.uint8]) -> list[Scores]:
        """uint8 [N, H, W, 3] to N findings. Called from one thread at a time."""
        ...


class OnnxEngine:
    """ONNX Runtime on the CPU."""

    def __init__(self, model: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores that decoding needs (measured in benchmarks/).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        known = {output.name for output in self._session.get_outputs()}
        self._outputs = [*OUTPUTS, *({OPTIONAL} & known)]
        self.name = f"onnxruntime-{onnxruntime.__version__}"

    def run(self, batch: NDArray[np.uint8]) -> list[Scores]:
        """Run one batch."""
        found = dict(zip(self._outputs, self._session.run(self._outputs, {"image": batch}), strict=True))
        return [
            Scores(
                melanoma=float(found["melanoma"][i]),
                malignant=float(found["malignant"][i]),
                classes=found["classes"][i],
                logit=float(found["logit"][i]),
                ood=float(found["ood"][i]),
                heatmap=found["heatmap"][i],
                photograph=float(found[OPTIONAL][i]) if OPTIONAL in found else None,
            )
            for i in range(len(batch))
        ]
