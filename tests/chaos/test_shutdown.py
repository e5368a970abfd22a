"""SIGTERM to a real `bentoml serve`: not ready at once, what it has in hand is finished, and it ends well in time."""

import signal
import threading
import time
from pathlib import Path

import httpx2

from tests.chaos.test_dependencies import CLASSIFIED, JUDGED
from tests.conftest import running
from tests.fakes.node import FakeNode
from tests.pictures import encode, lesion

SLOW_S, GRACE_S = 2.0, 20.0
"""Less than terminationGracePeriodSeconds less the preStop sleep (k8s/base)."""


def test_a_request_in_hand_is_answered_and_a_new_one_refused(tmp_path: Path) -> None:
    classifier, vlm, fusion = FakeNode(CLASSIFIED), FakeNode(JUDGED), FakeNode({})
    urls = {"MELALOG_CLASSIFIER_URL": classifier.url, "MELALOG_VLM_URL": vlm.url, "MELALOG_FUSION_URL": fusion.url}
    in_hand = threading.Event()

    def slowly(handler: object) -> None:
        in_hand.set()
        time.sleep(SLOW_S)
        classifier.healthy(handler)  # type: ignore[arg-type]

    classifier.behave = slowly
    with running(("orchestrator",), tmp_path, urls) as started, httpx2.Client(trust_env=False) as kept:
        child, answers = started.children["orchestrator"], list[httpx2.Response]()
        assert kept.get(f"{started.url}/readyz").status_code == 200

        def ask() -> None:
            files = {"image": ("x.jpg", encode(lesion()))}
            answers.append(httpx2.post(f"{started.url}/v1/assessments", files=files, timeout=20, trust_env=False))

        asking = threading.Thread(target=ask)
        asking.start()
        assert in_hand.wait(10)
        child.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        refused_after = _until_refused(started.url)
        assert refused_after < 1, "a probe that hangs is not yet told that this pod is not ready"
        assert _until_refused(started.url, kept) < 1, "nor over a connection that was open before"
        assert not answers, "the request in hand had ended before: nothing was shown"
        asking.join(10)
        assert answers[0].status_code == 200
        assert answers[0].json()["findings"]["classifier"]["status"] == "ok"
        assert child.wait(GRACE_S) == 0
        assert time.monotonic() - asked < GRACE_S
        assert "Traceback" not in started.output()


def _until_refused(url: str, kept: httpx2.Client | None = None) -> float:
    started = time.monotonic()
    while time.monotonic() - started < 1:
        try:
            if kept is None:
                httpx2.get(f"{url}/readyz", timeout=0.5, trust_env=False)
            else:
                kept.get(f"{url}/readyz", timeout=0.5)
        except httpx2.ConnectError:
            return time.monotonic() - started
        except httpx2.TransportError:
            continue
    return time.monotonic() - started
