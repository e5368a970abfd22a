"""`POST /v1/classify` as HTTP, round a core that needs no trained network."""

import asyncio
import time
import warnings
from collections.abc import Iterator

import httpx2
import pytest
import structlog

from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact
from services.classifier.core import Classifier
from services.classifier.engine.onnx_runtime import OnnxEngine
from services.classifier.engine.triton import TritonEngine
from services.common import edge as common
from services.common.deadline import HEADER
from services.contracts import ClassifyResponse
from tests.pictures import encode, lesion
from tests.services.classifier.engine.triton_server import Stub, serving

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # BentoML's own imports warn of what they use
    from services.classifier import service

CAP = 200_000


@pytest.fixture(autouse=True)
def core(artifact: ClassifierArtifact) -> Iterator[None]:
    before = structlog.get_config()
    service.app.state.core = Classifier(artifact, OnnxEngine(artifact.folder / MODEL_FILE, 1), decoders=1)
    yield
    service.app.state.core.close()
    structlog.configure(**before)


def ask(method: str, path: str, body: bytes = b"", **headers: str) -> httpx2.Response:
    async def send() -> httpx2.Response:
        transport = httpx2.ASGITransport(common.Edge(service.app, CAP))
        async with httpx2.AsyncClient(transport=transport, base_url="http://classifier") as client:
            return await client.request(method, path, content=body, headers=headers)

    return asyncio.run(send())


def test_a_picture_is_answered_with_a_finding() -> None:
    answer = ask("POST", "/v1/classify", encode(lesion()), **{"Content-Type": "application/octet-stream"})
    assert answer.status_code == 200
    found = ClassifyResponse.model_validate_json(answer.content)
    assert found.status == "ok"
    assert found.melanoma is not None
    assert found.picture.quality == "good"
    assert found.heatmap is None
    with_map = ask("POST", "/v1/classify?heatmap=true", encode(lesion()))
    assert ClassifyResponse.model_validate_json(with_map.content).heatmap is not None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"hello", 415),
        (encode(lesion())[:500], 422),
        (encode(lesion(31, 31)), 422),
        (encode(lesion()) + bytes(CAP), 413),
    ],
    ids=["empty", "text", "truncated", "small", "long"],
)
def test_what_cannot_be_classified(body: bytes, status: int) -> None:
    answer = ask("POST", "/v1/classify", body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_a_spent_deadline_is_a_503_to_be_tried_again() -> None:
    answer = ask("POST", "/v1/classify", encode(lesion()), **{HEADER: "0"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"


def test_says_which_model_is_deployed() -> None:
    found = ask("GET", "/v1/model").json()
    assert (found["name"], found["version"]) == ("brightness", "1.2.3")
    assert found["metrics"]["auc"]["value"] == 0.9


def test_a_triton_server_that_is_away_or_slow_is_a_503_until_it_answers(artifact: ClassifierArtifact) -> None:
    stub = Stub(artifact.folder / MODEL_FILE)
    digest = artifact.manifest.files[MODEL_FILE].sha256
    with serving(stub) as port:
        pass
    service.app.state.core.close()
    engine = TritonEngine(f"127.0.0.1:{port}", stub.name, 1, digest)
    service.app.state.core = Classifier(artifact, engine, decoders=1)
    away = ask("POST", "/v1/classify", encode(lesion()))
    assert (away.status_code, away.headers["retry-after"]) == (503, "1")
    assert away.headers["content-type"] == "application/problem+json"
    assert "triton" not in away.text.lower()
    with serving(stub, port):
        for _ in range(40):
            if (answer := ask("POST", "/v1/classify", encode(lesion()))).status_code == 200:
                break
            time.sleep(0.1)
        assert answer.json()["model"]["sha256"] == digest
        stub.misbehave = "slow"
        assert ask("POST", "/v1/classify", encode(lesion())).status_code == 503
    engine.close()
