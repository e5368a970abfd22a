"""Reading a request's raw body. The cap on its size is kept by `app.Edge`."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from services.common.errors import BadRequest

UPLOAD_S = 60.0
"""A phone on a bad line may take long; a client that never ends must not be waited for."""


async def read(request: Request) -> bytes:
    """The whole body. Raises BodyTooLarge at the cap and BadRequest when the rest never comes."""
    try:
        async with asyncio.timeout(UPLOAD_S):
            return await request.body()
    except (ClientDisconnect, TimeoutError) as error:
        raise BadRequest("The connection ended before the whole body had come.") from error
