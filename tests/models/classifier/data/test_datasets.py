"""Every layout is read as it is published, and what is wrong in it is named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from models.classifier.data.datasets import DATASETS, LayoutError, any_csv, words
from models.classifier.data.datasets.groups import joined
from models.classifier.data.labels import CLASSES
from models.classifier.data.table import COARSE, Row
from tests import lookalikes

Build = Callable[..., None]
BUILT: dict[str, Build] = {
    name: getattr(lookalikes, name)
    for name in ("ham10000", "isic2020", "isic2019", "isic2017", "kaggle10k", "kaggle9", "pad_ufes_20")
}


def read(name: str, folder: Path) -> dict[str, Row]:
    """Rows by the picture's name; every picture is there, and no row is without a group."""
    rows = DATASETS[name].rows(folder)
    assert all(row.path.is_file() and row.group for row in rows)
    assert len({row.path for row in rows}) == len(rows)
    return {row.path.stem: row for row in rows}


@pytest.fixture(params=BUILT)
def name(request: pytest.FixtureRequest) -> str:
    told: str = request.param
    return told


def test_ham10000_is_grouped_by_lesion(tmp_path: Path) -> None:
    lookalikes.ham10000(tmp_path)
    rows = read("ham10000", tmp_path)
    first, second, third = rows["ISIC_0027419"], rows["ISIC_0025030"], rows["ISIC_0026769"]
    assert (first.dx, first.lesion, first.age, first.sex, first.site) == ("bkl", "HAM_0000118", 80, "male", "scalp")
    assert first.group == second.group != third.group
    assert (third.dx, third.age, third.sex, third.site) == ("mel", None, "", "")


def test_isic2020_is_grouped_by_patient_joined_by_the_duplicates_file(tmp_path: Path) -> None:
    lookalikes.isic2020(tmp_path)
    rows = read("isic2020", tmp_path)
    assert [row.dx for row in rows.values()] == ["benign", "nv", "mel", "bkl", "benign", "benign"]
    assert [row.patient for row in rows.values()] == ["IP_1", "IP_1", "IP_2", "IP_3", "IP_4", "IP_4"]
    assert [row.group for row in rows.values()] == ["IP_1", "IP_1", "IP_2", "IP_1", "IP_4", "IP_4"]
    assert (rows["ISIC_1"].malignant, rows["ISIC_1"].melanoma, rows["ISIC_1"].age) == (False, False, 45)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("melanoma,benign,0", "line 2: diagnosis is melanoma, target is 0"),
        ("nevus,malignant,1", "line 2: diagnosis is nevus, target is 1"),
        ("unknown,benign,1", "line 2: target is 1, benign_malignant is benign"),
        ("nevus,benign,2", "line 2: target is '2', neither 0 nor 1"),
    ],
)
def test_isic2020_columns_that_contradict_each_other(tmp_path: Path, told: str, says: str) -> None:
    lookalikes.isic2020(tmp_path)
    header = "image_name,patient_id,age_approx,diagnosis,benign_malignant,target"
    lookalikes.table(tmp_path / "train.csv", header, f"ISIC_1,IP_1,45,{told}")
    with pytest.raises(ValueError, match=says):
        DATASETS["isic2020"].rows(tmp_path)


def test_isic2019_counts_ak_and_scc_as_akiec_and_leaves_unk_out(tmp_path: Path) -> None:
    lookalikes.isic2019(tmp_path)
    rows = read("isic2019", tmp_path)
    assert [row.dx for row in rows.values()] == ["mel", "nv", "bcc", "akiec", "bkl", "df", "vasc", "akiec"]
    assert rows["ISIC_0"].group == rows["ISIC_1"].group == "BCN_1"
    assert len({row.group for row in rows.values()}) == 7
    with (tmp_path / "ISIC_2019_Training_GroundTruth.csv").open("a") as file:
        file.write("ISIC_77,1,0,0,0,0,0,0,0,0\n")
    with pytest.raises(ValueError, match=r"GroundTruth\.csv, line 11: ISIC_77 is not in .*Metadata\.csv"):
        DATASETS["isic2019"].rows(tmp_path)


