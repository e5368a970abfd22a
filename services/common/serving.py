"""What every bento's decorator says, and what each does when its process begins and ends."""

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

from services.common import tracing
from services.common.settings import Settings

TIMEOUT_S = 150
"""BentoML's own limit, to the first byte only: longer than any deadline, which is ours to keep."""


def options(name: str) -> dict[str, Any]:
    """Arguments of `bentoml.service` for one of the four services."""
    return {
        "name": f"melalog-{name}",
        "traffic": {"timeout": TIMEOUT_S},
        # We log one line per request ourselves, with the request id.
        "logging": {"access": {"enabled": False}},
        # BentoML's metrics keep every path that was ever asked for as a label; `metrics.py` counts by route.
        "metrics": {"enabled": False},
    }


def begin(name: str, settings: Settings) -> None:
    """For a service's `__init__`: in the process that serves, once its signal handlers are in place."""
    tracing.configure(name, settings.otlp_endpoint)
    refuse_from_sigterm_on()


async def end() -> None:
    """For a service's `on_shutdown`."""
    await asyncio.to_thread(tracing.close)


def refuse_from_sigterm_on() -> None:
    """Not ready at once: from SIGTERM on new connections are refused, while requests in hand are finished.

    uvicorn only stops accepting. The listening socket stays open in BentoML's supervisor, so that a client's new
    connection, and a probe's, would hang until the last request is done, and then be reset.
    """
    servers = signal.getsignal(signal.SIGTERM)
    if not callable(servers):  # no server runs here: a test, a script
        return

    def refuse(number: int, frame: FrameType | None) -> None:
        for listening in _listening():
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)  # of the socket itself, whoever else holds it
            listening.detach()
        servers(number, frame)

    signal.signal(signal.SIGTERM, refuse)


def _listening() -> Iterator[socket.socket]:
    """Of this process; BentoML hands the worker an open one and says nowhere which it is."""
    for number in map(int, os.listdir("/dev/fd")):  # noqa: PTH208  (the whole list first: what is opened to read it is gone)
        with suppress(OSError):
            found = socket.socket(fileno=number)
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                yield found
            else:
                found.detach()
