"""`melalog explain`: what the hosted model would be sent for a case, or what it makes of it."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from fusion import prompt
from fusion.briefing import Briefing
from fusion.questionnaire import InvalidAnswers
from services.common.deadline import Deadline
from services.common.settings import Settings, load
from services.contracts import FuseRequest
from services.fusion.core import MARGIN_S, Fuser, brief
from services.fusion.engine import completion
from services.fusion.engine.hosted import OpenAIExplainer
from services.risk import decide

PATIENCE_S = 60.0
"""For a person at a terminal: a service has MELALOG_DEADLINE_S."""


def command(
    case: Annotated[
        Path | None,
        typer.Argument(help='JSON file as `POST /v1/fuse` takes it: {"answers": {…}, "classifier": {…}}; - is stdin.'),
    ] = None,
    answer: Annotated[
        list[str] | None, typer.Option(help="ID=VALUE, may be repeated: an answer, as `--answer age=67`.")
    ] = None,
    melanoma: Annotated[float | None, typer.Option(help="The classifier's melanoma probability.", min=0, max=1)] = None,
    malignant: Annotated[float | None, typer.Option(help="The classifier's, for any cancer.", min=0, max=1)] = None,
    prevalence: Annotated[float, typer.Option(help="Where these were calibrated.", min=0.001, max=0.999)] = 0.1,
    modality: Annotated[str, typer.Option(help="dermoscopy or photograph.")] = "",
    language: Annotated[str, typer.Option(help="Of the explanation: en or de.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print exactly what would be sent, and send nothing.")
    ] = False,
) -> None:
    """Explain a CASE with the hosted model of the settings; --dry-run shows what leaves this machine."""
    settings = load()
    flags = {"modality": modality, "language": language}
    given: dict[str, Any] = {**_read(case), **{name: value for name, value in flags.items() if value}}
    if answer:
        named = given.get("answers", {})
        given["answers"] = {**(named if isinstance(named, dict) else {}), **dict(_answer(told) for told in answer)}
    if melanoma is not None:
        given["classifier"] = {"melanoma": melanoma, "malignant": malignant, "prevalence": prevalence}
    request, briefing = _brief(given, settings)
    if dry_run:
        print(json.dumps(_sent(briefing, settings), indent=2, ensure_ascii=False))
        return
    if not (key := settings.llm_key):
        _fail("No key is set: export NEBIUS_API_KEY or MELALOG_LLM_API_KEY, or see what would be sent with --dry-run.")
    explainer = OpenAIExplainer(settings.llm_base_url, key, settings.llm_model, settings.llm_response_format)
    in_force = decide.Rules.of(settings)
    answered = asyncio.run(_ask(Fuser(in_force, explainer), request))
    print(answered.model_dump_json(indent=2, exclude={"questionnaire"}))
    if answered.llm_failed:
        _fail("The hosted model gave no usable answer: the log line above says why. The words are the rules' own.")


def _sent(briefing: Briefing, settings: Settings) -> dict[str, Any]:
    """The first request. The next ones of the same case differ in format, or repeat the answer that was refused."""
    form = settings.llm_response_format
    first = completion.FORMATS[0] if form == "auto" else form
    schema = prompt.schema(list(briefing.reasons))
    return {
        "url": f"{settings.llm_base_url.rstrip('/')}/chat/completions",
        "authorization": "Bearer ***" if settings.llm_key else "no key is set",
        "body": completion.body(settings.llm_model, prompt.messages(briefing), schema, first),
    }


async def _ask(core: Fuser, request: FuseRequest) -> Any:
    try:
        return await core.fuse(request, Deadline.after(PATIENCE_S + MARGIN_S))
    finally:
        await core.close()


def _brief(given: dict[str, Any], settings: Settings) -> tuple[FuseRequest, Briefing]:
    try:
        request = FuseRequest.model_validate(given)
        if request.language not in prompt.LANGUAGES:
            _not_a_case([("language", f"must be one of {', '.join(prompt.LANGUAGES)}")])
        briefing = brief(request, decide.decide(request, decide.Rules.of(settings)))
    except ValidationError as error:
        _not_a_case([(".".join(map(str, item["loc"])), item["msg"]) for item in error.errors()])
    except InvalidAnswers as error:
        _not_a_case([(f"answers.{field}", message) for field, message in error.problems])
    return request, briefing


def _not_a_case(wrong: list[tuple[str, str]]) -> NoReturn:
    _fail("\n".join(["This is not a case:", *(f"  {field}: {message}" for field, message in wrong)]))


def _read(case: Path | None) -> dict[str, Any]:
    if case is None:
        return {}
    try:
        text = sys.stdin.read() if str(case) == "-" else case.read_text(errors="replace")
        read = json.loads(text)
    except OSError as error:
        _fail(f"{case} cannot be read: {error.strerror}.")
    except ValueError:
        _fail(f"{case} is not JSON.")
    if not isinstance(read, dict):
        _fail(f'{case} is not a JSON object such as {{"answers": {{…}}}}.')
    return read


def _answer(told: str) -> tuple[str, str | int]:
    name, equals, value = told.partition("=")
    if not (name and equals and value):
        _fail(f"--answer {told}: write it as ID=VALUE, such as age=67.")
    return name, int(value) if value.isdecimal() else value


def _fail(message: str) -> NoReturn:
    Console(stderr=True, highlight=False).print(message, style="red", markup=False)
    sys.exit(1)
