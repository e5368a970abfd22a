"""The orchestrator bento: Melalog's public HTTP API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import bentoml
from fastapi import Depends
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fusion import evidence, questionnaire, wording
from services.common import edge as common
from services.common import problems, serving, telemetry
from services.common.errors import Overloaded
from services.common.settings import load
from services.contracts import Assessment
from services.orchestrator import deployment, fhir, metrics, problem_pages, sandbox, stream, submission, webapp
from services.orchestrator.api_schema import ASSESSMENT_BODY, REPRESENTATIONS
from services.orchestrator.auth import Authenticator, SignIn, refuse_open
from services.orchestrator.core import Assessor
from services.orchestrator.nodes import HttpNodes
from services.orchestrator.sandbox import Sandbox
from services.risk import decide

telemetry.configure("orchestrator")
settings = load()
refuse_open(settings)  # in the process that serves, its socket is open by now
app = common.create("Melalog", wording.DISCLAIMER, factory=FastAPIOffline)
if settings.cors_origins:
    app.add_middleware(
        CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["GET", "POST"], allow_headers=["*"],
        expose_headers=[common.REQUEST_ID, "Retry-After", "WWW-Authenticate"],
    )  # fmt: skip
UPLOADS_PER_SLOT = 2
authenticator = Authenticator(settings)
canned = Sandbox(decide.Rules.of(settings), settings.deadline_s) if settings.sandbox else None
slots = asyncio.Semaphore(settings.max_in_flight)
uploads = asyncio.Semaphore(UPLOADS_PER_SLOT * settings.max_in_flight)


@app.post(
    "/v1/assessments",
    response_model=Assessment,
    dependencies=[Depends(authenticator.authenticate_paced)],
    responses={**problems.RESPONSES, **problems.responses(401, 403, 406), 200: REPRESENTATIONS},
    openapi_extra=ASSESSMENT_BODY,
)
async def assess(request: Request, *, heatmap: bool = False) -> Assessment | Response:
    """Assess one picture of a skin lesion, with the answers to the questionnaire."""
    wanted = submission.check_accept(request.headers.get("accept"))
    async with AsyncExitStack() as held:
        # Slow uploads hold none of the slots that assessments need.
        await held.enter_async_context(_one_of(uploads))
        with metrics.step("upload"):
            sent = await submission.read(request, settings.max_picture_bytes)
        await held.enter_async_context(_one_of(slots))
        core: Assessor = app.state.core
        if canned is not None:
            core = canned.assessor(request.headers.get(sandbox.HEADER), sent)
        work = partial(core.assess, sent, heatmap=heatmap)
        if wanted == stream.MEDIA_TYPE:
            return stream.EventStream(work, held.pop_all())
        found = await work()
    if wanted == fhir.MEDIA_TYPE:
        return Response(fhir.bundle(found, sent.answers).model_dump_json(), media_type=fhir.MEDIA_TYPE)
    return found


@asynccontextmanager
async def _one_of(semaphore: asyncio.Semaphore) -> AsyncIterator[None]:
    """Take a place at once or raise Overloaded: nobody queues here."""
    if semaphore.locked():
        raise Overloaded("Too many assessments are under way; try again in a moment.")
    async with semaphore:
        yield


@app.get("/v1/questionnaire", response_model=dict[str, Any], responses=problems.responses(406))
async def questions(request: Request) -> dict[str, Any] | Response:
    """The questions a front-end asks, in order; every answer is optional. Also as a FHIR R4B Questionnaire."""
    asked = questionnaire.load()
    if submission.check_accept(request.headers.get("accept"), submission.DOCUMENTS) == fhir.MEDIA_TYPE:
        return JSONResponse({**asked.to_fhir(), "url": fhir.QUESTIONNAIRE}, media_type=fhir.MEDIA_TYPE)
    return asked.model_dump(exclude={"questions": {"__all__": {"evidence", "sign"}}}, exclude_none=True)


@app.get("/v1/evidence")
async def bibliography() -> evidence.EvidenceIndex:
    """The bibliography: which publications each `source` of the questionnaire and of an answer stands for."""
    return evidence.load()


@app.get("/v1/sign-in")
async def sign_in() -> SignIn:
    """Whether callers have to sign in here, and with whom."""
    return authenticator.requirements()


@app.get("/v1/models", dependencies=[Depends(authenticator.authenticate)], responses=problems.responses(401, 403))
async def models() -> dict[str, Any]:
    """What is deployed: name, version, digest and measured figures of each model."""
    return sandbox.MODELS if canned else await deployment.models(app.state.nodes)


@app.get("/healthz/dependencies")
async def dependencies() -> dict[str, str]:
    """How the other services are, for people and dashboards; probes use /readyz."""
    return dict.fromkeys(sandbox.MODELS, "ready") if canned else await deployment.dependencies(app.state.nodes)


app.include_router(problem_pages.router)
webapp.add_app(app, settings)


@bentoml.service(**serving.options("orchestrator"))
@bentoml.asgi_app(common.Edge(app, settings.max_body_bytes))
class OrchestratorService:
    """Ready at once: it answers, degraded or with a clear 503, whatever the others do."""

    def __init__(self) -> None:
        serving.begin("orchestrator", settings)
        self.nodes = app.state.nodes = HttpNodes(settings.classifier_url, settings.vlm_url, settings.fusion_url)
        rules = decide.Rules.of(settings)
        app.state.core = Assessor(self.nodes, rules, settings.deadline_s)
        metrics.begin()
        rules.note()

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Let go of connections."""
        await self.nodes.close()
        await serving.end()
