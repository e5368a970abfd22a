"""A server that speaks Triton's gRPC protocol, from its own protobufs, and runs the ONNX file; it can misbehave."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime
from tritonclient.grpc import service_pb2, service_pb2_grpc

KINDS = {"tensor(uint8)": "UINT8", "tensor(float)": "FP32"}


@dataclass
class Stub(service_pb2_grpc.GRPCInferenceServiceServicer):
    """`misbehave`: slow, refuse, short (a picture is lost), no_logit (another model)."""

    model: Path
    name: str = "melalog_classifier"
    misbehave: str = ""
    seen: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = onnxruntime.InferenceSession(self.model)

    def _check(self, name: str, context: Any) -> None:
        if name != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found")

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._check(request.name, context)
        answer = service_pb2.ModelMetadataResponse(name=self.name, versions=["1"], platform="onnxruntime_onnx")
        for output in self.session.get_outputs():
            if (self.misbehave, output.name) != ("no_logit", "logit"):
                answer.outputs.add(name=output.name, datatype=KINDS[output.type])
        return answer

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._check(request.model_name, context)
        if self.misbehave == "slow":
            time.sleep(3)
        if self.misbehave == "refuse":
            context.abort(grpc.StatusCode.INTERNAL, "patient name: must not be passed on")
        (tensor,) = request.inputs
        batch = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(tuple(tensor.shape))
        self.seen.append(len(batch))
        names = [output.name for output in request.outputs]
        answer = service_pb2.ModelInferResponse(model_name=self.name, model_version="1")
        for name, values in zip(names, self.session.run(names, {"image": batch}), strict=True):
            kept = values[: len(values) - (self.misbehave == "short")]
            answer.outputs.add(name=name, datatype="FP32", shape=kept.shape)
            answer.raw_output_contents.append(np.ascontiguousarray(kept).tobytes())
        return answer


@contextmanager
def serving(stub: Stub, port: int = 0) -> Iterator[int]:
    """Serve until the block ends; yields the port."""
    server = grpc.server(ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(stub, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield bound
    finally:
        server.stop(None).wait()
