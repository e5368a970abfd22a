"""Errors as RFC 9457 problem details: one table from the error tree to HTTP."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from services.common import errors, metrics
from services.common.problem_codes import CODES, OF_ERROR, ProblemCode, of_status
from services.common.telemetry import request_id, where

MEDIA_TYPE = "application/problem+json"
MAX_FIELDS = 50

REJECTED: dict[type[Exception], str] = {
    errors.BodyTooLarge: "too_large",
    errors.UnsupportedPicture: "unsupported",
    errors.UnreadablePicture: "unreadable",
}
"""Refusals of a picture, as metrics call them."""


class FieldProblem(BaseModel):
    """One field that was wrong."""

    field: str
    message: str


class Problem(BaseModel):
    """The body of every error answer."""

    type: str = Field(examples=["/problems/unreadable-image"], description="stable: a page of this server")
    code: str = Field("", examples=["unreadable-image"], description="stable: the last part of `type`")
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldProblem] = []
    retry_after: int | None = Field(None, description="seconds, as in Retry-After; an event has no header to say it")


def _printable(name: str) -> str:
    """A field name from outside, short and encodable whatever was sent."""
    return name[:100].encode("utf-8", "replace").decode()


def response(
    problem: ProblemCode,
    detail: str,
    fields: Sequence[errors.FieldError] = (),
    headers: dict[str, str] | None = None,
    status: int | None = None,
) -> JSONResponse:
    """A problem+json answer that carries the request id. `status`: where it is not the code's own."""
    retry_after = (headers or {}).get("Retry-After", "")
    status = status or problem.status
    body = Problem(
        type=problem.uri,
        code=problem.code,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        request_id=request_id(),
        errors=[FieldProblem(field=_printable(error.field), message=error.message) for error in fields[:MAX_FIELDS]],
        retry_after=int(retry_after) if retry_after.isdecimal() else None,
    )
    return JSONResponse(body.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


def _melalog(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.MelalogError)  # noqa: S101  (starlette dispatches by type)
    if type(error) in REJECTED:
        metrics.note_rejected(REJECTED[type(error)])
    return response(OF_ERROR[type(error)], error.detail, error.errors, error.headers)


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    if isinstance(error.__cause__, errors.MelalogError):
        # FastAPI turns whatever happens while it reads a JSON body into a 400.
        return _melalog(request, error.__cause__)
    details = {
        404: "There is nothing at this path; /docs lists what there is.",
        405: "This path does not take this method; the Allow header lists those it takes.",
    }
    headers = dict(error.headers) if error.headers else None
    detail = details.get(error.status_code, HTTPStatus(error.status_code).phrase)
    return response(of_status(error.status_code), detail, (), headers, error.status_code)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    """FastAPI's own validation: the values it quotes stay out of the answer."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    fields = [
        errors.FieldError(".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0]), item["msg"])
        for item in error.errors()
    ]
    if any(item["type"] == "json_invalid" for item in error.errors()):
        return response(
            CODES["bad-request"], "The body is not valid JSON.", [errors.FieldError("body", "not valid JSON")]
        )
    return response(CODES["invalid-input"], "Some fields are not valid.", fields)


def _unexpected(_: Request, error: Exception) -> JSONResponse:
    """A bug of ours: named in the log by class and place, told to the client as no more than that."""
    structlog.get_logger().error("unexpected error", error=type(error).__name__, where=where(error))
    return response(CODES["internal-error"], "Something went wrong on our side. The request id helps us to find it.")


def _out_of_time(_: Request, __: Exception) -> JSONResponse:
    return response(
        CODES["deadline-exceeded"],
        "There was not enough time to answer; try again in a moment.",
        (),
        {"Retry-After": "1"},
    )


HANDLERS: dict[Any, Any] = {
    errors.MelalogError: _melalog,
    TimeoutError: _out_of_time,
    HTTPException: _http,
    RequestValidationError: _invalid,
    Exception: _unexpected,
}
"""For FastAPI(exception_handlers=…)."""


def of(error: Exception) -> JSONResponse:
    """The answer FastAPI would give, for who has begun another one and can only write this into it."""
    handler = next(HANDLERS[kind] for kind in type(error).__mro__ if kind in HANDLERS)
    answer: JSONResponse = handler(None, error)
    return answer


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses as problem+json, for a route's OpenAPI entry."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "model": Problem,
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }


RESPONSES = responses(400, 413, 415, 422, 429, 503)
"""What every route that takes a picture may answer."""
