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

from export import triton_repository


@dataclass
class Stub(service_pb2_grpc.GRPCInferenceServiceServicer):
    """`misbehave`: slow, refuse, short (of a picture), no_logit, other_model, nan, bytes (too few), flat (of shape)."""

    model: Path
    name: str = "melalog_classifier"
    misbehave: str = ""
    size: int = 48
    seen: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = onnxruntime.InferenceSession(self.model)

    def _check(self, name: str, context: Any) -> None:
        if name != self.name:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{name}' is not found")

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._check(request.name, context)
        config = triton_repository.configuration(self.model, self.size, "cpu")
        if self.misbehave == "no_logit":
            kept = [output for output in config.output if output.name != "logit"]
            del config.output[:]
            config.output.extend(kept)
        if self.misbehave == "other_model":
            config.parameters["sha256"].string_value = "0" * 64
        return service_pb2.ModelConfigResponse(config=config)

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
            if self.misbehave == "flat" and name == "classes":
                kept = kept[:, 0]
            if self.misbehave == "nan" and name == "melanoma":
                kept = np.full_like(kept, np.nan)
            if kept.ndim == 1 and name != "classes":
                kept = kept[:, None]  # as config.pbtxt reshapes it
            sent = np.ascontiguousarray(kept).tobytes()
            answer.outputs.add(name=name, datatype="FP32", shape=kept.shape)
            answer.raw_output_contents.append(sent[: -4 if self.misbehave == "bytes" else None])
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
