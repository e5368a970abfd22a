"""Reading what a front-end sends: multipart/form-data with `image`, `questionnaire`, `modality`, `language`."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from fusion import questionnaire
from fusion.prompt import LANGUAGES
from services.common import body
from services.common.errors import BadRequest, BodyTooLarge, FieldError, InvalidInput, NotAcceptable
from services.common.sniff import sniff

Requested = Literal["auto", "dermoscopy", "photograph"]
FIELDS = ("image", "questionnaire", "modality", "language")
MAX_TEXT_BYTES = 60_000
DOCUMENTS = ("application/json", "application/fhir+json")
REPRESENTATIONS = (*DOCUMENTS, "text/event-stream")
WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


@dataclass(frozen=True)
class Submission:
    """A checked request: picture bytes of a known format, valid answers."""

    image: bytes
    answers: dict[str, Any]
    modality: Requested
    language: str = "en"
    name: str = ""
    """The file's, as sent: the sandbox takes a situation from it, nothing else reads it."""


class _InMemoryParser(MultiPartParser):
    """Starlette's parser, but nothing is ever spooled to disk: a picture is never stored."""

    spool_max_size = 1 << 40


def check_accept(header: str | None, offered: tuple[str, ...] = REPRESENTATIONS) -> str:
    """The representation the client prefers, JSON where it is all the same; NotAcceptable when it takes none."""
    if header is None:
        return offered[0]
    wanted = [_weighed(entry) for entry in header.split(",")]
    best = {
        name: max((q for kind, q in wanted if kind in (name, f"{name.partition('/')[0]}/*", "*/*")), default=0.0)
        for name in offered
    }
    for name in offered:
        # Named outright, a representation is what was named, even to take it out again with q=0.
        best[name] = next((q for kind, q in wanted if kind == name), best[name])
    chosen = max(offered, key=best.__getitem__)
    if best[chosen] <= 0:
        raise NotAcceptable(f"This API answers with {' or '.join(offered)}.")
    return chosen


def _weighed(entry: str) -> tuple[str, float]:
    """Media range and its q; a q that is no number from 0 to 1 counts as 1."""
    kind, *parameters = (part.strip().lower() for part in entry.split(";"))
    for name, _, value in (parameter.partition("=") for parameter in parameters):
        if name.strip() == "q" and WEIGHT.fullmatch(value.strip()):
            return kind, float(value)
    return kind, 1.0


async def read(request: Request, max_picture_bytes: int) -> Submission:
    """Read and check a submission.

    Raises BadRequest, BodyTooLarge, UnsupportedPicture, UnreadablePicture and InvalidInput, naming the field.
    """
    content_type, options = parse_options_header(request.headers.get("content-type"))
    if content_type != b"multipart/form-data" or not options.get(b"boundary"):
        raise BadRequest("Send multipart/form-data with a field named image.", FieldError("image", "missing"))
    try:
        parser = _InMemoryParser(
            request.headers, body.chunks(request), max_files=4, max_fields=8, max_part_size=MAX_TEXT_BYTES
        )
        form = await parser.parse()
    except (MultiPartException, UnicodeError, LookupError) as error:  # the last two: a charset that is none
        raise BadRequest("The multipart body cannot be read.") from error
    try:
        return await _check(form, max_picture_bytes)
    finally:
        await form.close()


async def _check(form: FormData, max_picture_bytes: int) -> Submission:
    pictures = [part for part in form.getlist("image") if isinstance(part, UploadFile)]
    if len(pictures) != 1:
        message = "missing: send the picture as a file field named image" if not pictures else "send one picture only"
        raise BadRequest("The picture is missing." if not pictures else "There is more than one picture.",
                         FieldError("image", message))  # fmt: skip
    wrong = sorted(set(form) - set(FIELDS))
    if wrong:
        known = ", ".join(FIELDS)
        raise InvalidInput(
            "There are fields this API does not know.",
            *(FieldError(f, f"no such field; known are {known}") for f in wrong),
        )
    modality = await _text(form, "modality") or "auto"
    if modality not in get_args(Requested):
        raise InvalidInput(
            "The modality is not valid.", FieldError("modality", f"must be one of {', '.join(get_args(Requested))}")
        )
    language = await _text(form, "language") or "en"
    if language not in LANGUAGES:
        raise InvalidInput(
            "There is no explanation in that language.",
            FieldError("language", f"must be one of {', '.join(LANGUAGES)}"),
        )
    answers = _answers(await _text(form, "questionnaire"))
    image = await pictures[0].read()
    if len(image) > max_picture_bytes:
        raise BodyTooLarge(f"The picture has more than {max_picture_bytes:,} bytes.", FieldError("image", "too large"))
    sniff(image)
    return Submission(image, answers, cast("Requested", modality), language, pictures[0].filename or "")


async def _text(form: FormData, name: str) -> str | None:
    """A field's text, sent as a plain field or as a file. Raises BadRequest when it is sent twice."""
    parts = form.getlist(name)
    if len(parts) > 1:
        raise BadRequest(f"The field {name} is there more than once.", FieldError(name, "send it once"))
    if not parts:
        return None
    part = parts[0]
    if isinstance(part, str):
        return part
    data = await part.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise BadRequest(f"The field {name} is too long.", FieldError(name, f"at most {MAX_TEXT_BYTES:,} bytes"))
    return data.decode("utf-8", "replace")


def _answers(text: str | None) -> dict[str, Any]:
    if text is None or not text.strip():
        return {}
    try:
        raw = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest(
            "The questionnaire is not valid JSON.", FieldError("questionnaire", "not valid JSON")
        ) from error
    if not isinstance(raw, Mapping):
        message = 'must be a JSON object such as {"age": 47}'
        raise InvalidInput("The questionnaire is not an object.", FieldError("questionnaire", message))
    try:
        questionnaire.load().parse(raw)
    except questionnaire.InvalidAnswers as error:
        fields = [FieldError(f"questionnaire.{field}", message) for field, message in error.problems]
        raise InvalidInput("Some answers are not valid.", *fields) from error
    return {field: value for field, value in raw.items() if value is not None}


def _no_constant(name: str) -> None:
    raise ValueError(name)
