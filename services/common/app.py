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
    """Gives a request its id, counts its body's bytes, logs one line when it is answered.

    A plain ASGI class, not a Starlette application: BentoML then hands it every path that is not
    its own probe or metrics, so that an unknown path gets our 404 and not another page.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app, self.max_body_bytes = app, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        chosen = telemetry.adopt_request_id(headers.get(REQUEST_ID.lower()))
        scope.setdefault("state", {})["body_bytes"] = 0
        status = 500

        async def counted() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                scope["state"]["body_bytes"] += len(message.get("body", b""))
                if scope["state"]["body_bytes"] > self.max_body_bytes:
                    raise errors.BodyTooLarge(f"The body has more than {self.max_body_bytes:,} bytes.")
            return message

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (REQUEST_ID.lower().encode(), chosen.encode())]
            await send(message)

        await self.app(scope, counted, tagged)
        structlog.get_logger().info(
            "answered",
            method=scope["method"],
            route=getattr(scope.get("route"), "path", "unmatched"),
            status=status,
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )


def declared_too_large(headers: Any, cap: int) -> bool:
    """Whether Content-Length alone already says that the body is over the cap."""
    declared = headers.get("content-length", "")
    return declared.isdigit() and int(declared) > cap


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
