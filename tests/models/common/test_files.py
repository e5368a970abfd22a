"""A folder is replaced as a whole, whatever the file system can do."""

from pathlib import Path

import pytest

from models.common import files


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    new, target = tmp_path / "new", tmp_path / "released"
    for folder in (new, target):
        folder.mkdir()
        (folder / "model").write_text(folder.name)
    return new, target


@pytest.mark.parametrize("exchange", [True, False])
def test_the_new_folder_takes_the_old_ones_place_and_nothing_is_left_over(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(files, "_exchange", lambda *_: False)
    new, target = folders
    files.replace_folder(new, target)
    assert (target / "model").read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["released"]


def test_where_nothing_was_released_yet(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    files.replace_folder(tmp_path / "new", tmp_path / "released")
    assert (tmp_path / "released").is_dir()


@pytest.mark.parametrize("exchange", [True, False])
def test_while_it_is_replaced_there_is_always_one_or_it_is_put_back(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    """A rename that fails half way leaves the folder that was there."""
    new, target = folders
    real = Path.rename

    def fails(self: Path, to: Path) -> Path:
        if self == new:
            raise OSError
        return real(self, to)

    monkeypatch.setattr(Path, "rename", fails)
    if exchange:
        files.replace_folder(new, target)  # no rename of Python's is needed
        assert (target / "model").read_text() == "new"
        return
    monkeypatch.setattr(files, "_exchange", lambda *_: False)
    with pytest.raises(OSError):  # noqa: PT011  (any)
        files.replace_folder(new, target)
    assert (target / "model").read_text() == "released"


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    files.write_text(target, "old")

    def fail() -> None:
        with files.replacing(target) as unfinished:
            unfinished.write_text("half")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  (ours)
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert target.read_text() == "old"


def test_a_folder_is_there_when_all_of_it_is(tmp_path: Path) -> None:
    def fail() -> None:
        with files.new_folder(tmp_path / "made") as unfinished:
            (unfinished / "a").write_text("a")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  (ours)
        fail()
    assert list(tmp_path.iterdir()) == []
    with files.new_folder(tmp_path / "made") as unfinished:
        (unfinished / "a").write_text("a")
        assert not (tmp_path / "made").exists()
    assert (tmp_path / "made" / "a").read_text() == "a"
