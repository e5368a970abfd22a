"""What Melalog would tell 10,000 people drawn from the published prevalences.

python -m benchmarks.simulation [FOLDER]     writes report.html and simulation.json (default runs/simulation)
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import simulation_page, simulation_people
from benchmarks.simulation_people import Person, Pictures
from fusion import questionnaire, rules
from fusion.picture import ImageEvidence, Modality
from fusion.policy import LEVELS
from fusion.questionnaire import UNSURE, Questionnaire
from fusion.rules import Case, Decision
from services.common.settings import Settings

N, SEED = 10_000, 0
AVERAGE = "an average picture"
KINDS = ("benign", "melanoma", "other skin cancer")
MODALITIES: tuple[Modality, ...] = ("dermoscopy", "photograph")
TOLERANCE = 0.25
"""Judgement: how far, as a share of it, the mean predicted risk may be from the prior before the report says so."""


def run(n: int = N, seed: int = SEED) -> dict[str, Any]:
    """Everything the report shows."""
    rng = np.random.default_rng(seed)
    asked, pictures, prior = questionnaire.load(), simulation_people.pictures(), Settings().prior
    people = simulation_people.people(asked, n, rng)
    decided = _decide_all(asked, people, pictures, prior, rng)
    return {
        "people": n,
        "prior": prior,
        "questionnaire": asked.version,
        "tolerance": TOLERANCE,
        "levels": {name: _levels(found) for name, found in decided.items()},
        "calibration": _calibration(asked, people, pictures, prior, rng),
        "unsure": unsure(asked, people[: n // 5], pictures.average(), prior, rng),
        "risks": {name: _quantiles(found) for name, found in decided.items()},
        "melanoma": {name: [round(one.melanoma, 6) for one in found] for name, found in decided.items()},
    }


def _decide_all(
    asked: Questionnaire, people: Sequence[Person], pictures: Pictures, prior: float, rng: np.random.Generator
) -> dict[str, list[Decision]]:
    decided: dict[str, list[Decision]] = {}
    for modality in MODALITIES:
        for kind in (AVERAGE, *KINDS):
            seen = [pictures.average() if kind == AVERAGE else pictures.draw(kind, rng) for _ in people]
            decided[f"{modality}, {kind}"] = [
                decide(asked, one, picture, modality, prior) for one, picture in zip(people, seen, strict=True)
            ]
    return decided


def decide(
    asked: Questionnaire, person: Mapping[str, Any], seen: ImageEvidence, modality: Modality, prior: float
) -> Decision:
    """As served, by the rules alone."""
    return rules.decide(Case(asked.parse(person), modality, seen), asked, prior)


def _levels(found: Sequence[Decision]) -> dict[str, Any]:
    shares: dict[str, Any] = {level: sum(one.level == level for one in found) / len(found) for level in LEVELS}
    raised = sum(bool(one.raised_by) for one in found) / len(found)
    return {**shares, "raised_by_a_floor": raised}


def _quantiles(found: Sequence[Decision]) -> dict[str, float]:
    risks = np.array([one.melanoma for one in found])
    return {"mean": float(risks.mean()), **{f"p{q}": float(np.percentile(risks, q)) for q in (5, 50, 95)}}


def _calibration(
    asked: Questionnaire, people: Sequence[Person], pictures: Pictures, prior: float, rng: np.random.Generator
) -> dict[str, Any]:
    """Mean predicted risk: with a picture that says nothing, and with melanomas among the pictures at the prior."""
    seen = [pictures.draw("melanoma" if rng.random() < prior else "not melanoma", rng) for _ in people]
    given = {"answers and an average picture": [pictures.average()] * len(people), "answers and drawn pictures": seen}
    found: dict[str, Any] = {}
    for name, some in given.items():
        p = np.array([decide(asked, a, b, "dermoscopy", prior).melanoma for a, b in zip(people, some, strict=True)])
        drawn = rng.choice(p, (1000, len(p))).mean(1)
        interval = [float(edge) for edge in np.percentile(drawn, [2.5, 97.5])]
        found[name] = {"value": float(p.mean()), "interval": interval, "ratio": float(p.mean() / prior)}
    return found


def unsure(
    asked: Questionnaire, people: Sequence[Person], seen: ImageEvidence, prior: float, rng: np.random.Generator
) -> dict[str, Any]:
    """`unsure` in place of nothing must change nothing; and what withholding one answer does to the level."""
    differs, moved = 0, {"up": 0, "down": 0, "same": 0}
    for person in people:
        kept = {name: value for name, value in person.items() if rng.random() < 0.5}
        said = {q.id: UNSURE for q in asked.questions if UNSURE in q.choices} | kept
        silent, spoken = (decide(asked, some, seen, "dermoscopy", prior) for some in (kept, said))
        differs += (silent.level, silent.melanoma, silent.interval) != (spoken.level, spoken.melanoma, spoken.interval)
        name = str(rng.choice(list(person)))
        full = LEVELS.index(decide(asked, person, seen, "dermoscopy", prior).level)
        less = LEVELS.index(
            decide(asked, {k: v for k, v in person.items() if k != name}, seen, "dermoscopy", prior).level
        )
        moved["up" if less > full else "down" if less < full else "same"] += 1
    return {"people": len(people), "differs_from_missing": differs, "one_answer_withheld": moved}


def main() -> None:
    """Simulate, print and write the report."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/simulation")
    found = run()
    told = simulation_page.write(out, found)
    for name, shares in found["levels"].items():
        print(f"{name:32} " + "  ".join(f"{level} {share:6.1%}" for level, share in shares.items()))
    for name, one in found["calibration"].items():
        print(f"mean risk, {name}: {one['value']:.2%}, prior {found['prior']:.2%}")
    print("\n".join(told) + f"\nreport: {out / 'report.html'}")


if __name__ == "__main__":
    main()
