"""The stream of the four services as they are served: it ends with the answer that JSON would have been."""

import httpx2

from tests.conftest import Running
from tests.contract.test_assessments import post
from tests.pictures import encode, lesion
from tests.sse import events


def test_the_stream_says_what_the_json_answer_says(system: Running) -> None:
    asked = {"files": {"image": ("x.jpg", encode(lesion()))}, "data": {"questionnaire": '{"age": 61}'}}
    url, accept = f"{system.url}/v1/assessments?heatmap=true", {"accept": "text/event-stream"}
    with (
        httpx2.Client(timeout=30, trust_env=False) as client,
        client.stream("POST", url, headers=accept, **asked) as answer,
    ):
        *findings, last = events(answer)
    assert {name for event in findings if event.event for name in event.data} == set(last.data["findings"])
    assert last.data["findings"]["classifier"]["heatmap"]
    assert last.data["id"] == answer.headers["x-request-id"]
    plain = post(system, data={"questionnaire": '{"age": 61}'}).json()
    for body in (plain, last.data):
        for passing in ("id", "created_at"):
            body.pop(passing)
        body["findings"]["classifier"].pop("heatmap")
    assert last.data == plain
