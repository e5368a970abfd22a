"""Labelled rows: what is read, what is skipped, and that no group ever stands on two sides (seed mistake 6)."""

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.classifier.data import table
from models.classifier.data.labels import CLASSES
from models.classifier.data.table import Row
from models.classifier.training.config import TrainConfig
from models.classifier.training.folds import make_folds

TINY: dict[str, Any] = {"stages": ({"epochs": 1, "size": 32},), "calibration_folds": 3}


def write(data: Path, source: str, *rows: dict[str, str]) -> None:
    (data / source).mkdir(parents=True)
    with (data / source / f"{source}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["file", "dx", "group", "split"])
        writer.writeheader()
        writer.writerows({"file": "a.jpg", "dx": "nv", "group": "g", "split": "train", **row} for row in rows)


def test_rows_with_a_picture_and_a_known_label(tmp_path: Path) -> None:
    write(tmp_path, "s", {"dx": "mel"}, {"dx": "scc"}, {"dx": "ack"}, {"dx": ""}, {"file": ""}, {"split": "test"})
    found = table.read(tmp_path, "s")
    assert [CLASSES[row.label] for row in found] == ["mel", "akiec", "nv"]
    assert [row.split for row in found] == ["train", "train", "test"]
    assert {row.path for row in found} == {tmp_path / "s" / "a.jpg"}
    assert {row.source for row in found} == {"s"}


def test_a_missing_table_says_which_setting_to_change(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"s\.csv: point MELALOG_DATA_DIR at the folder that holds s/"):
        table.read(tmp_path, "s")


groups = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=60)


def rows(names: list[str], source: str = "s") -> list[Row]:
    return [Row(Path(f"{i}.jpg"), "akiec", name, "train", source) for i, name in enumerate(names)]


@given(groups, st.integers(2, 10), st.integers(0, 99))
def test_a_group_is_never_on_two_sides(names: list[str], folds: int, seed: int) -> None:
    rest, held = table.split_off(rows(names), folds, seed)
    assert {row.group for row in rest} & {row.group for row in held} == set()
    assert sorted([*rest, *held], key=str) == sorted(rows(names), key=str)


@given(groups, st.integers(2, 10), st.integers(0, 99), st.randoms())
def test_a_fold_depends_on_nothing_but_the_group(names: list[str], folds: int, seed: int, random: Any) -> None:
    found = [table.fold(name, folds, seed) for name in names]
    assert all(0 <= fold < folds for fold in found)
    shuffled = random.sample(names, len(names))
    assert [table.fold(name, folds, seed) for name in shuffled] == [found[names.index(name)] for name in shuffled]


def test_folds_are_about_equal_and_change_with_the_seed() -> None:
    first, second = ([table.fold(f"g{i}", 8, seed) for i in range(4000)] for seed in (1, 2))
    assert all(abs(first.count(fold) - 500) < 90 for fold in range(8))
    assert 350 < sum(a == b for a, b in zip(first, second, strict=True)) < 650


def test_folds_of_a_run_share_no_group_and_hold_no_test_row(tmp_path: Path) -> None:
    """Also where a lesion has pictures in two sources."""
    names = [f"g{i}" for i in range(60)]
    write(
        tmp_path,
        "a",
        *[{"file": f"{n}.jpg", "group": n, "split": "test" if i % 5 == 0 else "train"} for i, n in enumerate(names)],
    )
    write(tmp_path, "b", *[{"file": f"{n}.jpg", "group": n} for n in names[:30]])
    config = TrainConfig.model_validate({**TINY, "train_sources": ("b", "a"), "calibration_source": "a"})
    found = make_folds(config, tmp_path)
    assert {row.group for row in found.train} & {row.group for row in found.calibration} == set()
    assert {row.split for row in [*found.train, *found.calibration]} == {"train"}
    assert {row.source for row in found.train} == {"a", "b"}
    assert {row.source for row in found.calibration} == {"a"}


def test_digest_tells_what_was_learned_from_and_not_its_order() -> None:
    some = rows(["a", "b", "c"])
    assert table.digest(some) == table.digest(reversed(some))
    relabelled = [Row(row.path, "bcc", row.group, row.split, row.source) for row in some]
    assert len({table.digest(other) for other in (some, some[:2], rows(["a", "b", "d"]), relabelled)}) == 4
