"""`melalog data`, as a person uses it: folders in, a table, a report and splits out."""

import json
import stat
import sys
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from models.classifier.data.datasets import DATASETS
from models.classifier.data.table import read_csv
from tests import lookalikes


def run(*arguments: str | Path, status: int = 0) -> str:
    """Everything it says, in one line."""
    result = CliRunner().invoke(app, ["data", *map(str, arguments)], env={"COLUMNS": "500"})
    assert result.exit_code == status, result.output
    return " ".join(result.output.replace("│", " ").split())


def class_folders(folder: Path, each: int = 10) -> Path:
    for i in range(each):
        lookalikes.save(folder / "melanoma" / f"m{i}.png", i)
        lookalikes.save(folder / "nevus" / f"n{i}.png", 100 + i)
    return folder


def test_list_says_licence_and_layout() -> None:
    output = run("list")
    for name, dataset in DATASETS.items():
        assert name in output
        assert " ".join(dataset.licence.split()) in output
        assert " ".join(dataset.layout.split()) in output


def test_from_folders_to_a_split_without_leaks(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "mine")
    lookalikes.picture(3).resize((200, 150)).save(folder / "melanoma" / "again.jpg")
    table, parts = tmp_path / "all.csv", tmp_path / "parts.csv"
    assert "21 images in 21 groups (mel 11, nv 10)" in run("table", f"folder={folder}", "--out", table)
    output = run("split", table, "--out", parts, "--shares", "60/20/20", "--join-near-duplicates")
    assert "21 groups became 20" in output
    rows = read_csv(parts)
    assert Counter(row.split for row in rows) == {"train": 13, "validation": 4, "test": 4}
    assert len({row.split for row in rows if row.path.stem in ("m3", "again")}) == 1
    report = tmp_path / "report.html"
    assert "no leak" in run("check", parts, "--report", report)
    assert report.read_text().startswith("<!doctype html>")


def test_a_leak_is_status_1_and_named(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "mine", 4)
    run("split", f"folder={folder}", "--out", tmp_path / "t.csv", "--shares", "50/50")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    leaked = lines[1].rsplit(",", 1)[0] + "," + {"train": "test", "test": "train"}[lines[1].rsplit(",", 1)[1]]
    (tmp_path / "t.csv").write_text("\n".join([*lines, leaked]) + "\n")
    output = run("check", tmp_path / "t.csv", "--report", tmp_path / "r.html", status=1)
    assert "leak: 1 x group in two splits" in output
    assert "leak: 1 x same file in two splits" in output
    assert "no leak" not in output
    assert "(leak)" in (tmp_path / "r.html").read_text()


def test_a_broken_picture_is_status_1_and_named(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "mine", 2)
    (folder / "nevus" / "n0.png").write_bytes(b"nothing")
    assert "error: 1 x unreadable file" in run("check", f"folder={folder}", "--report", tmp_path / "r.html", status=1)


def test_class_folders_can_be_read_again(tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "mine")
    run("split", f"folder={folder}", "--folders", tmp_path / "out", "--shares", "80/20", "--seed", "3")
    rows = DATASETS["folder"].rows(tmp_path / "out")
    assert Counter((row.split, row.dx) for row in rows) == {
        ("train", "mel"): 8,
        ("train", "nv"): 8,
        ("test", "mel"): 2,
        ("test", "nv"): 2,
    }
    again = run("split", f"folder={folder}", "--folders", tmp_path / "out", status=2)
    assert "is there already" in again


def test_several_sets_in_one_table(tmp_path: Path) -> None:
    lookalikes.ham10000(tmp_path / "h")
    lookalikes.pad_ufes_20(tmp_path / "p")
    run("table", f"ham10000={tmp_path / 'h'}", f"pad_ufes_20={tmp_path / 'p'}", "--out", tmp_path / "t.csv")
    assert Counter(row.source for row in read_csv(tmp_path / "t.csv")) == {"ham10000": 3, "pad_ufes_20": 4}


