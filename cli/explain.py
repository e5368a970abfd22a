"""`melalog explain`: the hosted model's explanation of a case, or the request it would be sent."""

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

TIMEOUT_S = 60.0
"""Longer than a service's MELALOG_DEADLINE_S: a person waits at a terminal."""


def command(
    case: Annotated[
        Path | None,
        typer.Argument(
            help='JSON file in the form of `POST /v1/fuse`: {"answers": {…}, "classifier": {…}}; - reads stdin.'
        ),
    ] = None,
    answer: Annotated[
        list[str] | None, typer.Option(help="A questionnaire answer as ID=VALUE, such as age=67. Repeatable.")
    ] = None,
    melanoma: Annotated[
        float | None, typer.Option(help="The classifier's probability of melanoma.", min=0, max=1)
    ] = None,
    malignant: Annotated[
        float | None, typer.Option(help="The classifier's probability of any skin cancer.", min=0, max=1)
    ] = None,
    prevalence: Annotated[
        float, typer.Option(help="Melanoma prevalence for which these are calibrated.", min=0.001, max=0.999)
    ] = 0.1,
    modality: Annotated[str, typer.Option(help="How the image was taken: dermoscopy or photograph.")] = "",
    language: Annotated[str, typer.Option(help="Language of the explanation: en or de.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the exact request, and send nothing.")] = False,
) -> None:
    """Explain a CASE with the configured hosted model; --dry-run shows what would leave this machine."""
    settings = load()
    flags = {"modality": modality, "language": language}
    fields: dict[str, Any] = {**_read(case), **{name: value for name, value in flags.items() if value}}
    if answer:
        from_file = fields.get("answers", {})
        fields["answers"] = {**(from_file if isinstance(from_file, dict) else {}), **dict(map(_answer, answer))}
    if melanoma is not None:
        fields["classifier"] = {"melanoma": melanoma, "malignant": malignant, "prevalence": prevalence}
    request, briefing = _brief(fields, settings)
    if dry_run:
        print(json.dumps(_first_request(briefing, settings), indent=2, ensure_ascii=False))
        return
    if not (key := settings.llm_key):
        _fail("No key is set: export NEBIUS_API_KEY or MELALOG_LLM_API_KEY, or see what would be sent with --dry-run.")
    explainer = OpenAIExplainer(settings.llm_base_url, key, settings.llm_model, settings.llm_response_format)
    rules = decide.Rules.of(settings)
    result = asyncio.run(_fuse(Fuser(rules, explainer), request))
    print(result.model_dump_json(indent=2, exclude={"questionnaire"}))
    if result.llm_failed:
        _fail(
            "The hosted model gave no usable answer: the log line above says why. The explanation comes from the rules."
        )


def _first_request(briefing: Briefing, settings: Settings) -> dict[str, Any]:
    """The first request. Later ones for the same case use another format, or repeat a rejected answer."""
    form = settings.llm_response_format
    first = completion.FORMATS[0] if form == "auto" else form
    schema = prompt.schema(list(briefing.reasons))
    return {
        "url": f"{settings.llm_base_url.rstrip('/')}/chat/completions",
        "authorization": "Bearer ***" if settings.llm_key else "no key is set",
        "body": completion.body(settings.llm_model, prompt.messages(briefing), schema, first),
    }


async def _fuse(core: Fuser, request: FuseRequest) -> Any:
    try:
        return await core.fuse(request, Deadline.after(TIMEOUT_S + MARGIN_S))
    finally:
        await core.close()


def _brief(fields: dict[str, Any], settings: Settings) -> tuple[FuseRequest, Briefing]:
    try:
        request = FuseRequest.model_validate(fields)
        if request.language not in prompt.LANGUAGES:
            _fail_case([("language", f"must be one of {', '.join(prompt.LANGUAGES)}")])
        briefing = brief(request, decide.decide(request, decide.Rules.of(settings)))
    except ValidationError as error:
        _fail_case([(".".join(map(str, item["loc"])), item["msg"]) for item in error.errors()])
    except InvalidAnswers as error:
        _fail_case([(f"answers.{field}", message) for field, message in error.problems])
    return request, briefing


def _fail_case(problems: list[tuple[str, str]]) -> NoReturn:
    _fail("\n".join(["This is not a case:", *(f"  {field}: {message}" for field, message in problems)]))


def _read(case: Path | None) -> dict[str, Any]:
    if case is None:
        return {}
    try:
        text = sys.stdin.read() if str(case) == "-" else case.read_text(errors="replace")
        fields = json.loads(text)
    except OSError as error:
        _fail(f"{case} cannot be read: {error.strerror}.")
    except ValueError:
        _fail(f"{case} is not JSON.")
    if not isinstance(fields, dict):
        _fail(f'{case} is not a JSON object such as {{"answers": {{…}}}}.')
    return fields


def _answer(option: str) -> tuple[str, str | int]:
    name, equals, value = option.partition("=")
    if not (name and equals and value):
        _fail(f"--answer {option}: write it as ID=VALUE, such as age=67.")
    return name, int(value) if value.isdecimal() else value


def _fail(message: str) -> NoReturn:
    Console(stderr=True, highlight=False).print(message, style="red", markup=False)
    sys.exit(1)
