"""The bibliography of the rules: data in evidence.json, served by `GET /v1/evidence` and printed in docs/evidence.md.

`python -m fusion.evidence` prints sections 9 and 10 of that page, which are generated.
"""

import sys
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SECTIONS = """## 9. From a `source` of the API to the bibliography

`python -m fusion.evidence` prints sections 9 and 10 from `fusion/evidence.json`, which `GET /v1/evidence` serves.
`GET /v1/questionnaire` and the answers carry the strings on the left.

| `source` | Entries |
|---|---|
{sources}

## 10. Bibliography

How an entry was checked is in italics. *Abstract read*: the figure used here was compared with the abstract. *As
recorded*: it stands as recorded when the risk factors were collected. *Not verified*: it was not compared with the
source. Page ranges, author lists and some DOIs (that of Olsen CM 2014 among them) were completed from memory: check a
citation before you print it.

{bibliography}
"""


class EvidenceSource(BaseModel):
    """One `source` of the questionnaire or of an answer's factors, and the ids of its bibliography entries."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    source: str
    entries: tuple[str, ...] = Field(min_length=1)


class EvidenceEntry(BaseModel):
    """One entry of the bibliography. `used_for`: question ids, or the other numbers that build on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    label: str
    citation: str
    doi: str | None = None
    url: str | None = None
    verified: Literal["abstract read", "as recorded", "not verified", "no source"]
    note: str | None = None
    used_for: tuple[str, ...] = Field(min_length=1)


class EvidenceIndex(BaseModel):
    """Every `source` and the bibliography that it resolves to."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: str
    sources: tuple[EvidenceSource, ...]
    bibliography: tuple[EvidenceEntry, ...]


@cache
def load() -> EvidenceIndex:
    """The bibliography of this version of Melalog."""
    return EvidenceIndex.model_validate_json(files("fusion").joinpath("evidence.json").read_text("utf-8"))


def to_markdown() -> str:
    """Sections 9 and 10 of docs/evidence.md."""
    index = load()
    sources = [
        f"| {row.source} | {', '.join(f'[{entry}](#{entry})' for entry in row.entries)} |" for row in index.sources
    ]
    return SECTIONS.format(sources="\n".join(sources), bibliography="\n".join(map(_item, index.bibliography)))


def _item(entry: EvidenceEntry) -> str:
    doi = f" doi:{entry.doi}." if entry.doi else ""
    note = f" {entry.note}" if entry.note else ""
    verified = f" *{entry.verified.capitalize()}.*" if entry.verified != "no source" else ""
    return f'- <a id="{entry.id}"></a>**{entry.label}.** {entry.citation}{doi}{verified}{note}'


if __name__ == "__main__":
    sys.stdout.write(to_markdown())
