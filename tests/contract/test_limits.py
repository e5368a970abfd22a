"""Too much at once: bodies over the cap, floods, and memory while it happens."""

import asyncio
import socket
from collections import Counter

import httpx2
import psutil

from tests.conftest import Running
from tests.contract.test_assessments import check_problem, post
from tests.pictures import encode, lesion

MB = 1_000_000


def _memory(system: Running) -> float:
    """Resident megabytes of the orchestrator and its worker."""
    parent = psutil.Process(system.children["orchestrator"].pid)
    return sum(p.memory_info().rss for p in [parent, *parent.children(recursive=True)]) / MB


def test_a_body_over_the_cap_is_413(system: Running) -> None:
    check_problem(post(system, encode(lesion()) + b"\0" * 16 * MB), 413)


def test_a_picture_just_over_the_limit_is_413(system: Running) -> None:
    check_problem(post(system, encode(lesion()) + b"\0" * 15 * MB), 413)


def test_fifty_megabytes_are_413_and_memory_stays_flat(system: Running) -> None:
    post(system)
    before = _memory(system)
    for _ in range(3):
        check_problem(post(system, encode(lesion()) + b"\0" * 50 * MB), 413)
    sent, answered = _send_without_length(system, 50 * MB)
    assert sent >= 50 * MB
    assert answered.startswith(b"HTTP/1.1 413")
    assert _memory(system) < before + 60


def test_who_never_stops_sending_is_cut_off(system: Running) -> None:
    before = _memory(system)
    sent, _ = _send_without_length(system, 500 * MB)
    assert sent < 200 * MB
    assert _memory(system) < before + 60


def _send_without_length(system: Running, total: int) -> tuple[int, bytes]:
    """Stream a chunked multipart body; returns how many bytes the server took, and what it answered."""
    port = system.ports["orchestrator"]
    head = (
        b"POST /v1/assessments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n'
    chunk = b"\0" * 65536
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head + b"%x\r\n%s\r\n" % (len(part), part))
        connection.setblocking(False)
        answered = b""
        connection.settimeout(5)
        try:
            while sent < total:
                connection.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                sent += len(chunk)
        except (ConnectionError, TimeoutError):
            pass
        try:
            while part_of_answer := connection.recv(65536):
                answered += part_of_answer
                if b"}" in answered:
                    break
        except (ConnectionError, TimeoutError):
            pass
    return sent, answered


def test_a_flood_is_shed_with_retry_after_and_then_served_again(system: Running) -> None:
    image = encode(lesion(1200, 900))

    async def flood() -> list[httpx2.Response]:
        limits = httpx2.Limits(max_connections=200)
        async with httpx2.AsyncClient(timeout=60, limits=limits, trust_env=False) as client:
            url = f"{system.url}/v1/assessments"
            return await asyncio.gather(*(client.post(url, files={"image": ("x.jpg", image)}) for _ in range(150)))

    answers = asyncio.run(flood())
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 429, 503}, statuses
    assert statuses[200] > 0
    assert statuses[429] > 0
    for answer in answers:
        if answer.status_code != 200:
            assert int(answer.headers["retry-after"]) >= 1
            check_problem(answer, answer.status_code)
    assert post(system).status_code == 200
