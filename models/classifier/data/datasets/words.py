"""What people call the diagnoses. `unknown` and the like have no entry: a label has to be one."""

from models.classifier.data.datasets.records import Record
from models.classifier.data.labels import CLASSES
from models.classifier.data.table import COARSE

_WORDS = {
    "akiec": "actinic keratosis, actinic keratoses, ak, scc, squamous cell carcinoma, bowen disease, bowens disease",
    "bcc": "basal cell carcinoma",
    "bkl": "benign keratosis, pigmented benign keratosis, seborrheic keratosis, sek, solar lentigo, lentigo nos, "
    "lichenoid keratosis, lichen planus like keratosis",
    "df": "dermatofibroma",
    "mel": "melanoma",
    "nv": "nevus, naevus, nevi, nev, melanocytic nevus, melanocytic nevi",
    "vasc": "vascular lesion, vascular lesions, hemangioma, angioma",
    "not_melanoma": "non melanoma, notmelanoma, nonmelanoma",
}
NAMES = {name: name for name in (*CLASSES, *COARSE)} | {
    word: dx for dx, words in _WORDS.items() for word in words.split(", ")
}
"""Lower-case name, words parted by one blank, to one of CLASSES or a key of COARSE."""
NAMES["not melanoma"] = "not_melanoma"


def plain(told: str) -> str:
    """Lower case, words parted by one blank."""
    return " ".join(told.lower().replace("_", " ").replace("-", " ").replace("'", "").split())


def label(told: str, also: dict[str, str] | None = None) -> str | None:
    """The label that a name means; `also` (plain name to label) goes first. None for an unknown name."""
    return (also or {}).get(plain(told)) or NAMES.get(plain(told))


def of(record: Record, column: str, also: dict[str, str] | None = None) -> str:
    """The label in a cell. Raises ValueError naming the row."""
    found = label(record.told(column), also)
    if found is None:
        known = ", ".join((*CLASSES, *COARSE))
        raise record.error(f"{column} has the unknown label {record.told(column)!r}; known are {known} and their names")
    return found
