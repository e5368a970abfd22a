"""Reading a request's raw body, never past the cap."""

from starlette.requests import ClientDisconnect, Request

from services.common.app import declared_too_large
from services.common.errors import BadRequest, BodyTooLarge


async def read(request: Request, cap: int) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as the cap is passed, or at once if the headers say so."""
    if declared_too_large(request.headers, cap):
        raise BodyTooLarge(f"The body has more than {cap:,} bytes.")
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > cap:
                raise BodyTooLarge(f"The body has more than {cap:,} bytes.")
            parts.append(part)
    except ClientDisconnect as error:
        raise BadRequest("The connection was closed before the whole body had come.") from error
    return b"".join(parts)
