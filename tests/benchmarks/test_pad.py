"""benchmarks.pad on people made up so that it is known what must come out."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks import pad_measure, pad_models, pad_page, pad_people
from benchmarks.pad_people import Person
from fusion import questionnaire
from models.classifier.evaluation import statistics
from models.classifier.serving.artifact import RELEASED, ClassifierArtifact

COLUMNS = (
    "file", "malignant", "group", "age", "sex", "site", "skin_cancer_history", "cancer_history", "fitspatrick",
    "itch", "grew", "changed", "bleed", "biopsed", "diameter_1",
)  # fmt: skip
ARTIFACT = ClassifierArtifact.load(RELEASED)


def record(**known: str) -> dict[str, str]:
    return dict.fromkeys(COLUMNS, "") | {"malignant": "1", "group": "g", "biopsed": "True"} | known


def write(data: Path, records: Sequence[dict[str, str]]) -> Path:
    folder = data / "pad_ufes_20"
    folder.mkdir(parents=True)
    with (folder / "pad_ufes_20.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(records)
    return data


def test_columns_become_answers_and_what_is_unknown_stays_unknown(tmp_path: Path) -> None:
    told = record(age="52.0", sex="male", skin_cancer_history="True", fitspatrick="3.0", itch="UNK", changed="UNK")
    first, second, third = pad_people.read(write(tmp_path, [told, record(fitspatrick="1.0"), record(malignant="0")]))
    expected = {"age": 52, "sex": "male", "prior_skin_cancer": "yes", "skin_type": "III"}
    assert first.answers == expected
    assert first.unanswered == tuple(
        name not in ("age", "sex", "skin_cancer_history", "fitspatrick") for name in pad_people.TOLD
    )
    assert second.answers == {"skin_type": "I"}
    assert (first.malignant, third.malignant) == (True, False)


def test_neither_malignant_nor_benign_is_left_out_and_leaks_are_not_read(tmp_path: Path) -> None:
    assert pad_people.read(write(tmp_path, [record(malignant=""), record()]))[0].malignant
    read = {name for one in pad_people.MAPPING for name in one.columns} | set(pad_people.TOLD)
    assert not read & {"biopsed", "diameter_1", "diameter_2", "dx", "dx_basis", "malignant"}


def test_every_question_that_is_asked_takes_what_the_mapping_gives() -> None:
    asked = [one for one in pad_people.MAPPING if one.offered]
    assert {"age", "sex", "prior_skin_cancer", "skin_type", "change", "bleeding", "itch"} <= {
        one.question for one in asked
    }
    for one in asked:
        for cell in ("True", "False", "UNK", "", "1.0", "5.0", "male", *pad_people.SITES):
            try:
                value = one.of(*[cell] * len(one.columns))
            except ValueError:
                continue  # a cell that this column never has
            if value is not None:
                questionnaire.load().parse({one.question: value})


@pytest.mark.parametrize(
    ("told", "value"), [(("True", "UNK"), "yes"), (("False", "UNK"), None), (("False", "False"), "no")]
)
def test_a_change_is_denied_only_where_both_columns_deny_it(told: tuple[str, str], value: str | None) -> None:
    assert pad_people._either(*told) == value  # noqa: SLF001


def made(n: int, seed: int = 0) -> tuple[list[Person], dict[str, np.ndarray]]:
    """Older people have more malignant lesions, pictures tell them apart well, missing answers tell nothing."""
    rng = np.random.default_rng(seed)
    people = []
    for i in range(n):
        malignant = bool(rng.random() < 0.6)
        answers = {"age": int(rng.integers(55, 85) if malignant else rng.integers(25, 75)), "sex": "male"}
        unanswered = tuple(rng.random(len(pad_people.TOLD)) < 0.3)
        people.append(
            Person(f"g{i // 2}", malignant, biopsied=True, answers=answers, unanswered=unanswered, picture=None)
        )
    z = np.array([2.0 * one.malignant for one in people]) + rng.normal(size=n) - 1
    p = 1 / (1 + np.exp(-z))
    return people, {"melanoma": p / 3, "malignant": p}


@pytest.fixture(scope="module")
def part() -> pad_measure.Part:
    people, found = made(240)
    return pad_measure.measure("headline", "made up", people, found, ARTIFACT, 0.025, splits=2)


def test_the_models_come_out_in_the_order_they_were_made(part: pad_measure.Part) -> None:
    auc = {one: figures["auc"]["value"] for one, figures in part.figures.items()}
    assert auc["image"] > auc["answers"] > auc["missing"]
    assert auc["answers"] > 0.65
    assert auc["missing"] < 0.65
    assert part.differences["missing"]["interval"][1] < 0


def test_recalibrated_probabilities_are_calibrated(part: pad_measure.Part) -> None:
    for one in ("image", "answers", "both"):
        assert part.p[one].mean() == pytest.approx(part.truth.mean(), abs=0.03)
        assert part.figures[one]["calibration_slope"]["value"] == pytest.approx(1, abs=0.35)


def test_a_model_without_information_is_at_one_half_and_not_below() -> None:
    """Pooled folds would push it far below: fewer positives to learn from, more to judge."""
    truth = np.repeat([1.0, 0.0], [40, 12])
    judged = pad_models.out_of_fold(np.zeros((52, 1)), truth, [f"g{i}" for i in range(52)], splits=3)
    assert pad_models.auc(judged, truth, np.ones((1, 52)))[0] == pytest.approx(0.5)


def test_of_one_number_the_auc_is_that_of_the_number() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(300) < 0.5).astype(float)
    x = truth + rng.normal(size=300)
    judged = pad_models.out_of_fold(x[:, None], truth, [f"g{i}" for i in range(300)], splits=8)
    told = pad_models.auc(judged, truth, np.ones((1, 300)))[0]
    assert told == pytest.approx(statistics.METRICS["auc"](truth, x), abs=0.01)


def test_the_figures_of_a_threshold_against_counting() -> None:
    truth, p = np.array([1, 1, 1, 0, 0, 0, 0, 0.0]), np.array([0.9, 0.6, 0.02, 0.7, 0.5, 0.2, 0.01, 0.02])
    assert pad_models.sensitivity_at(0.8)(truth, p) == pytest.approx(2 / 3)
    assert pad_models.sensitivity_at(1.0)(truth, p) == pytest.approx(1 / 3)
    weight = 0.03 / 0.97
    assert pad_models.net_benefit()(truth, p) == pytest.approx((2 - 3 * weight) / 8)
    assert pad_models.net_benefit(0.05)(truth, p) == pytest.approx(0.05 * 2 / 3 - 0.95 * 3 / 5 * weight)


def test_the_verdict_follows_the_figures(part: pad_measure.Part) -> None:
    def changed(low: float, high: float) -> pad_measure.Part:
        differences = {one: {"value": (low + high) / 2, "interval": (low, high)} for one in part.differences}
        return pad_measure.Part("headline", "", part.truth, part.groups, part.p, part.figures, differences)

    for low, high, says in ((0.01, 0.1, "beats"), (-0.1, -0.01, "is worse than"), (-0.1, 0.1, "does not beat")):
        assert says in pad_measure.verdict(changed(low, high), part)[0]


def test_the_page_stands_alone_and_the_file_says_the_same(part: pad_measure.Part, tmp_path: Path) -> None:
    told = pad_measure.verdict(part, part)
    pad_page.write(tmp_path, [part], told)
    html, found = (tmp_path / "report.html").read_text(), json.loads((tmp_path / "pad.json").read_text())
    assert "http" not in html.replace("http://www.w3.org", "")
    assert "<script" not in html
    assert told[0] in html
    assert html.count("<svg") == 4
    assert found["parts"]["headline"]["figures"]["image"]["auc"]["value"] > 0.8
    assert found["parts"]["headline"]["lesions"] == 240
    assert found["verdict"] == told
