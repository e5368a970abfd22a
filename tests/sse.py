"""Reading server-sent events as the specification says, for tests of what is streamed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2


@dataclass(frozen=True)
class Event:
    """One event, or a comment (event "" and the comment as data)."""

    event: str
    data: Any


def events(answer: httpx2.Response) -> Iterator[Event]:
    """Events as they come."""
    name, data = "", ""
    for line in answer.iter_lines():
        if line.startswith(":"):
            yield Event("", line[1:].strip())
        elif line:
            field, _, value = line.partition(": ")
            name, data = (value, data) if field == "event" else (name, data + value)
        elif name:
            yield Event(name, json.loads(data))
            name, data = "", ""
