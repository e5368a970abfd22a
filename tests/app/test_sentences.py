"""The app knows the fixed sentences of fusion/wording.py and of the server's refusals in its second language."""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from fusion import wording
from services.common.errors import EngineDown, Forbidden

ROOT = Path(__file__).parents[2]
GERMAN = json.loads((ROOT / "frontend/src/strings/de.sentences.json").read_text("utf-8"))

REFUSALS = {"NoPictureEvidence", "Overloaded", "RateLimited", "SignInDown", "UnreadablePicture", "UnsupportedPicture"}
"""What a person can meet. The others are mistakes of a program; a failed sign-in is told in words of the app."""


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


def refusals() -> Iterator[str]:
    """Every fixed sentence that a refusal is made with, also by `partial`, and those of answers from 500 on."""
    for path in [*(ROOT / "services/common").glob("*.py"), *(ROOT / "services/orchestrator").glob("*.py")]:
        for call in [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]:
            named = {node.id for node in [call.func, *call.args[:1]] if isinstance(node, ast.Name)}
            first = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
            if named & REFUSALS or ("response" in named and isinstance(first, int) and first >= 500):
                yield from (a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str))


def test_every_sentence_of_the_rules_is_translated() -> None:
    constants = [getattr(wording, name) for name in dir(wording) if name.isupper()]
    told = {text for constant in constants for text in sentences(constant)}
    assert len(told) > 40
    assert told - GERMAN.keys() == set()


def test_every_fixed_sentence_of_a_refusal_is_translated() -> None:
    told = {*refusals(), EngineDown("unavailable").detail, Forbidden("assess").detail}
    assert len(told) >= 9
    assert "No model can judge the picture at the moment; try again shortly." in told
    assert told - GERMAN.keys() == set()
