"""Logs say only what the allow-list lets them say."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.common import telemetry

SECRET = "the-answer-is-yes"  # noqa: S105  (a marker to look for, no password)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)
    telemetry._request_id.set("")  # noqa: SLF001


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.dictionaries(st.text(max_size=12).filter(lambda key: key not in telemetry.ALLOWED), st.just(SECRET)))
@example(
    dict.fromkeys(
        ["answers", "image", "filename", "risk", "melanoma", "age", "path", "query", "url", "body", "exception",
         "exc_info", "stack_info", "stack", "detail", "authorization", "latitude"],
        SECRET,
    )
)  # fmt: skip
def test_keys_outside_the_allow_list_never_come_out(capsys: pytest.CaptureFixture[str], extra: dict[str, str]) -> None:
    telemetry.configure("test")
    structlog.get_logger().bind(**{k: v for k, v in extra.items() if k != "self"}).info("answered", status=200)
    printed = capsys.readouterr().out
    assert SECRET not in printed
    line = json.loads(printed)
    assert set(line) <= telemetry.ALLOWED
    assert (line["event"], line["status"], line["service"], line["level"]) == ("answered", 200, "test", "info")


def test_no_key_for_health_data_is_allowed() -> None:
    forbidden = {"answers", "image", "filename", "risk", "melanoma", "age", "sex", "path", "query", "body", "exception"}
    assert not forbidden & telemetry.ALLOWED


def test_an_exceptions_text_and_stack_stay_out(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure("test")
    try:
        int(SECRET)
    except ValueError as error:
        structlog.get_logger().exception("failed", error=type(error).__name__, where=telemetry.where(error))
    printed = capsys.readouterr().out
    assert SECRET not in printed
    assert "Traceback" not in printed
    line = json.loads(printed)
    assert line["error"] == "ValueError"
    assert line["where"].startswith("services/common/test_telemetry.py:")


def test_every_line_carries_the_request_id(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure("test")
    structlog.get_logger().info("before")
    chosen = telemetry.adopt_request_id(None)
    structlog.get_logger().info("within", request_id="another")
    before, within = lines(capsys)
    assert "request_id" not in before
    assert within["request_id"] == chosen == telemetry.request_id()


@pytest.mark.parametrize("form", [str, lambda u: str(u).upper(), lambda u: u.hex])
def test_a_callers_uuid_is_kept(form: Any) -> None:
    given_id = uuid4()
    assert telemetry.adopt_request_id(form(given_id)) == str(given_id)


@pytest.mark.parametrize(
    "header", [None, "", "1", "x" * 5000, "not-a-uuid", "'; drop table", f"{UUID(int=1)}\n{SECRET}"]
)
def test_anything_else_is_replaced_by_a_new_uuid(header: str | None) -> None:
    first, second = telemetry.adopt_request_id(header), telemetry.adopt_request_id(header)
    assert first != second
    assert str(UUID(first)) == first


def test_where_without_a_traceback() -> None:
    assert telemetry.where(ValueError(SECRET)) == "unknown"
