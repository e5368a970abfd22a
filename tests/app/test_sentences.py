"""The app knows every fixed sentence of fusion/wording.py in its second language."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from fusion import wording

GERMAN = json.loads((Path(__file__).parents[2] / "frontend/src/strings/de.sentences.json").read_text("utf-8"))


def sentences(value: object) -> Iterator[str]:
    """Every text in a nest of mappings and tuples."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from sentences(part)
    elif isinstance(value, tuple):
        for part in value:
            yield from sentences(part)


def test_every_sentence_of_the_rules_is_translated() -> None:
    constants = [getattr(wording, name) for name in dir(wording) if name.isupper()]
    told = {text for constant in constants for text in sentences(constant)}
    assert len(told) > 40
    assert told - GERMAN.keys() == set()
