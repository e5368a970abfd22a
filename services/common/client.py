"""Our client for another service: one deadline, one retry of a broken connection, answers as typed messages."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx2
import structlog
from pydantic import BaseModel, ValidationError

from services.common import metrics, tracing
from services.common.deadline import Deadline
from services.common.errors import FieldError, UnreadablePicture, UnsupportedPicture
from services.common.telemetry import request_id
from services.contracts import Status

MAX_ANSWER_BYTES = 4_000_000
CONNECT_S = 1.0
KEEP_ALIVE_S = 3.0
"""Shorter than the 5 s after which BentoML's server closes an idle connection."""
RENEWED = 20
"""One request in so many gives its connection up: a Kubernetes Service chooses a pod when a connection is made, and a
busy one never idles, so that pods that are added would get no request."""
FAILURES_TO_TRIP, PROBE_EVERY_S = 5, 0.5

_BROKEN = (httpx2.ConnectError, httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)

M = TypeVar("M", bound=BaseModel)


def renewing() -> dict[str, str]:
    """The header that closes a connection after its answer, now and then."""
    return {"Connection": "close"} if random.randrange(RENEWED) == 0 else {}  # noqa: S311  no secret hangs on it


class DependencyFailure(Exception):  # noqa: N818
    """A service did not give a usable answer; `status` is what its finding will say."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status: Status = status

    @property
    def outcome(self) -> str:
        """For metrics and traces."""
        return self.status


class Busy(DependencyFailure):
    """The service shed this request, or ran out of the time it was given: no sign that it is ill."""

    outcome = "busy"


class LeftAlone(DependencyFailure):
    """Not asked: the breaker is open."""

    outcome = "left_alone"


class Breaker:
    """After five failures in a row the service is left alone until its /readyz answers again.

    Without it every assessment would wait out the deadline of a frozen service. The probing is done in
    the background, so that no assessment has to find out whether the service is back.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]]) -> None:
        self._probe, self._failures = probe, 0
        self._probing: asyncio.Task[None] | None = None

    @property
    def open(self) -> bool:
        """Whether requests are held back."""
        return self._failures >= FAILURES_TO_TRIP

    def note(self, *, success: bool) -> None:
        """Take down how a request ended."""
        self._failures = 0 if success else self._failures + 1
        if self.open and (self._probing is None or self._probing.done()):
            self._probing = asyncio.create_task(self._wait_for_return())

    async def _wait_for_return(self) -> None:
        while self.open:
            await asyncio.sleep(PROBE_EVERY_S)
            with contextlib.suppress(Exception):  # whatever the probe met, it is tried again
                await self._probe()
                self._failures = 0

    def close(self) -> None:
        """Stop probing."""
        if self._probing is not None:
            self._probing.cancel()


