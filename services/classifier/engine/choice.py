"""Which runtime serves the network: one setting."""

from models.classifier.artifact import MODEL_FILE, Artifact
from services.classifier.engine import open_vino
from services.classifier.engine.onnx_runtime import OnnxEngine
from services.classifier.engine.port import Engine
from services.common.settings import Settings

TRITON_SHARE = 0.3
"""Of a request's deadline that the server may take."""


def make(settings: Settings, artifact: Artifact, threads: int) -> Engine:
    """The engine in force. `auto`: OpenVINO in bfloat16 where the processor has it, else ONNX Runtime.

    Raises ProviderError when a GPU was asked for and is not used.
    """
    model, kind = artifact.folder / MODEL_FILE, settings.classifier_engine
    if kind == "triton":
        from services.classifier.engine.triton import TritonEngine  # noqa: PLC0415  (gRPC only where it is used)

        return TritonEngine(settings.triton_url, settings.triton_model, settings.deadline_s * TRITON_SHARE)
    if kind == "openvino" or (kind == "auto" and open_vino.has_bf16()):
        return open_vino.OpenVinoEngine(model, threads)
    return OnnxEngine(model, threads, kind if kind in {"cuda", "tensorrt"} else "cpu")
