"""Which runtime serves the network, and which of the artifact's files: one setting."""

from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact
from services.classifier.engine import open_vino
from services.classifier.engine.onnx_runtime import OnnxEngine
from services.classifier.engine.port import Engine, ProviderError
from services.common.settings import Settings

TRITON_SHARE = 0.3
"""Of a request's deadline that the server may take."""
GPUS = {"cuda", "tensorrt"}


def file(settings: Settings, artifact: ClassifierArtifact) -> str:
    """The file to serve: on a GPU half precision where there is one, on Triton what was exported, else the default."""
    files = artifact.manifest.files
    if settings.classifier_engine in GPUS:
        return next((name for name, variant in files.items() if variant.precision == "fp16"), MODEL_FILE)
    return MODEL_FILE if settings.classifier_engine == "triton" else artifact.manifest.default


def make(settings: Settings, artifact: ClassifierArtifact, threads: int) -> Engine:
    """The engine in force. `auto`: OpenVINO where the artifact was measured in bfloat16 and the processor has it.

    Raises ProviderError when what was asked for cannot be used.
    """
    name, kind = file(settings, artifact), settings.classifier_engine
    model, measured = artifact.folder / name, artifact.manifest.bf16 if name == MODEL_FILE else None
    if kind == "triton":
        return _triton(settings, artifact.manifest.files[name].sha256)
    if kind in ("auto", "openvino") and measured is not None and open_vino.has_bf16():
        return open_vino.OpenVinoEngine(model, threads, "bf16", measured.float32_before)
    if kind == "openvino":
        return open_vino.OpenVinoEngine(model, threads, "f32")
    return OnnxEngine(model, threads, kind if kind == "cuda" or kind == "tensorrt" else "cpu")  # noqa: PLR1714  (mypy)


def _triton(settings: Settings, sha256: str) -> Engine:
    try:
        from services.classifier.engine.triton import TritonEngine  # noqa: PLC0415  (gRPC only where it is used)
    except ImportError as error:
        raise ProviderError(
            f"MELALOG_CLASSIFIER_ENGINE=triton needs {error.name}, which is not installed here: "
            "install 'melalog[triton]', or choose another engine"
        ) from None
    return TritonEngine(settings.triton_url, settings.triton_model, settings.deadline_s * TRITON_SHARE, sha256)
