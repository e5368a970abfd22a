"""Shares of a table: groups stay whole, labels are spread, nothing depends on order."""

import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.classifier.data import split as splitting
from models.classifier.data.table import Row
from tests import lookalikes

SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
labels = st.sampled_from(["nv", "mel", "benign"])
sizes = st.lists(st.lists(labels, min_size=1, max_size=4), min_size=20, max_size=40)
"""Labels of the pictures of each group."""


def rows(told: list[tuple[int, str]], split: str = "") -> list[Row]:
    return [Row(Path(f"{i}.jpg"), dx, f"g{group}", split, "s") for i, (group, dx) in enumerate(told)]


@given(sizes, st.integers(0, 99))
def test_groups_stay_whole_and_order_does_not_matter(groups: list[list[str]], seed: int) -> None:
    some = rows([(group, dx) for group, members in enumerate(groups) for dx in members])
    found = splitting.split(some, SHARES, seed)
    assert [row.path for row in found] == [row.path for row in some]
    assert len({(row.group, row.split) for row in found}) == len({row.group for row in some})
    assert {row.split for row in found} == set(SHARES)
    turned = splitting.split(some[::-1], SHARES, seed)
    assert turned[::-1] == found


@given(st.lists(st.sampled_from(["nv", "nv", "nv", "mel", "bcc"]), min_size=40, max_size=120), st.integers(0, 99))
def test_single_pictures_are_split_to_the_letter(labels: list[str], seed: int) -> None:
    """No label is off by more than two pictures in any split."""
    found = splitting.split(rows(list(enumerate(labels))), SHARES, seed)
    counts = Counter((row.split, row.dx) for row in found)
    for dx, n in Counter(labels).items():
        assert all(abs(counts[name, dx] - share * n) < 2 for name, share in SHARES.items())
    assert all(abs(sum(row.split == name for row in found) - share * len(labels)) < 3 for name, share in SHARES.items())


def test_lesions_of_many_sizes_come_near_to_the_shares() -> None:
    told = [(i, "mel" if i % 9 == 0 else "nv") for i in range(900) for _ in range(1 + i % 4)]
    found = splitting.split(rows(told), SHARES, 1)
    for dx in ("mel", "nv"):
        n = sum(row.dx == dx for row in found)
        for name, share in SHARES.items():
            assert math.isclose(sum((row.dx, row.split) == (dx, name) for row in found) / n, share, abs_tol=0.01)


def test_another_seed_is_another_split() -> None:
    some = rows([(i, "nv") for i in range(100)])
    first, again, second = (splitting.split(some, SHARES, seed) for seed in (1, 1, 2))
    assert first == again
    assert sum(a.split != b.split for a, b in zip(first, second, strict=True)) > 20


def test_a_kept_split_stays_with_all_of_its_groups() -> None:
    some = [*rows([(i, "nv") for i in range(30)]), *rows([(i, "mel") for i in range(25, 40)], "test")]
    found = splitting.split(some, {"train": 0.5, "validation": 0.5}, 0, keep="test")
    assert {row.group for row in found if row.split == "test"} == {f"g{i}" for i in range(25, 40)}
    counts = Counter(row.split for row in found)
    assert counts["test"] == 20
    assert sorted((counts["train"], counts["validation"])) == [12, 13]
    with pytest.raises(ValueError, match="no row has split = other"):
        splitting.split(some, SHARES, 0, keep="other")


def test_too_few_groups() -> None:
    with pytest.raises(ValueError, match="2 groups are too few for 3 splits"):
        splitting.split(rows([(1, "nv"), (2, "mel"), (2, "mel")]), SHARES, 0)


@pytest.mark.parametrize(
    ("told", "names"),
    [("60/20/20", ["train", "validation", "test"]), ("4/1", ["train", "test"]), ("a=1, b=3", ["a", "b"])],
)
def test_shares_sum_to_one(told: str, names: list[str]) -> None:
    found = splitting.parse(told)
    assert list(found) == names
    assert math.isclose(sum(found.values()), 1)


@pytest.mark.parametrize(
    "told", ["", "60", "60/0", "1/2/3/4", "a/b", "train=x", "train=1,test=-1", "inf/1", "nan/1", "=1,b=2"]
)
def test_what_are_no_shares(told: str) -> None:
    with pytest.raises(ValueError, match=r"are no shares|every share needs"):
        splitting.parse(told)


@given(st.text(max_size=12))
def test_shares_are_read_or_refused(told: str) -> None:
    try:
        found = splitting.parse(told)
    except ValueError:
        return
    assert all(0 < share <= 1 for share in found.values())


def test_folders_hold_every_picture_or_are_not_there(tmp_path: Path) -> None:
    some = [
        Row(lookalikes.save(tmp_path / f"in{i}" / "same.jpg", i), dx, f"g{i}", "train", "s")
        for i, dx in enumerate(("nv", "nv", "mel"))
    ]
    splitting.write_folders(some, tmp_path / "out")
    copies = sorted((tmp_path / "out").rglob("*.jpg"))
    assert [path.parent.relative_to(tmp_path / "out").as_posix() for path in copies] == [
        "train/mel",
        "train/nv",
        "train/nv",
    ]
    assert {path.read_bytes() for path in copies} == {row.path.read_bytes() for row in some}
    with pytest.raises(FileExistsError, match="is there already"):
        splitting.write_folders(some, tmp_path / "out")
    gone = [*some, Row(tmp_path / "gone.jpg", "nv", "g9", "train", "s")]
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        splitting.write_folders(gone, tmp_path / "half")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in0", "in1", "in2", "out"]
