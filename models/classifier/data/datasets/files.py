"""Finding tables and pictures in a folder, and what to group a picture by when nothing else is known."""

import hashlib
from pathlib import Path

from models.classifier.data import table
from models.classifier.data.datasets.dataset import lacking
from models.classifier.data.table import Row

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def find(folder: Path, layout: str, *patterns: str) -> Path:
    """The file that matches the first pattern that any file matches. Raises LayoutError."""
    for pattern in patterns:
        found = sorted(folder.rglob(pattern), key=lambda path: (len(path.parts), path))
        if found:
            return found[0]
    raise lacking(folder, " or ".join(patterns), layout)


class ImageFiles:
    """Every picture below a folder, by its name without the suffix."""

    def __init__(self, folder: Path, layout: str) -> None:
        """Raises LayoutError where there is no picture at all."""
        self.folder = folder
        self._found = {path.stem: path for path in reversed(below(folder))}
        if not self._found:
            raise lacking(folder, "pictures", layout)

    def path(self, name: str) -> Path:
        """The picture of this name, with or without suffix; where it should be, if it is not there."""
        return self._found.get(name) or self._found.get(Path(name).stem) or self.folder / f"{name}.jpg"


def below(folder: Path) -> list[Path]:
    """Picture files, in order, hidden ones left out."""
    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def picture_group(path: Path) -> str:
    """A group by the file's content, so that copies of a picture stay together; by its name where it is missing."""
    content = path.read_bytes() if path.is_file() else path.name.encode()
    return f"picture-{hashlib.sha256(content).hexdigest()[:16]}"


def prepared(folder: Path, name: str) -> list[Row] | None:
    """Rows of the form that MELALOG_DATA_DIR holds, FOLDER/NAME.csv with a `file` column; None where it is not that."""
    if not (folder / f"{name}.csv").is_file() or folder.resolve().name != name:
        return None
    return table.read(folder.resolve().parent, name)
