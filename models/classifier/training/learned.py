"""What a network has learned from, kept with its weights: it must never be calibrated on it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from models.classifier.data.table import Row
from models.classifier.training.config import TrainConfig, expand

GROUPS, PLAN = "learned_groups", "plan"
DIGITS = 12
"""Hexadecimal, of a group's hash: two of a hundred thousand groups are alike once in fifty thousand trainings."""


@dataclass(frozen=True)
class Learned:
    """groups: `mark` of every lesion or patient; plan: the configuration of the run, as JSON."""

    groups: frozenset[str]
    plan: dict[str, Any]

    def of(self, rows: Sequence[Row]) -> set[str]:
        """Those groups of the rows that were learned."""
        return {row.group for row in rows if mark(row.group) in self.groups}


def mark(group: str) -> str:
    """A group's hash: the file of weights names no patient."""
    return hashlib.sha256(group.encode()).hexdigest()[:DIGITS]


def record(config: TrainConfig, rows: Sequence[Row]) -> dict[str, str]:
    """Metadata for the file of weights, with what the weights it began with and its teacher have learned."""
    groups = {mark(row.group) for row in rows}.union(*_before(config))
    return {GROUPS: " ".join(sorted(groups)), PLAN: config.model_dump_json()}


def read(metadata: Mapping[str, str]) -> Learned | None:
    """None for a file without the record: one of another program, or of a training before it was kept."""
    if GROUPS not in metadata or PLAN not in metadata:
        return None
    return Learned(frozenset(metadata[GROUPS].split()), json.loads(metadata[PLAN]))


def _before(config: TrainConfig) -> Iterator[frozenset[str]]:
    named = [config.initial, config.distillation.teacher if config.distillation else None]
    for name in named:
        path = expand(name) if name and name.endswith(".safetensors") else Path()
        if path.is_file():
            with safe_open(path, "pt") as file:
                found = read(file.metadata() or {})
            if found:
                yield found.groups
