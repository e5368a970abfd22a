"""The vlm bento: `POST /v1/verdict` takes a picture's bytes."""

import bentoml
import structlog
from starlette.requests import Request

from services.common import body, metrics, problems, serving, telemetry
from services.common import edge as common
from services.common.cores import usable_cores
from services.common.deadline import Deadline
from services.common.settings import load
from services.contracts import VerdictResponse
from services.vlm.core import Verdicts
from services.vlm.engine import factory

telemetry.configure("vlm")
settings = load()
release = factory.release(settings)
app = common.create("Melalog vlm", "Yes or No about one picture of a skin lesion, with token logprobs.")


@app.post("/v1/verdict", response_model=VerdictResponse, responses=problems.RESPONSES)
async def verdict(request: Request) -> VerdictResponse:
    """Ask the engine about the picture in the body (JPEG, PNG, WebP or HEIC)."""
    deadline = Deadline.from_headers(request.headers, settings.deadline_s)
    data = await body.read(request)
    core: Verdicts = app.state.core
    return await core.judge(data, deadline)


@app.get("/v1/model")
async def model() -> dict[str, object]:
    """Which engine and model answers, what it is meant for, and its measured figures."""
    core: Verdicts = app.state.core
    told = core.model.model_dump() if core.model else {"name": None}
    calibrated = {"calibrated": core.release is not None}
    if core.release is None:
        return {"engine": settings.vlm_engine, **told, **calibrated}
    manifest = core.release.manifest
    metrics = {name: figure.model_dump() for name, figure in manifest.metrics.items()}
    return {"engine": settings.vlm_engine, **told, **calibrated, "purpose": manifest.purpose, "metrics": metrics}


@bentoml.service(**serving.options("vlm"))
@bentoml.asgi_app(common.Edge(app, settings.max_body_bytes))
class VlmService:
    """Ready whether or not its engine answers: the engine's state is a finding's status, not a probe's."""

    def __init__(self) -> None:
        serving.begin("vlm", settings)
        threads = settings.threads or usable_cores()
        engine = factory.engine(settings, release, threads)
        self.core = app.state.core = Verdicts(engine, decoders=threads, release=release)
        if model := self.core.model:
            metrics.note_model(model.name, model.version, model.sha256)
        digest = release.sha256 if release else None
        structlog.get_logger().info("engine chosen", engine=settings.vlm_engine, sha256=digest, threads=threads)

    @bentoml.on_startup
    async def warm_up(self) -> None:
        """Ready is warm, for an engine in this process; one elsewhere may come later."""
        if settings.vlm_engine == "embedded":
            await self.core.warm_up()

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Let go of threads and connections."""
        await self.core.close()
        await serving.end()
