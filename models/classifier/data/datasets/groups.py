"""Groups that turn out to belong together."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from models.classifier.data.table import Row


def joined(rows: Sequence[Row], pairs: Iterable[tuple[int, int]]) -> list[Row]:
    """The rows with the groups of each pair of row numbers made one, named by the first of their names in order."""
    parent = {row.group: row.group for row in rows}

    def top(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for a, b in pairs:
        first, second = sorted((top(rows[a].group), top(rows[b].group)))
        parent[second] = first
    return [replace(row, group=top(row.group)) for row in rows]
