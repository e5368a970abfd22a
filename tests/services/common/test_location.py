from pathlib import Path
from types import SimpleNamespace

import pytest

from services.common import location


def test_a_setting_names_the_artifact(tmp_path: Path) -> None:
    assert location.artifact_folder(str(tmp_path), Path("released"), "melalog-x") == tmp_path


def test_a_checkout_serves_its_release(tmp_path: Path) -> None:
    assert location.artifact_folder("", tmp_path, "melalog-x") == tmp_path


def test_a_bento_serves_what_came_along_in_its_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def get(tag: str) -> SimpleNamespace:
        asked.append(tag)
        return SimpleNamespace(path=str(tmp_path / "store"))

    (tmp_path / "bento.yaml").write_text("models: [{tag: 'other:1'}, {tag: 'melalog-vlm:abc'}]")
    monkeypatch.setattr(location, "BENTO", tmp_path / "bento.yaml")
    monkeypatch.setattr(location, "bentoml", SimpleNamespace(models=SimpleNamespace(get=get)))
    assert location.artifact_folder("", tmp_path / "missing", "melalog-vlm") == tmp_path / "store"
    assert asked == ["melalog-vlm:abc"]
