"""How long our client keeps a connection: pods that an autoscaler adds must get their share."""

import asyncio
import random

import pytest

from services.common.client import FAILURES_TO_TRIP, DependencyFailure, ServiceClient
from services.common.deadline import Deadline
from services.contracts import VerdictResponse
from tests.chaos.test_dependencies import JUDGED
from tests.fakes.balancer import Balancer
from tests.fakes.node import FakeNode, says


def ask(url: str, times: int) -> None:
    async def all_of_them() -> None:
        client = ServiceClient("vlm", url)
        for _ in range(times):
            await client.post("/v1/verdict", b"", VerdictResponse, Deadline.after(5))
        await client.close()

    asyncio.run(all_of_them())


def test_a_pod_that_is_added_gets_requests_though_the_connection_is_never_idle() -> None:
    random.seed(1)
    pods = [FakeNode(JUDGED) for _ in range(3)]
    service = Balancer(*(pod.port for pod in pods))
    ask(service.url, 200)
    service.close()
    for pod in pods:
        pod.die()
    assert min(len(pod.requests) for pod in pods) > 20


def test_connections_are_kept_for_most_requests() -> None:
    random.seed(1)
    pod = FakeNode(JUDGED)
    ask(pod.url, 200)
    assert 5 <= len(pod.connections) <= 20
    pod.die()


@pytest.mark.parametrize("status", [415, 422])
def test_a_refusal_that_does_not_name_the_image_is_a_failure_of_the_service(status: int) -> None:
    """Fusion refuses a body that we made: that says nothing of the picture, and is no success."""
    node = FakeNode({})
    node.behave = says(status, b'{"detail": "Not valid.", "errors": [{"field": "modality", "message": "?"}]}')

    async def run() -> bool:
        client = ServiceClient("fusion", node.url)
        for _ in range(FAILURES_TO_TRIP):
            with pytest.raises(DependencyFailure, match="invalid"):
                await client.post("/v1/fuse", b"{}", VerdictResponse, Deadline.after(5))
        is_open = client.breaker.open
        await client.close()
        return is_open

    assert asyncio.run(run())
    node.die()