def test_isic2017_keeps_the_official_splits(tmp_path: Path) -> None:
    lookalikes.isic2017(tmp_path)
    rows = read("isic2017", tmp_path)
    assert {name: (row.dx, row.split) for name, row in rows.items()} == {
        "ISIC_1": ("mel", "train"),
        "ISIC_2": ("bkl", "train"),
        "ISIC_3": ("nv", "validation"),
        "ISIC_4": ("nv", "test"),
    }
    assert (rows["ISIC_1"].age, rows["ISIC_1"].sex, rows["ISIC_2"].age, rows["ISIC_2"].sex) == (65, "male", None, "")


def test_the_10000_pictures_have_coarse_labels(tmp_path: Path) -> None:
    lookalikes.kaggle10k(tmp_path)
    rows = list(read("kaggle10k", tmp_path).values())
    assert sorted((row.split, row.dx) for row in rows) == [
        ("test", "benign"),
        ("test", "malignant"),
        ("train", "benign"),
        ("train", "malignant"),
    ]
    assert {row.dx: row.melanoma for row in rows} == {"benign": False, "malignant": None}


def test_the_nine_classes_become_seven(tmp_path: Path) -> None:
    lookalikes.kaggle9(tmp_path)
    rows = read("kaggle9", tmp_path)
    assert [rows[f"ISIC_{i}"].dx for i in range(9)] == [
        *("akiec", "bcc", "df", "mel", "nv", "bkl", "bkl", "akiec", "vasc")
    ]
    assert {row.split for row in rows.values()} == {"train", "test"}


def test_pad_leaves_actinic_keratosis_out_and_is_grouped_by_patient(tmp_path: Path) -> None:
    lookalikes.pad_ufes_20(tmp_path)
    rows = list(read("pad_ufes_20", tmp_path).values())
    assert [(row.dx, row.group) for row in rows] == [
        ("nv", "PAT_1516"),
        ("bcc", "PAT_46"),
        ("akiec", "PAT_47"),
        ("bkl", "PAT_48"),
    ]
    assert (rows[1].lesion, rows[1].skin_type, rows[1].sex, rows[1].site) == ("PAT_46_881", "3", "female", "neck")
    assert (rows[0].skin_type, rows[0].sex, rows[0].age) == ("", "", 8)


@pytest.mark.parametrize("name", ["ham10000", "isic2017", "pad_ufes_20"])
def test_the_prepared_form_of_the_data_folder(tmp_path: Path, name: str) -> None:
    (row,) = DATASETS[name].rows(lookalikes.prepared(tmp_path, name))
    assert row == Row(
        tmp_path / name / "images" / "a.jpg", "akiec", "g1", "test", name, "l1", "p1", 45, "male", "back", "2"
    )


def test_a_wrong_label_names_where_it_stands(tmp_path: Path, name: str) -> None:
    wrong = "2" if name in ("isic2017", "isic2019") else "wart"
    BUILT[name](tmp_path, wrong)
    line = {"ham10000": 4}.get(name, 2)
    where = "wart is named after no known class" if name.startswith("kaggle") else rf"\.csv, line {line}: .*'{wrong}'"
    with pytest.raises(ValueError, match=where):
        DATASETS[name].rows(tmp_path)


@pytest.mark.parametrize("name", DATASETS)
def test_a_folder_that_is_not_it_is_told_what_it_should_hold(tmp_path: Path, name: str) -> None:
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(LayoutError) as raised:
            DATASETS[name].rows(folder)
        assert DATASETS[name].layout in str(raised.value)
        assert str(folder) in str(raised.value)


@pytest.mark.parametrize("name", ["ham10000", "isic2020", "isic2019", "isic2017", "pad_ufes_20"])
def test_a_missing_column_is_named(tmp_path: Path, name: str) -> None:
    BUILT[name](tmp_path)
    (table, *_) = sorted(tmp_path.rglob("*Train*GroundTruth.csv")) or [*tmp_path.glob("*.csv")][-1:]
    if name == "isic2020":
        table = tmp_path / "train.csv"
    header, *lines = table.read_text().splitlines()
    column = header.split(",")[1]
    lookalikes.table(table, header.replace(f",{column},", ",other,"), *lines)
    with pytest.raises(ValueError, match=f"{table.name} has no column {column}; it has "):
        DATASETS[name].rows(tmp_path)


