"""The table file: what is written is read again, and what is wrong in it is named."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.classifier.data.labels import CLASSES
from models.classifier.data.table import COARSE, Row, read_csv, write_csv

cell = st.text(max_size=8)
told = st.text(min_size=1, max_size=8)
names = st.text("ab é,\"'\n;", min_size=1, max_size=6).map(lambda name: f"{name}.jpg")
rows = st.builds(
    Row,
    path=st.one_of(names.map(lambda name: Path("/pictures") / name), names.map(lambda name: Path("/table") / name)),
    dx=st.sampled_from((*CLASSES, *COARSE)),
    group=told,
    split=cell,
    source=told,
    lesion=cell,
    patient=cell,
    age=st.none() | st.integers(0, 1200).map(lambda tenths: tenths / 10),
    sex=cell,
    site=cell,
    skin_type=cell,
)
HEADER = "path,dx,malignant,melanoma,group,source,split,age\n"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rows, max_size=8))
def test_what_is_written_is_read_again(tmp_path: Path, some: list[Row]) -> None:
    moved = [
        Row(**{**vars(row), "path": tmp_path / row.path.name if row.path.parent == Path("/table") else row.path})
        for row in some
    ]
    write_csv(moved, tmp_path / "t.csv")
    assert read_csv(tmp_path / "t.csv") == moved


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(max_size=60).map(lambda text: (HEADER + text).encode()))
def test_whatever_stands_in_the_file_it_is_read_or_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    try:
        assert all(row.classes and row.group for row in read_csv(tmp_path / "t.csv"))
    except ValueError as error:
        said = str(error)
        assert "t.csv" in said


def test_pictures_below_the_table_move_with_it(tmp_path: Path) -> None:
    row = Row(tmp_path / "a" / "deep" / "1.jpg", "nv", "g", "train", "s")
    write_csv([row], tmp_path / "a" / "t.csv")
    shutil.move(tmp_path / "a", tmp_path / "b")
    assert read_csv(tmp_path / "b" / "t.csv")[0].path == tmp_path / "b" / "deep" / "1.jpg"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("a.jpg,wart,,,g,s,train,", r"t\.csv, line 2: unknown label 'wart'; known are akiec"),
        ("a.jpg,nv,1,0,g,s,train,", "line 2: malignant is '1', but the label nv says '0'"),
        ("a.jpg,benign,,,g,s,train,", None),
        ("a.jpg,malignant,1,1,g,s,train,", "line 2: melanoma is '1', but the label malignant says ''"),
        ("a.jpg,nv,maybe,0,g,s,train,", "line 2: malignant is 'maybe'"),
        ("a.jpg,nv,,,,s,train,", "line 2: group is empty"),
        (",nv,,,g,s,train,", "line 2: path is empty"),
        ("a.jpg,nv,,,g,s,train,old", "line 2: 'old' is no age in years"),
        ("a.jpg,nv,,,g,s,train,nan", "line 2: 'nan' is no age in years"),
        ("a.jpg,nv,,,g,s,train,-3", "line 2: '-3' is no age in years"),
        ("a.jpg,nv,,,g,s,train,40,more", "line 2: more cells than columns"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, says: str | None) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{HEADER}{line}\n")
    if says is None:
        assert read_csv(path)[0].dx == "benign"
        return
    with pytest.raises(ValueError, match=says):
        read_csv(path)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,dx,source\n")
    with pytest.raises(ValueError, match=r"t\.csv has no column group, split"):
        read_csv(tmp_path / "t.csv")


def test_a_full_disk_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row(tmp_path / "1.jpg", "nv", "g", "train", "s")
    write_csv([row], tmp_path / "t.csv")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("csv.DictWriter.writerows", full)
    with pytest.raises(OSError, match="No space left"):
        write_csv([row, row], tmp_path / "t.csv")
    assert read_csv(tmp_path / "t.csv") == [row]
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
