"""An assessment as server-sent events: every finding as it is made, then the whole answer or a problem.

FastAPI's formatter in a response of our own: its EventSourceResponse is for routes that always stream, and
sse-starlette hooks itself into uvicorn's shutdown, which here is BentoML's to manage.
"""

import asyncio
import json
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Protocol

import structlog
from fastapi.sse import format_sse_event
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.common import problems
from services.contracts import Assessment, Message
from services.orchestrator.core import Tell

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_S = 2.0
"""Short, as the answer is seconds away: proxies keep the line open, and a phone that lost it finds out."""
HEARTBEAT, END = b": working\n\n", b""


class Work(Protocol):
    """An assessment that has not begun."""

    def __call__(self, *, tell: Tell) -> Awaitable[Assessment]:
        """Begin, telling of every finding."""
        ...


class EventStream(Response):
    """Does the work while it answers. What it holds is let go when the work ends, or the client leaves."""

    def __init__(self, work: Work, held: AsyncExitStack) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the latter: nginx would keep it all back
        super().__init__(headers=headers, media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        self._work, self._held = work, held
        self._told: asyncio.Queue[bytes] = asyncio.Queue()

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Answer. A client that leaves cancels the work, and with it our requests to the other services."""
        async with self._held:
            tasks = [asyncio.ensure_future(one) for one in (self._write(send), self._do(), _until_gone(receive))]
            writing, leaving = tasks[0], tasks[2]
            try:
                await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not writing.done():
                    structlog.get_logger().info("client left")
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _do(self) -> None:
        try:
            answer = await self._work(tell=self._tell)
            self._put("assessment", answer.model_dump_json())
        except Exception as error:  # noqa: BLE001  what FastAPI's handlers would do, had the answer not begun
            problem = problems.of(error)
            structlog.get_logger().warning("streamed a problem", status=problem.status_code)
            self._put("problem", bytes(problem.body).decode())
        self._told.put_nowait(END)
        await self._held.aclose()  # a client that reads slowly holds no place

    def _tell(self, name: str, finding: Message) -> None:
        self._put("finding", json.dumps({name: finding.model_dump(mode="json")}))

    def _put(self, event: str, data: str) -> None:
        self._told.put_nowait(format_sse_event(event=event, data_str=data))

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while part := await self._next():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                return await self._told.get()
        except TimeoutError:
            return HEARTBEAT


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
