"""The ASGI application every service mounts: the same floor under each."""

import time
from collections.abc import Callable
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common import errors, problems, telemetry

REQUEST_ID = "X-Request-ID"


class Edge:
    """Gives a request its id, stops its body at the cap, logs one line when it is answered.

    A plain ASGI class, not a Starlette application: BentoML then hands it every path that is not
    its own probe or metrics, so that an unknown path gets our 404 and not another page.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app, self.max_body_bytes = app, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        chosen = telemetry.adopt_request_id(headers.get(REQUEST_ID.lower()))
        status = 500

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID.lower().encode(), chosen.encode())]
            await send(message)

        try:
            await self.app(scope, self._capped(receive, headers.get("content-length", "")), tagged)
        except Exception as error:  # noqa: BLE001  answered and logged by problems.py; raised on, it would be logged with its stack
            if status < 500:  # noqa: PLR2004
                structlog.get_logger().error(
                    "answer broken off", error=type(error).__name__, where=telemetry.where(error)
                )
        structlog.get_logger().info(
            "answered",
            method=scope["method"],
            route=getattr(scope.get("route"), "path", "unmatched"),
            status=status,
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )

    def _capped(self, receive: Receive, declared: str) -> Receive:
        """`receive`, raising BodyTooLarge as soon as the cap is passed, or at once if the headers say so."""
        seen = 0

        async def capped() -> Message:
            nonlocal seen
            too_large = errors.BodyTooLarge(f"The body has more than {self.max_body_bytes:,} bytes.")
            if declared.isdigit() and int(declared) > self.max_body_bytes:
                raise too_large
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_body_bytes:
                raise too_large
            return message

        return capped


def create(title: str, description: str, factory: Callable[..., FastAPI] = FastAPI, **options: Any) -> FastAPI:
    """A FastAPI application whose every error is problem+json."""
    return factory(
        title=title,
        description=description,
        version="1",
        exception_handlers=problems.HANDLERS,
        redoc_url=None,
        **options,
    )
