"""Leaks, copies, broken files and wrong labels are found, and a sound table has no findings about them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from models.classifier.data import near_duplicates, table_checks
from models.classifier.data.near_duplicates import fingerprint
from models.classifier.data.table import Row
from models.classifier.data.table_checks import Checked
from models.classifier.evaluation.reporting import table_page as page
from tests import lookalikes

LABELS = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


def sound(folder: Path) -> list[Row]:
    """Two splits with every class, each picture a group of its own."""
    return [
        Row(lookalikes.save(folder / f"{split}-{dx}.png", 10 * i + j), dx, f"{split}-{dx}", split, "s", age=40.0)
        for i, split in enumerate(("train", "test"))
        for j, dx in enumerate(LABELS)
    ]


def kinds(rows: list[Row]) -> dict[str, int]:
    return {kind: len(found) for kind, found in table_checks.check(rows).findings.items()}


def changed(row: Row, **fields: object) -> Row:
    return Row(**{**vars(row), **fields})  # type: ignore[arg-type]


def test_a_sound_table_has_no_findings(tmp_path: Path) -> None:
    checked = table_checks.check(sound(tmp_path))
    assert checked.findings == {}
    assert checked.pairs == []


def brighter(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(0.85)


def bluer(picture: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(picture) * [0.9, 0.95, 1.0]).astype(np.uint8))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "size": lambda picture: picture.resize((256, 256)),
    "small": lambda picture: picture.resize((64, 48)),
    "brightness": brighter,
    "colour": bluer,
    "grey": lambda picture: picture.convert("L"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_in_another_split_is_a_leak(tmp_path: Path, change: str) -> None:
    rows = sound(tmp_path)
    CHANGES[change](Image.open(rows[0].path)).save(tmp_path / "copy.jpg", quality=80)
    copy = changed(rows[0], path=tmp_path / "copy.jpg", group="other", split="test")
    checked = table_checks.check([*rows, copy])
    assert list(checked.findings) == ["near duplicates in two splits"]
    assert checked.pairs == [(0, len(rows))]
    assert kinds([*rows, changed(copy, split="train")]) == {"near duplicates in two groups": 1}
    assert kinds([*rows, changed(copy, split="train", group=rows[0].group)]) == {}
    relabelled = changed(copy, split="train", group=rows[0].group, dx="nv")
    assert kinds([*rows, relabelled]) == {"near duplicates, other label": 1}


def test_the_same_file(tmp_path: Path) -> None:
    rows = sound(tmp_path)
    (tmp_path / "copy.png").write_bytes(rows[0].path.read_bytes())
    copy = changed(rows[0], path=tmp_path / "copy.png", group="other")
    assert kinds([*rows, copy]) == {"same file twice": 1}
    assert kinds([*rows, changed(copy, split="test")]) == {"same file in two splits": 1}
    assert kinds([*rows, changed(copy, dx="nv")]) == {"same file twice": 1, "same file, other label": 1}
    assert kinds([*rows, changed(copy, dx="malignant")]) == {"same file twice": 1}, "akiec is malignant: no conflict"
    assert table_checks.check([*rows, copy]).pairs == [(0, len(rows))]


def test_a_group_in_two_splits_and_a_lesion_with_two_labels(tmp_path: Path) -> None:
    rows = sound(tmp_path)
    (found,) = table_checks.check([*rows[:-1], changed(rows[-1], group=rows[0].group)]).findings["group in two splits"]
    assert found.severity == "leak"
    assert (found.says, found.rows) == ("group train-akiec: 1 in test, 1 in train", (0, len(rows) - 1))
    one, other = (changed(row, lesion="7", patient="p1") for row in rows[:2])
    assert kinds([one, other, *rows[2:]]) == {"one lesion, other label": 1}
    assert kinds([one, changed(other, patient="p2"), *rows[2:]]) == {}, "numbers of lesions are their patient's"


def test_rows_that_are_not_split_yet_do_not_leak(tmp_path: Path) -> None:
    rows = sound(tmp_path)
    unsplit = [changed(row, split="", group="one") for row in rows]
    assert kinds(unsplit) == {}


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "cannot identify"), (b"no picture", "cannot identify"), (None, "not there"), ("half", "truncated")],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes | str | None, says: str) -> None:
    rows = sound(tmp_path)
    whole = rows[0].path.read_bytes()
    if content is None:
        rows[0].path.unlink()
    else:
        rows[0].path.write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    checked = table_checks.check(rows)
    (found,) = checked.findings["unreadable file"]
    assert found.rows == (0,)
    assert str(rows[0].path) in found.says
    assert says in found.says
    page.write(checked, tmp_path / "page.html", "t")
    assert "cannot be read" in (tmp_path / "page.html").read_text()


def test_what_a_split_lacks(tmp_path: Path) -> None:
    rows = sound(tmp_path)
    told = table_checks.check(
        [row for row in rows if (row.split, row.dx) not in (("test", "mel"), ("train", "df"))]
    ).findings
    assert [finding.says for finding in told["empty class"]] == [
        "test has no picture of mel",
        "train has no picture of df",
    ]
    assert [finding.says for finding in told["endpoint with one side"]] == [
        "test has not both pictures with and without melanoma"
    ]
    with pytest.raises(ValueError, match="no rows"):
        table_checks.check([])


def test_frames_of_one_colour_and_round_frames_are_no_near_duplicates(tmp_path: Path) -> None:
    """The dark corners of a dermatoscope make any two pictures alike."""
    y, x = np.mgrid[0:150, 0:200]
    frame = np.hypot((x - 100) / 100, (y - 75) / 75)[..., None] < 1.05
    prints = []
    for seed in range(2):
        inside = 150 + 0.1 * np.asarray(lookalikes.picture(seed, 200, 150), np.float32)
        Image.fromarray((inside * frame).astype(np.uint8)).save(tmp_path / f"{seed}.png")
        Image.new("RGB", (20, 20), (seed, 0, 0)).save(tmp_path / f"flat{seed}.png")
        prints += [fingerprint(tmp_path / f"{seed}.png"), fingerprint(tmp_path / f"flat{seed}.png")]
    found = [one for one in prints if not isinstance(one, str)]
    assert len(found) == 4
    assert list(near_duplicates.near(found)) == []


def test_pairs_do_not_depend_on_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = sound(tmp_path)
    prints = [fingerprint(row.path) for row in rows]
    for i, row in enumerate(rows[:5]):
        Image.open(row.path).resize((90, 70)).save(tmp_path / f"copy{i}.png")
        prints.append(fingerprint(tmp_path / f"copy{i}.png"))
    found = [one for one in prints if not isinstance(one, str)]
    expected = [(i, len(rows) + i) for i in range(5)]
    for block in (1, 3, 1024):
        monkeypatch.setattr(near_duplicates, "BLOCK", block)
        assert sorted((a, b) for a, b, _ in near_duplicates.near(found)) == expected


def test_the_report_needs_no_other_file_and_escapes_names(tmp_path: Path) -> None:
    rows = sound(tmp_path)
    odd = changed(rows[0], path=lookalikes.save(tmp_path / "<b>&.png", 99), group=rows[-1].group, site="back")
    checked: Checked = table_checks.check([*rows, odd])
    page.write(checked, tmp_path / "deep" / "page.html", "Data <check>")
    html = (tmp_path / "deep" / "page.html").read_text()
    assert "Data &lt;check&gt;" in html
    assert "<b>&" not in html
    assert html.count("data:image/jpeg;base64,") == 2 + 15
    assert "group in two splits: 1 (leak)" in html
    assert "http" not in html.replace("http://www.w3.org", "")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["page.html"]
