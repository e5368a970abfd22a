"""The classifier bento: `POST /v1/classify` takes a picture's bytes."""

import bentoml
import structlog
from starlette.requests import Request

from models.classifier.serving.artifact import RELEASED, STORE_NAME, ClassifierArtifact
from models.common.artifact import ArtifactError
from services.classifier import metrics
from services.classifier.core import Classifier
from services.classifier.engine import factory
from services.classifier.engine.port import ProviderError
from services.common import body, problems, serving, telemetry
from services.common import edge as common
from services.common import metrics as common_metrics
from services.common.cores import usable_cores
from services.common.deadline import Deadline
from services.common.location import artifact_folder
from services.common.settings import load
from services.contracts import ClassifyResponse

telemetry.configure("classifier")
settings = load()
try:
    # At import, so that the process ends with these words: a worker that fails later is started again for ever.
    artifact = ClassifierArtifact.load(artifact_folder(settings.classifier_artifact, RELEASED, STORE_NAME))
    threads = settings.threads or usable_cores()
    engine = factory.make(settings, artifact, threads)
except (ArtifactError, ProviderError) as error:
    raise SystemExit(f"the classifier cannot start: {error}") from None
app = common.create("Melalog classifier", "Calibrated findings on one picture of a skin lesion.")


@app.post("/v1/classify", response_model=ClassifyResponse, responses=problems.RESPONSES)
async def classify(request: Request, *, heatmap: bool = False) -> ClassifyResponse:
    """Classify the picture in the body (JPEG, PNG, WebP or HEIC)."""
    deadline = Deadline.from_headers(request.headers, settings.deadline_s)
    data = await body.read(request)
    core: Classifier = app.state.core
    return await core.classify(data, deadline, with_heatmap=heatmap)


@app.get("/v1/model")
async def model() -> dict[str, object]:
    """The model that is deployed, with its measured figures."""
    core: Classifier = app.state.core
    return {**core.model.model_dump(), "metrics": {k: v.model_dump() for k, v in core.variant.metrics.items()}}


@bentoml.service(**serving.options("classifier"))
@bentoml.asgi_app(common.Edge(app, settings.max_body_bytes))
class ClassifierService:
    """Loads the artifact, refuses a tampered one, and is ready once it is warm."""

    def __init__(self) -> None:
        serving.begin("classifier", settings)
        self.core = app.state.core = Classifier(
            artifact, engine, decoders=threads, file=factory.file(settings, artifact)
        )
        self.core.warm_up()
        info = self.core.model
        metrics.begin()
        common_metrics.note_model(info.name, info.version, info.sha256)
        structlog.get_logger().info(
            "model loaded",
            model=info.name,
            version=info.version,
            sha256=info.sha256,
            engine=engine.name,
            threads=threads,
        )

    def __is_ready__(self) -> bool:
        """For BentoML's /readyz: this model, no other service."""
        return self.core.ready

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Let go of the threads."""
        self.core.close()
        await serving.end()
