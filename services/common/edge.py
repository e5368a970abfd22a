"""The ASGI application every service mounts: the same floor under each."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import structlog
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common import errors, metrics, problems, telemetry, tracing
from services.common.spans import Span

REQUEST_ID, METRICS = "X-Request-ID", "/metrics"


LINGER_S, LINGER_BYTES = 5.0, 60_000_000
"""How long, and how much, is still thrown away after a 413, so that a client busy sending gets to read it."""


class Edge:
    """Gives a request its id, stops its body at the cap, logs one line when it is answered.

    A plain ASGI class, not a Starlette application: BentoML then hands it every path that is not
    its own probe or metrics, so that an unknown path gets our 404 and not another page.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app, self.max_body_bytes = app, max_body_bytes
        metrics.expect(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})  # unanswered, an upgrade would hang and hold up the shutdown
        if scope["type"] != "http":
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        chosen = telemetry.adopt_request_id(headers.get(REQUEST_ID.lower()))
        tracing.adopt(headers.get("traceparent"))
        with tracing.span("request", "server", wanted=scope["path"] != METRICS) as noted:
            await self._serve(scope, receive, send, headers, chosen, noted)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[str, str], chosen: str, noted: Span
    ) -> None:
        started = time.perf_counter()
        body = _CappedBody(receive, headers.get("content-length", ""), self.max_body_bytes)
        status = 500

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = [(REQUEST_ID.lower().encode(), chosen.encode())]
                if body.passed:
                    extra.append((b"connection", b"close"))
                message["headers"] = [*message.get("headers", ()), *extra]
            elif body.passed and not message.get("more_body"):
                await send({**message, "more_body": True})
                await body.linger()
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        try:
            await self.app(scope, body.receive, tagged)
        except Exception as error:  # noqa: BLE001  answered by problems.py; raised on, its stack would be logged
            if status < 500:  # noqa: PLR2004
                where = telemetry.where(error)
                structlog.get_logger().error("answer broken off", error=type(error).__name__, where=where)
        route = getattr(scope.get("route"), "path", "") or "unmatched"
        seconds = time.perf_counter() - started
        method = scope["method"] if scope["method"] in metrics.METHODS else "other"
        noted.name, noted.attributes = f"{method} {route}", {"method": method, "route": route, "status": status}
        metrics.note_request(route, method, status, seconds)
        structlog.get_logger().info(
            "answered", method=scope["method"], route=route, status=status, duration_ms=round(seconds * 1000, 1)
        )


class _CappedBody:
    """A request's body that raises BodyTooLarge once it passes the cap, or at once if its headers say that it will."""

    def __init__(self, receive: Receive, declared: str, cap: int) -> None:
        self._receive, self._cap, self._seen = receive, cap, 0
        self._declared = int(declared) if declared.isdecimal() else 0
        self.passed = self._ended = False

    async def receive(self) -> Message:
        message: Message = {"type": "http.request"}
        if self._declared <= self._cap:
            message = await self._receive()
            self._seen += len(message.get("body", b""))
            self._ended = not message.get("more_body")
        if max(self._seen, self._declared) > self._cap:
            self.passed = True
            raise errors.BodyTooLarge(f"The body has more than {self._cap:,} bytes.")
        return message

    async def linger(self) -> None:
        """Throw away what still comes, within limits; the connection is closed after that."""
        thrown = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while not self._ended and thrown < LINGER_BYTES:
                    message = await self._receive()
                    thrown += len(message.get("body", b""))
                    self._ended = not message.get("more_body")


def create(title: str, description: str, factory: Callable[..., FastAPI] = FastAPI, **options: Any) -> FastAPI:
    """A FastAPI application whose every error is problem+json."""
    app = factory(
        title=title,
        description=description,
        version="1",
        exception_handlers=problems.HANDLERS,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,  # what generated clients call their functions
        **options,
    )
    app.add_api_route(METRICS, metrics.show, include_in_schema=False)
    return app
