"""What every data set says of itself, and the message when its folder is not as it should be."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.classifier.data.table import Row


class LayoutError(FileNotFoundError):
    """The folder does not hold the data set in a layout that is known."""


@dataclass(frozen=True)
class DataSet:
    """One public data set, or one way in which people keep their own."""

    name: str
    title: str
    licence: str
    layout: str
    """What the folder must hold; told when something of it is not there."""
    rows: Callable[[Path], list[Row]]
    """Every labelled picture. Raises LayoutError, or ValueError naming the file and line of a wrong row."""
    page: str = ""
    """Where it is described and, unless on Kaggle, downloaded."""
    kaggle: str = ""
    """`datasets/OWNER/NAME` or `competitions/NAME`; empty: not to be had there."""


def lacking(folder: Path, what: str, layout: str) -> LayoutError:
    """The error that says what was looked for and what the folder should be like."""
    if not folder.exists():
        return LayoutError(f"no folder {folder}. Expected there: {layout}")
    return LayoutError(f"{folder} holds no {what}. Expected there: {layout}")
