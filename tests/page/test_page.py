"""The page without a browser: it stays self-contained and knows every value of the contract."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from fusion import questionnaire
from fusion.wording import RAISED_BY
from services import contracts
from services.contracts import Assessment, Contribution, PictureFinding

PAGE = Path(__file__).parents[2] / "services" / "orchestrator" / "page"
HTML, CSS, JS, WORDS = (
    (PAGE / name).read_text(encoding="utf-8") for name in ("index.html", "page.css", "page.js", "words.js")
)
SOURCES = {"index.html": HTML, "page.css": CSS, "page.js": JS, "words.js": WORDS}
STATUSES = set(get_args(contracts.Status)) - {"ok"}
NO_END_TAG = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """What index.html refers to, declares and (should not) hold inline."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(HTML)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in NO_END_TAG:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"script", "style"}:
            self.scripts.append(data)

    def values(self, *names: str) -> list[str]:
        return [value for _, name, value in self.attributes if name in names]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page()


def keys(name: str) -> set[str]:
    """Keys of an object literal in words.js or page.js."""
    found = re.search(rf"const {name} = {{(.*?)\n?}};", WORDS + JS, re.DOTALL)
    assert found, f"no object {name}"
    bare = re.sub(r"\"(?:[^\"\\]|\\.)*\"", "", found[1])
    return set(re.findall(r"(\w+):", bare))


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_comes_from_another_host(name: str) -> None:
    assert not re.search(r"(https?:)?//[\w-]+\.\w", re.sub(r"^\s*// .*$", "", SOURCES[name], flags=re.MULTILINE))
    assert not re.search(r"@import|url\(", SOURCES[name])


def test_nothing_is_inline(page: Page) -> None:
    """The Content-Security-Policy would block it, silently for whoever does not open the console."""
    assert page.scripts == []
    assert page.open == []
    forbidden = [(tag, name) for tag, name, value in page.attributes if name == "style" or name.startswith("on")]
    assert forbidden == []
    assert not [value for value in page.values("href", "src", "action") if value.startswith("javascript:")]


@pytest.mark.parametrize(
    "word", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
)
def test_data_never_becomes_markup(word: str) -> None:
    assert word not in JS + WORDS


def test_every_file_it_asks_for_exists(page: Page) -> None:
    assets = [value for tag, name, value in page.attributes if (tag, name) in {("link", "href"), ("script", "src")}]
    asked = [value for value in assets if value != "data:,"]
    assert sorted(asked) == ["page/page.css", "page/page.js"]
    for value in [*asked, *(f"page/{name}" for name in re.findall(r'from "\./([\w.]+)"', JS))]:
        assert (PAGE.parent / value).is_file(), value


def test_what_the_script_imports_is_there() -> None:
    for names in re.findall(r"import {([^}]*)} from", JS):
        for name in names.replace("\n", " ").split(","):
            if name.strip():
                assert re.search(rf"export (const|function) {name.strip()}\b", WORDS), name


def test_every_id_is_there_once_and_every_reference_has_its_target(page: Page) -> None:
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    slots = page.values("data-slot")
    assert len(slots) == len(set(slots))
    wanted = set(re.findall(r'\$\("#([\w-]+)"\)', JS)) | set(page.values("for"))
    for value in page.values("aria-describedby", "aria-labelledby"):
        wanted |= set(value.split())
    wanted |= {value[1:] for value in page.values("href") if value.startswith("#")}
    assert wanted <= set(ids)
    used = set(re.findall(r'(?:slot|put|rows)\("([\w-]+)"', JS)) | {f"level-{level}" for level in keys("LEVELS")}
    assert used == set(slots)


def test_every_level_has_word_shape_and_colour(page: Page) -> None:
    levels = set(get_args(contracts.Level))
    assert keys("LEVELS") == levels
    for level in levels:
        assert f"shape-{level}" in page.values("id")
        assert f'[data-level="{level}"]' in CSS
    assert len(set(re.findall(r'<symbol id="shape-\w+"[^>]*>(.*?)</symbol>', HTML))) == len(levels)


def test_every_question_can_be_asked() -> None:
    types = get_args(questionnaire.Question.model_fields["type"].annotation)
    for kind in types:
        assert re.search(rf"^  {kind}: {{\n    draw\(", JS, re.MULTILINE), kind
    asked = questionnaire.load().questions
    assert {choice for question in asked for choice in question.choices if choice not in question.labels} <= keys(
        "CHOICES"
    )
    assert {question.section for question in asked} == keys("SECTIONS")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("STATUSES", STATUSES),
        ("MISSING", set(get_args(get_args(Assessment.model_fields["degraded"].annotation)[0]))),
        ("CONTRIBUTIONS", set(get_args(Contribution.model_fields["id"].annotation))),
        ("QUALITY", set(get_args(PictureFinding.model_fields["quality"].annotation))),
        ("PROBLEMS", set(get_args(get_args(PictureFinding.model_fields["problems"].annotation)[0]))),
        ("TAKEN", set(get_args(contracts.Modality))),
        ("CLASSES", {"akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"}),
        ("RAISED", set(RAISED_BY)),
    ],
)
def test_every_value_of_the_contract_has_a_plain_word(name: str, values: set[str]) -> None:
    assert values
    assert values <= keys(name)


def test_the_modalities_offered_are_those_the_api_takes() -> None:
    offered = set(re.findall(r'<option value="(\w+)">', HTML))
    assert offered == {"auto", *get_args(contracts.Modality)}


def test_it_never_gives_the_all_clear() -> None:
    shown = re.sub(r"^// .*$", "", HTML + WORDS + JS, flags=re.MULTILINE)
    assert not re.search(
        r"all clear|harmless|benign|nothing to worry|no risk|cancer[- ]free|no need to", shown, re.IGNORECASE
    )


def test_what_it_is_not_is_said_before_anything_is_asked() -> None:
    assert 0 < HTML.index("not a medical device.</strong>") < HTML.index("<form")
