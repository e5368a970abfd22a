"""`melalog train vlm` says what is wrong with a plan, a base or the data, and trains when nothing is."""

from pathlib import Path

import pytest
import typer
import yaml
from accelerate.state import AcceleratorState, GradientState
from typer.testing import CliRunner, Result

from cli import train_vlm
from tests.models.classifier import tiny as pictures
from tests.models.vlm import tiny


def run(tmp_path: Path, data: Path, **plan: object) -> Result:
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(plan))
    app = typer.Typer()
    app.command()(train_vlm.vlm)
    options = ["--out", str(tmp_path / "out"), "--data", str(data), "--config", str(file)]
    return CliRunner().invoke(app, options, env={"COLUMNS": "200"})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return pictures.write_data(tmp_path / "data")


def test_the_shipped_plan_is_the_default() -> None:
    assert train_vlm.CONFIG.is_file()


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"learning_rate": 1}, "learning_rate"),
        ({"base": "./nowhere", "calibration_folds": 2}, "not a folder with a config.json"),
        ({"train_sources": ["isic2019"], "calibration_source": "isic2019"}, "MELALOG_DATA_DIR"),
    ],
    ids=["key", "base", "data"],
)
def test_what_is_wrong_is_said_without_a_traceback(
    plan: dict[str, object], message: str, tmp_path: Path, data: Path
) -> None:
    refused = run(tmp_path, data, **plan)
    assert refused.exit_code == 2
    assert message in refused.output
    assert not (tmp_path / "out").exists()


def test_it_trains_and_says_where_the_card_is(tmp_path: Path, data: Path) -> None:
    base = tiny.write_base(tmp_path / "base")
    try:
        done = run(tmp_path, data, **tiny.plan(base, epochs=1).model_dump(mode="json"))
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001
        GradientState._reset_state()  # noqa: SLF001
    assert done.exit_code == 0, done.output
    assert "epoch 1: loss" in done.output
    assert (tmp_path / "out" / "MODEL_CARD.md").is_file()
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").is_file()
