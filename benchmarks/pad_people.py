"""PAD-UFES-20's patients as Melalog would have met them: their answers by question id, and what was not answered.

Left out because they give the label away: `biopsed`, `dx_basis`, and the diameters with the question they would answer.
Left out because there is no such question: smoking, drinking, pesticides, ancestry, water, sewage, and `cancer_history`
(any cancer, not of the skin).
"""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fusion import questionnaire

Value = str | int | None
YES_NO: dict[str, Value] = {"True": "yes", "False": "no"}
SKIN_TYPES = ("I", "II", "III", "IV", "V", "VI")
SITES: dict[str, Value] = {
    "FACE": "face", "NOSE": "face", "LIP": "face", "SCALP": "scalp_neck", "EAR": "scalp_neck", "NECK": "scalp_neck",
    "CHEST": "chest_belly", "ABDOMEN": "chest_belly", "BACK": "back", "ARM": "arm", "FOREARM": "arm", "HAND": "hand",
    "THIGH": "leg", "FOOT": "foot",
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """PAD columns and the question they answer; `of` their cells gives None where nothing is known."""

    columns: tuple[str, ...]
    question: str
    of: Callable[..., Value]
    remark: str = ""

    @property
    def offered(self) -> bool:
        """Whether this version of the questionnaire asks it."""
        return self.question in {one.id for one in questionnaire.load().questions}


def _yes_no(told: str) -> Value:
    return YES_NO.get(told)


def _either(*told: str) -> Value:
    """Yes where one of them is; no where all of them are known not to be."""
    known = [YES_NO.get(one) for one in told]
    return "yes" if "yes" in known else "no" if all(known) else None


def _age(told: str) -> Value:
    return int(float(told)) if told else None


def _sex(told: str) -> Value:
    return told if told in ("female", "male") else None


def _skin_type(told: str) -> Value:
    return SKIN_TYPES[int(float(told)) - 1] if told else None


MAPPING = (
    Asked(("age",), "age", _age),
    Asked(("sex",), "sex", _sex),
    Asked(("skin_cancer_history",), "prior_skin_cancer", _yes_no, "PAD may count the family's too"),
    Asked(("fitspatrick",), "skin_type", _skin_type),
    Asked(("grew", "changed"), "change", _either, "either; PAD says nothing of weeks or months"),
    Asked(("bleed",), "bleeding", _yes_no),
    Asked(("itch",), "itch", _yes_no),
    Asked(("site",), "body_site", SITES.get, "nose and lip are face, ear is scalp or neck"),
)
"""Columns, question, and what is not quite the same."""
TOLD = (
    "age",
    "sex",
    "skin_cancer_history",
    "cancer_history",
    "fitspatrick",
    "itch",
    "grew",
    "changed",
    "bleed",
    "site",
)
"""Columns that a patient could have filled in: what is missing among them gives the label away."""
MISSING = ("", "UNK")


@dataclass(frozen=True)
class Person:
    """One lesion of one patient. `unanswered` [columns] says which of TOLD is missing."""

    group: str
    malignant: bool
    biopsied: bool
    answers: Mapping[str, str | int]
    unanswered: tuple[bool, ...]
    picture: Path | None


def read(data: Path) -> list[Person]:
    """Rows whose label decides the endpoint. Raises FileNotFoundError, InvalidAnswers when a value does not fit."""
    folder = data / "pad_ufes_20"
    table = folder / "pad_ufes_20.csv"
    if not table.is_file():
        raise FileNotFoundError(f"no table {table}: point MELALOG_DATA_DIR at the folder that holds pad_ufes_20/")
    with table.open(newline="") as file:
        return [_person(folder, record) for record in csv.DictReader(file) if record["malignant"]]


def _person(folder: Path, record: dict[str, str]) -> Person:
    given = [(one.question, one.of(*(record[name] for name in one.columns))) for one in MAPPING if one.offered]
    answers = {question: value for question, value in given if value is not None}
    questionnaire.load().parse(answers)
    return Person(
        group=record["group"],
        malignant=record["malignant"] == "1",
        biopsied=record["biopsed"] == "True",
        answers=answers,
        unanswered=tuple(record[name] in MISSING for name in TOLD),
        picture=folder / record["file"] if record["file"] else None,
    )
