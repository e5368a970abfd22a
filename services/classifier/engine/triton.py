"""A Triton server that holds the same graph (`melalog export triton`), over gRPC."""

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


class TritonEngine:
    """One client. The server may come later, go and return: only an answer is believed."""

    def __init__(self, url: str, model: str, timeout_s: float) -> None:
        self._client = grpc.InferenceServerClient(url)
        self._model, self._timeout_s = model, timeout_s
        self._wanted: tuple[str, ...] = ()
        self.name = "triton"

    def run(self, batch: NDArray[np.uint8]) -> list[Scores]:
        """Run one batch on the server. Raises EngineDown with a fixed reason."""
        try:
            return self._run(batch)
        except EngineDown as error:
            self._wanted = ()  # what comes back may be another version
            structlog.get_logger().warning("engine down", engine=self.name, reason=error.reason)
            raise

    def _run(self, batch: NDArray[np.uint8]) -> list[Scores]:
        image = grpc.InferInput("image", list(batch.shape), "UINT8")
        image.set_data_from_numpy(batch)
        try:
            names = self._outputs()
            asked = [grpc.InferRequestedOutput(name) for name in names]
            answer = self._client.infer(self._model, [image], outputs=asked, client_timeout=self._timeout_s)
        except InferenceServerException as error:
            raise EngineDown(REASONS.get(str(error.status()), "refused")) from None
        found = {name: answer.as_numpy(name) for name in names}
        if any(values is None or len(values) != len(batch) for values in found.values()):
            raise EngineDown("wrong_model")
        return per_picture({name: values for name, values in found.items() if values is not None})

    def _outputs(self) -> tuple[str, ...]:
        """What the server's model offers, asked once. Raises EngineDown when it is another kind of model."""
        if not self._wanted:
            offered = self._client.get_model_metadata(self._model, client_timeout=self._timeout_s)
            names = {output.name for output in offered.outputs}
            if not names.issuperset(OUTPUTS):
                raise EngineDown("wrong_model")
            self._wanted = wanted(names)
        return self._wanted

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
