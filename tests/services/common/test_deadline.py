"""One budget of time, handed down as what is left of it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.deadline import HEADER, Deadline


def test_counts_down_and_never_below_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    deadline = Deadline.after(2)
    assert deadline.left() == 2
    now = 101.5
    assert deadline.left() == 0.5
    assert deadline.less(0.25).left() == 0.25
    now = 103
    assert deadline.left() == 0
    assert deadline.header() == {HEADER: "0"}


def test_hands_down_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    header = Deadline.after(7.2345).header()
    assert header == {"X-Melalog-Deadline-Ms": "7234"}
    assert Deadline.from_headers(header, 10).left() == pytest.approx(7.234)


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("2500", 2.5),
        ("0", 0),
        ("-5", 0),
        ("60000", 10),
        ("9" * 400, 10),
        ("9" * 6000, 10),
        ("soon", 10),
        ("", 10),
        ("2.5", 10),
        ("nan", 10),
        ("inf", 10),
    ],
)
def test_a_caller_can_ask_for_less_but_never_for_more(value: str, left: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    assert Deadline.from_headers({HEADER: value}, 10).left() == pytest.approx(left)


def test_no_header_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    assert Deadline.from_headers({}, 10).left() == 10


@given(st.text(), st.floats(0.1, 100))
def test_any_header_leaves_between_nothing_and_the_default(value: str, default: float) -> None:
    assert 0 <= Deadline.from_headers({HEADER: value}, default).left() <= default
