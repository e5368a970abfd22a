"""benchmarks.simulation: the people drawn are those that the questionnaire's evidence describes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import simulation, simulation_page, simulation_people
from fusion import questionnaire
from fusion.policy import LEVELS


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return simulation.run(n=600)


def test_people_are_as_frequent_as_published_and_valid() -> None:
    asked = questionnaire.load()
    people = simulation_people.people(asked, 4000, np.random.default_rng(1))
    for one in people[:50]:
        asked.parse(one)
    ages = np.array([one["age"] for one in people])
    assert 20 <= ages.min() <= ages.max() < 95
    assert ages.mean() == pytest.approx(49.5, abs=1.5)
    for question, answer in (
        ("fair_skin", "yes"),
        ("prior_melanoma", "yes"),
        ("skin_type", "II"),
        ("hair_colour", "red"),
    ):
        known = next(one for one in asked.questions if one.id == question).evidence
        assert known is not None
        share = np.mean([one[question] == answer for one in people])
        assert share == pytest.approx(known.prevalences[answer], abs=0.03)


def test_unsure_is_nothing_and_a_prior_that_is_not_kept_is_said(found: dict[str, Any]) -> None:
    assert found["unsure"]["differs_from_missing"] == 0
    for name, one in found["calibration"].items():
        assert one["ratio"] == pytest.approx(one["value"] / found["prior"])
        assert 0.7 < one["ratio"] < 2  # 600 people; the report's own tolerance is for 10,000
        for ratio, said in ((1.0, False), (1.6, True), (0.5, True)):
            changed = {**found, "calibration": {name: {**one, "ratio": ratio}}}
            assert ("more than 25% off" in simulation_page.verdict(changed)[0]) is said


def test_questions_that_ask_the_same_are_answered_alike() -> None:
    for one in simulation_people.people(questionnaire.load(), 300, np.random.default_rng(2)):
        assert (one["fair_skin"] == "yes") == (one["skin_type"] in ("I", "II"))
        assert (one["many_moles"] == "yes") == (one["trunk_moles"] == "more_than_7")


def test_levels_are_shares_and_melanomas_are_rated_higher(found: dict[str, Any]) -> None:
    for shares in found["levels"].values():
        assert sum(shares[level] for level in LEVELS) == pytest.approx(1)
    high = {name: shares["high"] for name, shares in found["levels"].items()}
    assert high["dermoscopy, melanoma"] > high["dermoscopy, benign"] + 0.3
    assert found["levels"]["dermoscopy, benign"]["low"] > 0


def test_the_same_seed_gives_the_same_people() -> None:
    assert simulation.run(n=40) == simulation.run(n=40)


def test_the_page_stands_alone_and_says_what_was_found(found: dict[str, Any], tmp_path: Path) -> None:
    told = simulation_page.write(tmp_path, found)
    html = (tmp_path / "report.html").read_text()
    assert "http" not in html.replace("http://www.w3.org", "")
    assert told[0] in html
    written = json.loads((tmp_path / "simulation.json").read_text())
    assert written["verdict"] == told
    assert written["levels"] == found["levels"]


def test_a_level_that_is_never_reached_is_said(found: dict[str, Any]) -> None:
    never = {**found, "levels": {name: {**one, "low": 0.0} for name, one in found["levels"].items()}}
    assert any("low is never reached" in one for one in simulation_page.verdict(never))
