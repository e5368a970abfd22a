"""A closed-loop HTTP load generator with little overhead: on two cores the client competes with the server."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Load:
    """Wall time and latencies of a run of requests in seconds, latencies in order of completion."""

    wall: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies) / self.wall

    def percentile(self, q: float) -> float:
        """Latency percentile in milliseconds."""
        return float(np.percentile(self.latencies, q)) * 1000


def multipart(image: bytes, answers: str) -> tuple[bytes, str]:
    """Body and content type of an assessment."""
    head = b'--bench\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n'
    rest = f'\r\n--bench\r\nContent-Disposition: form-data; name="questionnaire"\r\n\r\n{answers}\r\n--bench--\r\n'
    return head + image + rest.encode(), "multipart/form-data; boundary=bench"


async def _worker(port: int, requests: Sequence[bytes], numbers: list[int], latencies: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while numbers:
        request = requests[numbers.pop() % len(requests)]
        started = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.split(b"\r\n", 1)[0].decode())
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - started)
    writer.close()


def run(port: int, path: str, bodies: Sequence[bytes], content_type: str, n: int, concurrency: int) -> Load:
    """Send n requests, `concurrency` at a time. Raises RuntimeError at the first status other than 200."""
    requests = [
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
        for body in bodies
    ]
    latencies: list[float] = []
    numbers = list(range(n))

    async def all_workers() -> None:
        await asyncio.gather(*(_worker(port, requests, numbers, latencies) for _ in range(concurrency)))

    started = time.perf_counter()
    asyncio.run(all_workers())
    return Load(time.perf_counter() - started, latencies)
