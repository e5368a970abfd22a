"""The bibliography: every `source` resolves, nothing in it is unused, and the page holds what the API serves."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from fusion import evidence, questionnaire
from fusion.evidence import EvidenceIndex

PAGE = (Path(__file__).parents[2] / "docs" / "evidence.md").read_text("utf-8")
INDEX = evidence.load()
IDS = [entry.id for entry in INDEX.bibliography]


def test_every_source_of_a_question_is_listed_and_no_other() -> None:
    listed = [row.source for row in INDEX.sources]
    assert len(listed) == len(set(listed))
    assert set(listed) == {question.source for question in questionnaire.load().questions}


def test_every_entry_of_a_source_is_in_the_bibliography_once() -> None:
    assert len(IDS) == len(set(IDS))
    assert {entry for row in INDEX.sources for entry in row.entries} <= set(IDS)


def test_every_question_is_among_the_uses_of_its_entries() -> None:
    entries = {row.source: row.entries for row in INDEX.sources}
    uses = {entry.id: entry.used_for for entry in INDEX.bibliography}
    for question in questionnaire.load().questions:
        assert all(question.id in uses[entry] for entry in entries[question.source]), question.id


def test_every_entry_is_cited_on_the_page_before_the_generated_sections() -> None:
    cited = set(re.findall(r"\(#([^)]+)\)", PAGE.partition("## 9. ")[0]))
    in_words = {"aldridge-2011"}
    assert cited | in_words | {entry for row in INDEX.sources for entry in row.entries} == set(IDS)


def test_the_page_ends_with_the_generated_sections() -> None:
    assert PAGE.endswith(evidence.to_markdown()), "replace sections 9 and 10 with `python -m fusion.evidence`"


@pytest.mark.parametrize("doi", [entry.doi for entry in INDEX.bibliography if entry.doi])
def test_a_doi_is_one_without_a_prefix(doi: str) -> None:
    assert re.fullmatch(r"10\.\d{4,}/\S+[^.\s]", doi)


@pytest.mark.parametrize("wrong", [{"verified": "surely"}, {"used_for": []}, {"colour": "red"}])
def test_an_entry_that_does_not_fit_is_refused(wrong: dict[str, object]) -> None:
    raw = INDEX.model_dump(mode="json")
    raw["bibliography"][0] |= wrong
    with pytest.raises(ValidationError):
        EvidenceIndex.model_validate(raw)
