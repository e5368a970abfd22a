"""Any folder of class folders, with or without split folders around them: FOLDER/train/melanoma/a.jpg."""

from pathlib import Path

from models.classifier.data.datasets import files, words
from models.classifier.data.datasets.dataset import DataSet, lacking
from models.classifier.data.labels import CLASSES
from models.classifier.data.table import COARSE, Row

LAYOUT = (
    f"folders named by class ({', '.join((*CLASSES, *COARSE))} or their names, such as melanoma), "
    "in folders named by split (train, validation, test) or in none, with pictures in them"
)
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


def rows(folder: Path, source: str = "", layout: str = LAYOUT) -> list[Row]:
    """Every picture in a class folder, grouped by content. Raises ValueError for a folder of no known class."""
    if not folder.is_dir():
        raise lacking(folder, "class folders", layout)
    base = _base(folder)
    parts = {child: SPLITS[child.name.lower()] for child in _folders(base) if child.name.lower() in SPLITS}
    found = [
        Row(path, _label(child, layout), files.picture_group(path), split, source or folder.resolve().name)
        for part, split in (parts or {base: ""}).items()
        for child in _folders(part)
        for path in files.below(child)
    ]
    if not found:
        raise lacking(folder, "pictures in class folders", layout)
    return found


def _base(folder: Path) -> Path:
    """Archives often hold one folder that holds everything."""
    children = _folders(folder)
    alone = len(children) == 1 and children[0].name.lower() not in SPLITS and words.label(children[0].name) is None
    return _base(children[0]) if alone else folder


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _label(folder: Path, layout: str) -> str:
    found = words.label(folder.name)
    if found is None:
        raise ValueError(f"{folder} is named after no known class. Expected: {layout}")
    return found


DATASET = DataSet(
    name="folder",
    title="Any class folders",
    licence="that of your pictures",
    layout=LAYOUT,
    rows=rows,
)
