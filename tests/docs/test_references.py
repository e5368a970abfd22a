"""No tracked file cites a document or a module that does not exist."""

import re
import subprocess
from pathlib import Path

import pytest

from fusion import questionnaire

ROOT = Path(__file__).parents[2]
SKIPPED = ("models/released/",)
CITED = re.compile(r"(?<![\w./-])docs/[\w./-]+?\.md\b")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
FOLDERS = ("benchmarks/", "cli/", "export/", "fusion/", "models/", "services/", "tests/")
MODULE = re.compile(r"(?<![\w./*-])((?:[\w-]+/)*[\w-]+\.py)\b")
ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//|/|#)", re.IGNORECASE)


def _tracked() -> list[str]:
    names = ["git", "ls-files", "-z", "--", "*.py", "*.md", "*.yaml", "*.env", "*Dockerfile", "Makefile"]
    listed = subprocess.run(names, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and not name.startswith(SKIPPED) and (ROOT / name).is_file()]


def missing(root: Path, name: str) -> list[str]:
    """Of the documents that a file cites and the relative links it makes, those that do not exist."""
    path = root / name
    text = path.read_text()
    absent = {cited for cited in CITED.findall(text) if not (root / cited).is_file()}
    if path.suffix == ".md":
        links = {link.partition("#")[0] for link in LINK.findall(text) if not ELSEWHERE.match(link)}
        absent |= {link for link in links if not (path.parent / link).exists()}
    return sorted(absent)


def test_every_cited_document_exists() -> None:
    names = _tracked()
    assert len(names) > 100, "the list of tracked files is implausibly short"
    absent = {name: found for name in names if (found := missing(ROOT, name))}
    assert not absent, "\n".join(f"{name}: {', '.join(found)}" for name, found in absent.items())


def test_every_named_module_exists() -> None:
    """By its path from the root, or by its bare name; tests may name files that they make."""
    names = _tracked()
    files, bare = set(names), {Path(name).name for name in names}
    absent = {}
    for name in names:
        cited = set(MODULE.findall((ROOT / name).read_text()))
        wrong = [one for one in cited if one.startswith(FOLDERS) and one not in files and f"tests/{one}" not in files]
        if not name.startswith("tests/"):
            wrong += [one for one in cited if "/" not in one and one not in bare]
        if wrong:
            absent[name] = sorted(wrong)
    assert not absent, "\n".join(f"{name}: {', '.join(found)}" for name, found in absent.items())


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.py", '"""See {}."""'.format("docs/" + "absent.md"), ["docs/" + "absent.md"]),
        ("a.yaml", "# docs/{}, section 2".format("here.md"), []),
        ("{}/a.md".format("docs"), "[x](gone.md#part) [y](here.md) [z](https://a.org/b.md) [s](#p)", ["gone.md"]),
        ("a.py", "[not](a-link.md)", []),
    ],
)
def test_a_missing_document_is_reported_and_a_present_one_is_not(
    tmp_path: Path, name: str, text: str, expected: list[str]
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "here.md").touch()
    (tmp_path / name).write_text(text)
    assert missing(tmp_path, name) == expected


def test_every_source_of_the_questionnaire_leads_to_the_bibliography() -> None:
    text = (ROOT / "docs" / "evidence.md").read_text()
    anchors = set(re.findall(r'<a id="([^"]+)"></a>', text))
    rows = dict(re.findall(r"^\| (.+?) \| (\[.+\]\(#.+\)) \|$", text, re.MULTILINE))
    for question in questionnaire.load().questions:
        entries = re.findall(r"\(#([^)]+)\)", rows.get(question.source, ""))
        assert entries, f"docs/evidence.md, section 9, has no row for {question.source!r}"
        assert set(entries) <= anchors
    assert set(re.findall(r"\(#([^)]+)\)", text)) <= anchors
