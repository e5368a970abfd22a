"""The fusion bento: `POST /v1/fuse` takes findings and answers."""

import bentoml
import structlog
from starlette.requests import Request

from fusion import prompt
from fusion.questionnaire import InvalidAnswers
from services.common import edge as common
from services.common import problems, serving, telemetry, tracing
from services.common.deadline import Deadline
from services.common.errors import FieldError, InvalidInput
from services.common.settings import load
from services.contracts import FuseRequest, FuseResponse
from services.fusion.core import Fuser
from services.fusion.engine.hosted import OpenAIExplainer
from services.fusion.key import Key
from services.fusion.metrics import PrometheusMeter
from services.fusion.spending import Capped, Spending
from services.risk import decide

telemetry.configure("fusion")
settings = load()
app = common.create("Melalog fusion", "One risk from findings and answers.")


@app.post("/v1/fuse", response_model=FuseResponse, responses=problems.RESPONSES)
async def fuse(request: Request, findings: FuseRequest) -> FuseResponse:
    """Weigh findings and answers."""
    core: Fuser = app.state.core
    if findings.language not in prompt.LANGUAGES:
        wrong = FieldError("language", f"must be one of {', '.join(prompt.LANGUAGES)}")
        raise InvalidInput("There is no explanation in that language.", wrong)
    try:
        return await core.fuse(findings, Deadline.from_headers(request.headers, settings.deadline_s))
    except InvalidAnswers as error:
        fields = [FieldError(f"answers.{field}", message) for field, message in error.problems]
        raise InvalidInput("Some answers are not valid.", *fields) from error


@app.get("/v1/model")
async def model() -> dict[str, object]:
    """Which rules, questions and hosted model are in use."""
    return {
        **app.state.core.rules.about,
        "prompt": prompt.VERSION,
        "languages": list(prompt.LANGUAGES),
        "llm": settings.llm_model if app.state.core.asked else None,
    }


@bentoml.service(**serving.options("fusion"))
@bentoml.asgi_app(common.Edge(app, settings.max_body_bytes))
class FusionService:
    """Ready at once: the rules need nothing. The hosted model is used while there is a key."""

    def __init__(self) -> None:
        serving.begin("fusion", settings)
        host, model, form = settings.llm_base_url, settings.llm_model, settings.llm_response_format
        handed = tracing.header if settings.llm_traceparent else dict
        spending = Spending(PrometheusMeter(settings), settings.llm_tokens_per_day)
        key = Key(settings)
        explainer = Capped(OpenAIExplainer(host, key, model, form, spending, handed), spending)
        rules = decide.Rules.of(settings)
        rules.note()
        self.core = app.state.core = Fuser(rules, explainer, key)
        structlog.get_logger().info("rules loaded", engine="llm" if self.core.asked else "rules")

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Let go of connections."""
        await self.core.close()
        await serving.end()
