"""A rolling update under load loses nothing: the order of events is that of k8s/base, with shorter waits.

New pod ready, then an endpoint; old pod: its endpoint goes a moment after preStop has begun, SIGTERM when that is over.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Self

import httpx2
import pytest

from services.contracts import FuseRequest, FusionInfo
from services.risk import decide
from tests.chaos.test_dependencies import JUDGED
from tests.conftest import Running, running
from tests.fakes.balancer import Balancer
from tests.fakes.node import FakeNode
from tests.pictures import encode, lesion

NOTICED_S, PRE_STOP_S, GRACE_S = 0.5, 1.5, 20.0
"""An endpoint's removal reaches every node; `preStop: sleep`; what is left of terminationGracePeriodSeconds."""
CALLERS = 4


class Load:
    """Callers that assess one picture after the other, each on a connection of its own, as through an ingress."""

    def __init__(self, url: str) -> None:
        self.url, self.answers, self.wrong = url, 0, list[str]()
        self._over = threading.Event()
        self._picture = encode(lesion())
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(CALLERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        while not self._over.is_set():
            files = {"image": ("x.jpg", self._picture)}
            data = {"modality": "dermoscopy"}
            try:
                answer = httpx2.post(f"{self.url}/v1/assessments", files=files, data=data, timeout=15, trust_env=False)
                if answer.status_code != 200 or answer.json()["degraded"]:
                    self.wrong.append(f"{answer.status_code} {answer.json().get('degraded')}")
            except httpx2.HTTPError as error:
                self.wrong.append(type(error).__name__)
            self.answers += 1


def roll(service: Balancer, name: str, old: Running, new: Running) -> None:
    """What a Deployment, the kubelet and the endpoints' controller do, in their order."""
    service.endpoints.append(new.ports[name])
    time.sleep(1)
    time.sleep(NOTICED_S)
    service.endpoints.remove(old.ports[name])
    time.sleep(PRE_STOP_S - NOTICED_S)
    old.children[name].send_signal(signal.SIGTERM)
    assert old.children[name].wait(GRACE_S) == 0


@pytest.fixture
def others() -> Iterator[dict[str, str]]:
    """A vlm that takes its time, so that every pod that goes has requests in hand, and a fusion."""
    fused = decide.respond(
        decide.decide(FuseRequest(), decide.Rules(prior=0.025)), None, FusionInfo(engine="rules")
    ).model_dump(mode="json")
    vlm, fusion = FakeNode(JUDGED), FakeNode(fused)
    vlm.behave = slowly(vlm)
    yield {"MELALOG_VLM_URL": vlm.url, "MELALOG_FUSION_URL": fusion.url}
    vlm.die()
    fusion.die()


def slowly(node: FakeNode) -> Callable[[BaseHTTPRequestHandler], None]:
    def behave(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.4)
        node.healthy(handler)

    return behave


def test_a_rolling_update_under_load_loses_nothing(others: dict[str, str], tmp_path: Path) -> None:
    names = ("classifier", "orchestrator")
    service, door = Balancer(), Balancer()
    urls = {**others, "MELALOG_CLASSIFIER_URL": service.url}
    for folder in ("old", "new"):
        (tmp_path / folder).mkdir()
    with running(names, tmp_path / "old", urls) as old, running(names, tmp_path / "new", urls) as new:
        service.endpoints.append(old.ports["classifier"])
        door.endpoints.append(old.ports["orchestrator"])
        with Load(door.url) as load:
            time.sleep(1)
            roll(service, "classifier", old, new)
            roll(door, "orchestrator", old, new)
            time.sleep(1)
    service.close()
    door.close()
    assert load.answers > 2 * CALLERS
    assert load.wrong == []