def test_every_set_says_its_licence_and_layout() -> None:
    assert all(dataset.licence and dataset.layout and dataset.title for dataset in DATASETS.values())
    assert all(dataset.page or name in ("csv", "folder") for name, dataset in DATASETS.items())


def test_any_csv_with_its_own_names(tmp_path: Path) -> None:
    lookalikes.pictures(tmp_path / "deep", ["a.jpg", "b.png"])
    path = lookalikes.table(
        tmp_path / "mine.csv",
        "image;x,image,diagnosis,person,fold",
        ",a,Clark naevus,p1,val",
        ",deep/b.png,Melanoma,NA,",
    )
    columns = {"path": "image", "dx": "diagnosis", "patient": "person", "split": "fold"}
    rows = any_csv.rows(path, columns, {"Clark-Naevus": "nv"})
    assert [(row.path.name, row.dx, row.split, row.source) for row in rows] == [
        ("a.jpg", "nv", "validation", "mine"),
        ("b.png", "mel", "", "mine"),
    ]
    assert rows[0].group == "p1"
    assert rows[1].group.startswith("picture-")
    with pytest.raises(ValueError, match=r"mine\.csv has no column who"):
        any_csv.rows(path, {**columns, "patient": "who"}, {})
    with pytest.raises(ValueError, match="line 2: diagnosis has the unknown label 'Clark naevus'"):
        any_csv.rows(path, columns, {})
    with pytest.raises(ValueError, match="there is no such column; there are path, dx"):
        any_csv.rows(path, {"colour": "x"}, {})
    with pytest.raises(ValueError, match="there is no such label; there are akiec"):
        any_csv.rows(path, columns, {"x": "wart"})


def test_copies_in_class_folders_are_one_group(tmp_path: Path) -> None:
    lookalikes.save(tmp_path / "a" / "nevi" / "1.jpg", 1)
    lookalikes.save(tmp_path / "a" / "not-melanoma" / "2.jpg", 1)
    lookalikes.save(tmp_path / "a" / "Melanoma" / "3.jpg", 2)
    rows = {row.path.name: row for row in DATASETS["folder"].rows(tmp_path)}
    assert {name: row.dx for name, row in rows.items()} == {"1.jpg": "nv", "2.jpg": "not_melanoma", "3.jpg": "mel"}
    assert rows["1.jpg"].group == rows["2.jpg"].group != rows["3.jpg"].group


@given(st.text())
def test_a_name_means_one_of_our_labels_or_nothing(told: str) -> None:
    assert words.label(told) in (None, *CLASSES, *COARSE)


@given(st.sampled_from(sorted(words.NAMES)), st.sampled_from(" _-"))
def test_case_and_joints_of_a_name_do_not_matter(name: str, joint: str) -> None:
    assert words.label(f" {name.upper().replace(' ', joint)} ") == words.label(name) is not None


@given(st.lists(st.sampled_from("abcdef"), min_size=1), st.data())
def test_joined_groups_are_the_connected_ones(names: list[str], data: st.DataObject) -> None:
    rows = [Row(Path("a.jpg"), "nv", name, "", "s") for name in names]
    index = st.integers(0, len(rows) - 1)
    pairs = data.draw(st.lists(st.tuples(index, index), max_size=6))
    found = joined(rows, pairs)
    linked = np.equal.outer(names, names)
    for a, b in pairs:
        linked[a, b] = True
    _, expected = connected_components(linked, directed=False)
    assert [row.group for row in found] == [
        min(names[j] for j in range(len(names)) if expected[j] == expected[i]) for i in range(len(names))
    ]
    assert joined(rows, []) == rows
    assert joined(rows, pairs[::-1]) == found