def test_pictures_that_are_not_there_are_counted(tmp_path: Path) -> None:
    lookalikes.ham10000(tmp_path)
    (tmp_path / "ham10000_images_part_2" / "ISIC_0026769.jpg").unlink()
    out = tmp_path / "t.csv"
    output = run("table", f"ham10000={tmp_path}", "--out", out, status=2)
    assert "1 of 3 images are missing" in output
    assert "ISIC_0026769.jpg" in output
    assert not out.exists()
    run("table", f"ham10000={tmp_path}", "--out", out, "--leave-out-missing")
    assert len(read_csv(out)) == 2


def test_a_csv_with_other_names(tmp_path: Path) -> None:
    lookalikes.pictures(tmp_path, ["a.jpg", "b.jpg"])
    lookalikes.table(tmp_path / "mine.csv", "image,finding", "a.jpg,Spitz,", "b.jpg,MM,")
    names = ("--column", "path=image", "--column", "dx=finding", "--label", "spitz=nv", "--label", "mm=mel")
    run("table", f"csv={tmp_path / 'mine.csv'}", "--out", tmp_path / "t.csv", *names)
    assert [row.dx for row in read_csv(tmp_path / "t.csv")] == ["nv", "mel"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["table", "mole=x", "--out", "t.csv"], "unknown data set mole; known are ham10000"),
        (["check", "nothing.csv"], "no table nothing.csv"),
        (["check", "ham10000=nothing"], "no folder nothing. Expected there: HAM10000_metadata.csv"),
        (["split", "nothing.csv"], "name what to write"),
        (["split", "nothing.csv", "--out", "t.csv", "--shares", "1"], "are no shares"),
        (["table", "csv=x", "--out", "t.csv", "--column", "dx"], "--column dx: write it as a=b"),
        (["fetch", "mole", "--out", "x"], "unknown data set mole"),
    ],
)
def test_what_is_wrong_is_named(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in run(*arguments, status=2)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a token, and a PATH without a client."""
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    return tmp_path


def client(home: Path, program: str) -> None:
    """A stand-in for the Kaggle client."""
    path = home / "bin" / "kaggle"
    path.parent.mkdir()
    python = Path("/proc/self/exe").resolve() if Path("/proc/self/exe").exists() else Path(sys.executable)
    path.write_text(f"#!{python}\nimport sys, pathlib, zipfile\n{program}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_fetch_says_what_to_do_without_a_client_or_a_token(home: Path) -> None:
    output = run("fetch", "kaggle10k", "--out", home / "x", status=1)
    assert "the Kaggle client is not installed: install it beside Melalog" in output
    assert DATASETS["kaggle10k"].page in output
    client(home, "")
    assert "make an API token" in run("fetch", "kaggle10k", "--out", home / "x", status=1)
    output = run("fetch", "isic2017", "--out", home / "x", status=1)
    assert f"download it from {DATASETS['isic2017'].page}" in output
    assert not (home / "x").exists()


@pytest.mark.parametrize(("name", "option"), [("kaggle10k", "-d"), ("isic2020", "-c")])
def test_fetch_downloads_and_unpacks(home: Path, monkeypatch: pytest.MonkeyPatch, name: str, option: str) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "k")
    client(
        home,
        "import json; out = pathlib.Path(sys.argv[-1])\n(out.parent / 'said').write_text(json.dumps(sys.argv[1:-1]))\n"
        "with zipfile.ZipFile(out / 'a.zip', 'w') as packed: packed.writestr('train/benign/1.txt', 'x')",
    )
    assert f"Next: melalog data table {name}=" in run("fetch", name, "--out", home / "got")
    assert [path.name for path in (home / "got").rglob("*") if path.is_file()] == ["1.txt"]
    kind, slug = DATASETS[name].kaggle.split("/", 1)
    assert json.loads((home / "said").read_text()) == [kind, "download", option, slug, "-p"]
    assert "is there already" in run("fetch", name, "--out", home / "got", status=1)


def test_fetch_that_fails_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "t")
    client(home, "print('403 - Forbidden', file=sys.stderr); sys.exit(1)")
    output = run("fetch", "isic2020", "--out", home / "x", status=1)
    assert "its rules must be accepted once on" in output
    assert "403 - Forbidden" in output
    assert [path.name for path in home.iterdir()] == ["bin"]
