"""Reading the sets' own csv files: every complaint names the file and the line."""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_UNKNOWN = {"", "unknown", "unk", "na", "n/a", "nan", "none", "null"}


@dataclass(frozen=True)
class Record:
    """One line of a csv file."""

    table: Path
    line: int
    cells: Mapping[str, str]

    def told(self, column: str) -> str:
        """The cell as it stands, without blanks around it; empty where there is no such column."""
        return self.cells.get(column, "").strip()

    def known(self, column: str) -> str:
        """The cell, empty where it only says that nothing is known."""
        told = self.told(column)
        return "" if told.lower() in _UNKNOWN else told

    def age(self, column: str) -> float | None:
        """Years, or None where not known."""
        told = self.known(column)
        if not told:
            return None
        try:
            years = float(told)
        except ValueError:
            years = math.nan
        if not 0 <= years <= 130:  # noqa: PLR2004  (nobody was older)
            raise self.error(f"{column} is {told!r}, no age in years")
        return years

    def flag(self, column: str) -> bool:
        """Raise ValueError unless the cell says 0 or 1."""
        told = self.told(column)
        if told not in ("0", "1", "0.0", "1.0"):
            raise self.error(f"{column} is {told!r}, neither 0 nor 1")
        return told.startswith("1")

    def error(self, what: str) -> ValueError:
        """Says where the trouble is."""
        return ValueError(f"{self.table}, line {self.line}: {what}")


def read(table: Path, *columns: str) -> Iterator[Record]:
    """The lines of a csv file. Raises ValueError naming the columns that are missing."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                has = ", ".join(reader.fieldnames or ()) or "nothing"
                raise ValueError(f"{table} has no column {', '.join(missing)}; it has {has}")
            for cells in reader:
                yield Record(table, reader.line_num, {k: v or "" for k, v in cells.items() if isinstance(k, str)})
    except UnicodeDecodeError:
        raise ValueError(f"{table} is not UTF-8 text") from None
    except csv.Error as error:
        raise ValueError(f"{table} is no csv file: {error}") from error
