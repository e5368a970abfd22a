"""What is wrong with a table before anything is learned from it: leaks first, then what cannot be read or be true."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from models.classifier.data.labels import CLASSES
from models.classifier.data.near_duplicates import Fingerprint, fingerprints, near
from models.classifier.data.table import Row

Severity = Literal["leak", "error", "warning"]
KINDS: dict[str, tuple[Severity, str]] = {
    "group in two splits": ("leak", "What is learned from one picture of a lesion or patient is asked about another."),
    "same file in two splits": ("leak", "The very picture that was learned from is asked about again."),
    "near duplicates in two splits": ("leak", "The same picture, in another size, compression or colour."),
    "unreadable file": ("error", "Training stops at it."),
    "same file, other label": ("warning", "At least one of the labels is wrong."),
    "near duplicates, other label": ("warning", "At least one of the labels is wrong."),
    "one lesion, other label": ("warning", "Pictures of one lesion that allow no common diagnosis."),
    "same file twice": ("warning", "It counts double; in two groups, the next split may part it."),
    "near duplicates in two groups": ("warning", "The next split may part them: join them first."),
    "empty class": ("warning", "What a network says of it will mean nothing."),
    "endpoint with one side": ("warning", "No threshold, AUC or calibration can come from this split."),
}
"""Each kind of finding, in the order of the report, with why it matters."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with the numbers of the rows it is about."""

    kind: str
    says: str
    rows: tuple[int, ...] = ()

    @property
    def severity(self) -> Severity:
        """A leak or an error makes the command fail."""
        return KINDS[self.kind][0]


@dataclass(frozen=True)
class Checked:
    """The rows, their fingerprints (None: unreadable), the findings by kind, and pairs of near duplicates."""

    rows: Sequence[Row]
    prints: Sequence[Fingerprint | None]
    findings: Mapping[str, list[Finding]]
    pairs: Sequence[tuple[int, int]]
    """Row numbers of the same or nearly the same picture in different groups: what a split has to join."""

    def count(self, severity: Severity) -> int:
        """How many findings there are of a severity."""
        return sum(len(found) for kind, found in self.findings.items() if KINDS[kind][0] == severity)


def check(rows: Sequence[Row]) -> Checked:
    """Read every picture and compare each with each. Raises ValueError for a table without rows."""
    if not rows:
        raise ValueError("the table has no rows")
    read = fingerprints([row.path for row in rows])
    prints = [one if isinstance(one, Fingerprint) else None for one in read]
    same, alike = _same(prints), _alike(prints)
    found = [
        *(
            Finding("unreadable file", f"{rows[i].path}: {one}", (i,))
            for i, one in enumerate(read)
            if isinstance(one, str)
        ),
        *_groups(rows),
        *_copies(rows, same),
        *_near(rows, alike),
        *_lesions(rows),
        *_classes(rows),
    ]
    by_kind = {kind: [finding for finding in found if finding.kind == kind] for kind in KINDS}
    pairs = [(several[0], i) for several in same for i in several[1:]] + [(a, b) for a, b, _ in alike]
    parted = [(a, b) for a, b in pairs if rows[a].group != rows[b].group]
    return Checked(rows, prints, {kind: some for kind, some in by_kind.items() if some}, parted)


def _same(prints: Sequence[Fingerprint | None]) -> list[list[int]]:
    """Row numbers of each file that is there more than once."""
    by_content = defaultdict(list)
    for i, one in enumerate(prints):
        if one:
            by_content[one.sha256].append(i)
    return [several for several in by_content.values() if len(several) > 1]


def _alike(prints: Sequence[Fingerprint | None]) -> list[tuple[int, int, float]]:
    """Near duplicates among the first rows of each content."""
    first: dict[str, int] = {}
    for i, one in enumerate(prints):
        if one:
            first.setdefault(one.sha256, i)
    kept = list(first.values())
    readable = [one for i in kept if (one := prints[i])]
    return [(kept[a], kept[b], correlation) for a, b, correlation in near(readable)]


def splits(rows: Iterable[Row]) -> set[str]:
    """Names of the splits; a row that is in none yet cannot leak."""
    return {row.split for row in rows} - {""}


def _groups(rows: Sequence[Row]) -> Iterator[Finding]:
    groups = defaultdict(list)
    for i, row in enumerate(rows):
        groups[row.group].append(i)
    for group, members in groups.items():
        counts = Counter(rows[i].split for i in members if rows[i].split)
        if len(counts) > 1:
            told = ", ".join(f"{n} in {split}" for split, n in sorted(counts.items()))
            yield Finding("group in two splits", f"group {group}: {told}", tuple(members))


def _copies(rows: Sequence[Row], same: Iterable[list[int]]) -> Iterator[Finding]:
    for several in same:
        some = [rows[i] for i in several]
        names = _told(some)
        yield Finding("same file in two splits" if len(splits(some)) > 1 else "same file twice", names, tuple(several))
        if _at_odds(some):
            yield Finding("same file, other label", names, tuple(several))


def _near(rows: Sequence[Row], alike: Iterable[tuple[int, int, float]]) -> Iterator[Finding]:
    """Pairs of one group are as they should be, and a group in two splits has been told already."""
    for a, b, correlation in alike:
        some, says = [rows[a], rows[b]], f"{_told([rows[a], rows[b]])}; correlation {correlation:.3f}"
        if _at_odds(some):
            yield Finding("near duplicates, other label", says, (a, b))
        if rows[a].group != rows[b].group:
            kind = "near duplicates in two splits" if len(splits(some)) > 1 else "near duplicates in two groups"
            yield Finding(kind, says, (a, b))


def _lesions(rows: Sequence[Row]) -> Iterator[Finding]:
    lesions = defaultdict(list)
    for i, row in enumerate(rows):
        if row.lesion:
            lesions[row.patient, row.lesion].append(i)  # PAD-UFES-20 counts lesions within a patient
    for (_, lesion), members in lesions.items():
        some = [rows[i] for i in members]
        if _at_odds(some):
            labels = ", ".join(sorted({row.dx for row in some}))
            yield Finding("one lesion, other label", f"lesion {lesion}: {labels}", tuple(members))


def _classes(rows: Sequence[Row]) -> Iterator[Finding]:
    """Classes and sides without a picture, by split."""
    for split in sorted({row.split for row in rows}):
        some = [row for row in rows if row.split == split]
        name = split or "the table"
        named = {row.dx for row in some if len(row.classes) == 1}
        for dx in CLASSES:
            if named and dx not in named:
                yield Finding("empty class", f"{name} has no picture of {dx}")
        for endpoint in ("melanoma", "malignant"):
            sides = {getattr(row, endpoint) for row in some} - {None}
            if len(sides) < 2:  # noqa: PLR2004  (a yes and a no)
                yield Finding("endpoint with one side", f"{name} has not both pictures with and without {endpoint}")


def _at_odds(rows: Sequence[Row]) -> bool:
    """No diagnosis fits all the labels."""
    return not set.intersection(*(set(row.classes) for row in rows))


def _told(rows: Iterable[Row]) -> str:
    return " and ".join(f"{row.path.name} ({row.source}, {row.split or 'no split'}, {row.dx})" for row in rows)
