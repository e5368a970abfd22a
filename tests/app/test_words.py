"""The app has a word in each language for every value of the contract, and never gives an all-clear. Needs no Node."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from fusion import questionnaire
from fusion.wording import RAISED_BY
from services import contracts
from services.contracts import Assessment, Contribution, PictureFinding

ROOT = Path(__file__).parents[2]
SRC = ROOT / "frontend/src"
STRINGS = {path.stem: json.loads(path.read_text("utf-8")) for path in SRC.glob("strings/??.json")}
SCRIPTS = {
    path.relative_to(SRC).as_posix(): path.read_text("utf-8")
    for path in sorted(SRC.rglob("*.ts*"))
    if "client" not in path.relative_to(SRC).parts
}
LEVELS = set(get_args(contracts.Level))


def keys(language: str, path: str) -> set[str]:
    """Keys of an object of strings, such as words.quality."""
    part: Any = STRINGS[language]
    for name in path.split("."):
        part = part[name]
    return set(part)


def texts(value: Any) -> list[str]:
    """Every string in a nest of objects and lists."""
    if isinstance(value, str):
        return [value]
    return [text for part in (value.values() if isinstance(value, dict) else value) for text in texts(part)]


def test_both_languages_are_read() -> None:
    assert STRINGS.keys() >= {"en", "de"}
    assert len(SCRIPTS) > 50


@pytest.mark.parametrize("language", STRINGS)
@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("words.statuses", set(get_args(contracts.Status)) - {"ok"}),
        ("words.missing", set(get_args(get_args(Assessment.model_fields["degraded"].annotation)[0]))),
        ("words.contributions", set(get_args(Contribution.model_fields["id"].annotation))),
        ("words.quality", set(get_args(PictureFinding.model_fields["quality"].annotation))),
        ("words.problems", set(get_args(get_args(PictureFinding.model_fields["problems"].annotation)[0]))),
        ("words.taken", set(get_args(contracts.Modality))),
        ("words.classes", {"akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"}),
        ("words.raised", set(RAISED_BY)),
        ("result.levels", LEVELS),
    ],
)
def test_every_value_of_the_contract_has_a_plain_word(language: str, path: str, values: set[str]) -> None:
    assert values
    assert values <= keys(language, path)


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_every_level_has_a_shape_and_a_colour(level: str) -> None:
    assert f'{{level === "{level}" ? <' in SCRIPTS["result/Level.tsx"]
    assert len(re.findall(rf"\b{level}: \"#", SCRIPTS["theme/colours.ts"])) == 2  # light and dark


@pytest.mark.parametrize("language", STRINGS)
def test_every_question_can_be_asked(language: str) -> None:
    drawn = set(re.findall(r'type === "(\w+)"', SCRIPTS["api/questionnaire.ts"]))
    assert drawn == set(get_args(questionnaire.QuestionnaireItem.model_fields["type"].annotation))
    questions = questionnaire.load().questions
    bare = {choice for question in questions for choice in question.choices if choice not in question.labels}
    assert bare <= keys(language, "questions.choices")
    assert {question.section for question in questions} <= keys(language, "questions.sections")


@pytest.mark.parametrize(
    "word",
    [
        "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function",
        "dangerouslySetInnerHTML",
    ],
)  # fmt: skip
def test_data_never_becomes_markup(word: str) -> None:
    assert [name for name, script in SCRIPTS.items() if word in script] == []


def test_nothing_comes_from_another_host() -> None:
    """The server's own address on a phone under development is the only one in the sources."""
    code = {name: re.sub(r"^\s*(//|\*|/\*).*$", "", script, flags=re.MULTILINE) for name, script in SCRIPTS.items()}
    hosts = {host for script in code.values() for host in re.findall(r"https?://([\w.-]+\w)", script)}
    assert hosts <= {"127.0.0.1", "www.w3.org"}


@pytest.mark.parametrize("language", STRINGS)
def test_it_never_gives_the_all_clear(language: str) -> None:
    shown = "\n".join(text for text in texts(STRINGS[language]) if text not in STRINGS[language]["start"]["isNot"])
    words = (
        r"all[- ]clear|harmless|benign|nothing to worry|no risk|cancer[- ]free|no need to"
        r"|entwarnung|harmlos|gutartig|kein risiko|unbedenklich|keine sorge"
    )
    assert not re.search(words, shown, re.IGNORECASE)


def test_what_it_is_not_is_said_before_anything_is_asked() -> None:
    start = SCRIPTS["screens/Start.tsx"]
    assert 0 < start.index("t.start.isNot}") < start.index("<Consent />") < start.index("t.start.begin")
    assert any("medical device" in text for text in STRINGS["en"]["start"]["isNot"])
    assert any("Medizinprodukt" in text for text in STRINGS["de"]["start"]["isNot"])
