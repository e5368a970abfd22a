"""A Triton server that holds the same graph (`melalog export triton`), over gRPC."""

import time

import numpy as np
import structlog
from numpy.typing import NDArray
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from services.classifier.engine.port import OUTPUTS, Scores, per_picture, wanted
from services.common.errors import EngineDown

REASONS = {
    "StatusCode.DEADLINE_EXCEEDED": "timeout",
    "StatusCode.UNAVAILABLE": "unreachable",
    "StatusCode.NOT_FOUND": "no_such_model",
    "StatusCode.INVALID_ARGUMENT": "wrong_model",
}
CHANNEL = [
    ("grpc.enable_http_proxy", 0),
    # gRPC would wait up to two minutes before it looks again for a server that was away.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
RECHECK_S = 10.0
"""A server can be given another model while it runs; its answers would meet this artifact's thresholds."""
DIMENSIONS = {"classes": 2, "heatmap": 3}
SCALAR = 2
"""Triton has no output without an axis of its own: what is [N] in the graph comes as [N, 1]."""


class TritonEngine:
    """One client. The server may come later, go and return: only an answer of the right model is believed."""

    def __init__(self, url: str, model: str, timeout_s: float, sha256: str) -> None:
        """`sha256`: of the file that the server must hold."""
        self._client = grpc.InferenceServerClient(url, channel_args=CHANNEL)
        self._model, self._timeout_s, self._sha256 = model, timeout_s, sha256
        self._wanted: tuple[str, ...] = ()
        self._checked_at = 0.0
        self.name = "triton"

    def run(self, batch: NDArray[np.uint8]) -> list[Scores]:
        """Run one batch on the server. Raises EngineDown with a fixed reason."""
        try:
            return per_picture(self._run(batch, time.monotonic() + self._timeout_s))
        except EngineDown as error:
            self._wanted = ()  # what comes back may be another version
            structlog.get_logger().warning("engine down", engine=self.name, reason=error.reason)
            raise

    def _run(self, batch: NDArray[np.uint8], until: float) -> dict[str, NDArray[np.float32]]:
        image = grpc.InferInput("image", list(batch.shape), "UINT8")
        image.set_data_from_numpy(batch)
        try:
            names = self._outputs(until)
            asked = [grpc.InferRequestedOutput(name) for name in names]
            answer = self._client.infer(self._model, [image], outputs=asked, client_timeout=_left(until))
            found = {name: answer.as_numpy(name) for name in names}
        except InferenceServerException as error:
            raise EngineDown(REASONS.get(str(error.status()), "refused")) from None
        except (ValueError, TypeError):  # bytes that do not fit the shape or the type they are said to have
            raise EngineDown("garbage") from None
        for name, values in found.items():
            if values is None or values.ndim != DIMENSIONS.get(name, SCALAR) or len(values) != len(batch):
                raise EngineDown("wrong_outputs")
            if values.dtype != np.float32 or not np.isfinite(values).all():
                raise EngineDown("garbage")
        return {name: values if name in DIMENSIONS else values[:, 0] for name, values in found.items()}

    def _outputs(self, until: float) -> tuple[str, ...]:
        """What the server's model offers. Raises EngineDown when it is not the file of this artifact."""
        if not self._wanted or time.monotonic() - self._checked_at > RECHECK_S:
            config = self._client.get_model_config(self._model, client_timeout=_left(until)).config
            names = {output.name for output in config.output}
            if config.parameters["sha256"].string_value != self._sha256:
                raise EngineDown("wrong_model")
            if not names.issuperset(OUTPUTS):
                raise EngineDown("wrong_outputs")
            self._wanted, self._checked_at = wanted(names), time.monotonic()
        return self._wanted

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _left(until: float) -> float:
    return max(until - time.monotonic(), 0.001)
