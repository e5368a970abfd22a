"""The vlm bento: `POST /v1/verdict` takes a picture's bytes."""

import bentoml
import structlog
from starlette.requests import Request

from services.common import app as common
from services.common import body, problems, telemetry
from services.common.cores import usable_cores
from services.common.deadline import Deadline
from services.common.serving import options
from services.common.settings import load
from services.contracts import VerdictResponse
from services.vlm.engine import OpenAIEngine, VisionEngine
from services.vlm.verdict import Verdicts

telemetry.configure("vlm")
settings = load()
app = common.create("Melalog vlm", "Yes or No about one picture of a skin lesion, with token logprobs.")


@app.post("/v1/verdict", response_model=VerdictResponse, responses=problems.RESPONSES)
async def verdict(request: Request) -> VerdictResponse:
    """Ask the engine about the picture in the body (JPEG, PNG, WebP or HEIC)."""
    deadline = Deadline.from_headers(request.headers, settings.deadline_s)
    data = await body.read(request)
    core: Verdicts = app.state.verdicts
    return await core.judge(data, deadline)


@app.get("/v1/model")
async def model() -> dict[str, object]:
    """Which engine and model this service is pointed at."""
    return {"engine": settings.vlm_engine, "name": settings.vlm_model if settings.vlm_engine == "openai" else None}


def _check_engine() -> None:
    """At import, so that the process ends with these words: a worker that fails later is started again for ever."""
    if settings.vlm_engine == "openai" and not settings.vlm_base_url:
        raise SystemExit("MELALOG_VLM_ENGINE=openai needs MELALOG_VLM_BASE_URL, for example http://127.0.0.1:8100/v1")
    if settings.vlm_engine == "embedded":
        raise SystemExit("MELALOG_VLM_ENGINE=embedded: no embedded model is released yet; use openai or none")


def _engine() -> VisionEngine | None:
    return OpenAIEngine(settings.vlm_base_url, settings.vlm_model) if settings.vlm_engine == "openai" else None


_check_engine()


@bentoml.service(**options("vlm"))
@bentoml.asgi_app(common.Edge(app, settings.max_body_bytes))
class VlmService:
    """Ready whether or not its engine answers: the engine's state is a finding's status, not a probe's."""

    def __init__(self) -> None:
        self.core = app.state.verdicts = Verdicts(_engine(), decoders=settings.threads or usable_cores())
        structlog.get_logger().info("engine chosen", engine=settings.vlm_engine)

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Let go of threads and connections."""
        await self.core.close()
