"""Reading a request's body. The cap on its size is kept by `app.Edge`, the pace at which it must come here."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import ClientDisconnect, Request

from services.common.errors import BadRequest

UPLOAD_S, STALL_S = 60.0, 5.0
"""A phone on a bad line may take a minute in all; who sends nothing for five seconds is not waited for."""


async def chunks(request: Request) -> AsyncGenerator[bytes, None]:
    """The body as it comes. Raises BodyTooLarge at the cap and BadRequest when the rest does not come."""
    loop = asyncio.get_running_loop()
    end = loop.time() + UPLOAD_S
    stream = aiter(request.stream())
    try:
        while True:
            async with asyncio.timeout_at(min(end, loop.time() + STALL_S)):
                part = await anext(stream, None)
            if part is None:
                return
            yield part
    except (ClientDisconnect, TimeoutError) as error:
        raise BadRequest("The connection ended or stalled before the whole body had come.") from error


async def read(request: Request) -> bytes:
    """The whole body."""
    return b"".join([part async for part in chunks(request)])
