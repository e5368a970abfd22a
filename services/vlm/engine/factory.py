"""Which engine and which release the settings ask for."""

from models.common.artifact import ArtifactError
from models.vlm.serving.artifact import RELEASED, STORE_NAME, VlmArtifact
from services.common.location import artifact_folder
from services.common.settings import Settings
from services.vlm.engine.embedded import EmbeddedEngine
from services.vlm.engine.openai_server import OpenAIEngine
from services.vlm.engine.port import VisionEngine


def release(settings: Settings) -> VlmArtifact | None:
    """What the answers are calibrated with; an engine elsewhere has none unless it is named.

    Called at import: ends the process with words, for a worker that fails later is started again for ever.
    """
    if settings.vlm_engine == "openai" and not settings.vlm_base_url:
        raise SystemExit("MELALOG_VLM_ENGINE=openai needs MELALOG_VLM_BASE_URL, for example http://127.0.0.1:8100/v1")
    if settings.vlm_engine == "none" or (settings.vlm_engine == "openai" and not settings.vlm_artifact):
        return None
    try:
        artifact = VlmArtifact.load(artifact_folder(settings.vlm_artifact, RELEASED, STORE_NAME))
        if settings.vlm_engine == "embedded":
            artifact.require_graph()
    except ArtifactError as error:
        raise SystemExit(f"the vlm cannot start: {error}") from None
    return artifact


def engine(settings: Settings, released: VlmArtifact | None, threads: int) -> VisionEngine | None:
    """The engine itself; None when there is none, and every answer is `unavailable`."""
    if settings.vlm_engine == "openai":
        return OpenAIEngine(settings.vlm_base_url, settings.vlm_model)
    return EmbeddedEngine(released, threads) if released is not None else None
