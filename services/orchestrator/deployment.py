"""What is deployed and how it is: reports on the other services. They never decide our own readiness."""

import asyncio
import json
from typing import Any

from services.common.client import DependencyFailure, ServiceClient
from services.orchestrator.nodes import HttpNodes


async def models(nodes: HttpNodes) -> dict[str, Any]:
    """Each service's own account of its model; an unreachable one says so."""

    async def ask(client: ServiceClient) -> Any:
        try:
            return {"status": "ok", **json.loads(await client.get("/v1/model"))}
        except DependencyFailure as failure:
            return {"status": failure.status}
        except (ValueError, TypeError, RecursionError):
            return {"status": "invalid"}

    answers = await asyncio.gather(*(ask(client) for client in nodes.all))
    return {client.name: answer for client, answer in zip(nodes.all, answers, strict=True)}


async def dependencies(nodes: HttpNodes) -> dict[str, str]:
    """`ready`, `unavailable` or `timeout` for each service."""

    async def ask(client: ServiceClient) -> str:
        try:
            await client.get("/readyz")
        except DependencyFailure as failure:
            return failure.status
        return "ready"

    answers = await asyncio.gather(*(ask(client) for client in nodes.all))
    return {client.name: answer for client, answer in zip(nodes.all, answers, strict=True)}
