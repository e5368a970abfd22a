"""The three services the orchestrator asks, as ports, and their adapters over HTTP."""

from typing import Protocol

from services.common.client import ServiceClient
from services.common.deadline import Deadline
from services.contracts import ClassifyResponse, FuseRequest, FuseResponse, VerdictResponse


class Nodes(Protocol):
    """Each raises DependencyFailure; the first two also UnsupportedPicture and UnreadablePicture."""

    async def classify(self, image: bytes, deadline: Deadline, *, heatmap: bool) -> ClassifyResponse:
        """Ask the classifier."""
        ...

    async def judge(self, image: bytes, deadline: Deadline) -> VerdictResponse:
        """Ask the vision-language model."""
        ...

    async def fuse(self, request: FuseRequest, deadline: Deadline) -> FuseResponse:
        """Ask fusion."""
        ...


class HttpNodes:
    """The services at their URLs."""

    def __init__(self, classifier_url: str, vlm_url: str, fusion_url: str) -> None:
        self.classifier = ServiceClient("classifier", classifier_url)
        self.vlm = ServiceClient("vlm", vlm_url)
        self.fusion = ServiceClient("fusion", fusion_url)

    @property
    def all(self) -> tuple[ServiceClient, ...]:
        """The three clients."""
        return self.classifier, self.vlm, self.fusion

    async def classify(self, image: bytes, deadline: Deadline, *, heatmap: bool) -> ClassifyResponse:
        """POST /v1/classify."""
        path = "/v1/classify?heatmap=true" if heatmap else "/v1/classify"
        return await self.classifier.post(path, image, ClassifyResponse, deadline)

    async def judge(self, image: bytes, deadline: Deadline) -> VerdictResponse:
        """POST /v1/verdict."""
        return await self.vlm.post("/v1/verdict", image, VerdictResponse, deadline)

    async def fuse(self, request: FuseRequest, deadline: Deadline) -> FuseResponse:
        """POST /v1/fuse."""
        body = request.model_dump_json().encode()
        json = {"Content-Type": "application/json"}
        return await self.fusion.post("/v1/fuse", body, FuseResponse, deadline, json)

    async def close(self) -> None:
        """Close all connections."""
        for client in self.all:
            await client.close()