class ServiceClient:
    """Speaks to one of our services."""

    def __init__(self, name: str, base_url: str, max_in_flight: int = 64) -> None:
        self.name = name
        self.breaker = Breaker(lambda: self.get("/readyz"))
        limits = httpx2.Limits(max_connections=max_in_flight, keepalive_expiry=KEEP_ALIVE_S)
        self._http = httpx2.AsyncClient(base_url=base_url, limits=limits, trust_env=False)

    async def post(
        self, path: str, content: bytes, kind: type[M], deadline: Deadline, more: dict[str, str] | None = None
    ) -> M:
        """Send bytes, read a message.

        Raises DependencyFailure, or UnsupportedPicture and UnreadablePicture when the service refused the picture.
        """
        with tracing.span(f"POST {path.partition('?')[0]}", "client", dependency=self.name) as noted:
            started = time.perf_counter()
            try:
                answer = await self._ask(path, content, kind, deadline, more)
            except DependencyFailure as failure:
                noted.attributes["outcome"] = failure.outcome
                raise
            else:
                noted.attributes["outcome"] = "refused" if isinstance(answer, Exception) else "ok"
            finally:
                outcome = str(noted.attributes.get("outcome", "given_up"))
                metrics.note_dependency(self.name, outcome, time.perf_counter() - started)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _ask(
        self, path: str, content: bytes, kind: type[M], deadline: Deadline, more: dict[str, str] | None
    ) -> M | Exception:
        """The answer, or the refusal of a picture."""
        if self.breaker.open:
            raise LeftAlone("unavailable")
        headers = {"X-Request-ID": request_id(), **deadline.header(), **tracing.header(), **renewing(), **(more or {})}
        started = time.monotonic()
        try:
            async with asyncio.timeout(deadline.left()):
                status, body = await self._send(path, content, headers)
            answer = self._read(status, body, kind)
        except (DependencyFailure, TimeoutError, httpx2.HTTPError) as error:
            if not isinstance(error, Busy):
                self.breaker.note(success=False)
            failure = _as_failure(error)
            structlog.get_logger().warning(
                "dependency failed",
                dependency=self.name,
                outcome=failure.status,
                error=type(error).__name__,
                duration_ms=round((time.monotonic() - started) * 1000, 1),
            )
            raise failure from error
        self.breaker.note(success=True)
        return answer

    async def _send(self, path: str, content: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """One request, and one more if the connection broke: all our calls are safe to repeat."""
        try:
            return await self._once("POST", path, content, headers)
        except _BROKEN:
            return await self._once("POST", path, content, headers)

    async def _once(self, method: str, path: str, content: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        timeout = httpx2.Timeout(None, connect=CONNECT_S)
        async with self._http.stream(method, path, content=content, headers=headers, timeout=timeout) as answer:
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise DependencyFailure("invalid")
            return answer.status_code, bytes(body)

    @staticmethod
    def _read(status: int, body: bytes, kind: type[M]) -> M | Exception:
        if status == httpx2.codes.OK:
            try:
                return kind.model_validate_json(body)
            except ValidationError as error:
                raise DependencyFailure("invalid") from error
        message = _detail(body)
        if status == httpx2.codes.UNPROCESSABLE_CONTENT and message:
            return UnreadablePicture(message)
        if status == httpx2.codes.UNSUPPORTED_MEDIA_TYPE and message:
            return UnsupportedPicture(message, FieldError("image", message))
        if status in (httpx2.codes.UNPROCESSABLE_CONTENT, httpx2.codes.UNSUPPORTED_MEDIA_TYPE):
            raise DependencyFailure("invalid")  # it refuses what we made of the request, not the picture
        if status in (httpx2.codes.TOO_MANY_REQUESTS, httpx2.codes.SERVICE_UNAVAILABLE):
            raise Busy("unavailable")
        raise DependencyFailure("unavailable")

    async def get(self, path: str, within_s: float = 1.0) -> bytes:
        """The body of a 200. Raises DependencyFailure for anything else."""
        try:
            async with asyncio.timeout(within_s):
                status, body = await self._once("GET", path, b"", tracing.header())
        except (DependencyFailure, TimeoutError, httpx2.HTTPError) as error:
            raise _as_failure(error) from error
        if status != httpx2.codes.OK:
            raise DependencyFailure("unavailable")
        return body

    async def close(self) -> None:
        """Stop probing, close the connections."""
        self.breaker.close()
        await self._http.aclose()


class _Detail(BaseModel):
    detail: str
    errors: list[dict[str, str]] = []


def _detail(body: bytes) -> str | None:
    """Our own services' words for a refused picture; anything else is not passed on."""
    try:
        problem = _Detail.model_validate_json(body)
    except ValidationError:
        return None
    return problem.detail if any(error.get("field") == "image" for error in problem.errors) else None


def _as_failure(error: Exception) -> DependencyFailure:
    if isinstance(error, DependencyFailure):
        return error
    slow = isinstance(error, TimeoutError | httpx2.ReadTimeout | httpx2.WriteTimeout)
    return DependencyFailure("timeout" if slow else "unavailable")
