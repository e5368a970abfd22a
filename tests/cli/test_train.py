"""`melalog train classifier` trains, and refuses what it cannot use before it works for hours."""

import json
import os
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from cli.main import app
from models.classifier.network import initial_weights
from tests.models.classifier import tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


def run(folder: Path, data: Path, *arguments: str) -> Result:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tiny.plan().model_dump(mode="json")))
    command = ["train", "classifier", "--out", str(folder / "run"), "--data", str(data), "--config"]
    if "--config" in arguments:
        command.pop()
    else:
        command += [str(folder / "tiny.yaml"), "--only-train"]
    before = dict(os.environ)
    try:
        return CliRunner().invoke(app, [*command, *arguments], env={"COLUMNS": "400"})
    finally:
        os.environ.clear()
        os.environ.update(before)
        torch.set_num_threads(threads)


def refused(folder: Path, data: Path, *arguments: str) -> str:
    done = run(folder, data, *arguments)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    return done.output


def test_a_run_leaves_its_weights_and_its_curves(data: Path, tmp_path: Path) -> None:
    done = run(
        tmp_path, data, "--set", "selection.metric=f1", "--set", "optimiser.lr=1e-3", "--set", "validation_folds=2"
    )
    assert done.exit_code == 0, done.output
    assert "images to train on" in done.output
    assert "to choose the epoch on" in done.output
    assert "epoch 2 (fine-tuning): size 40, loss" in done.output
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert all(0 <= line["f1"] <= 1 for line in lines)
    _, about = initial_weights.read(tmp_path / "run" / "network.safetensors")
    assert about["backbone"] == "test_efficientnet"
    again = run(tmp_path, data)
    assert again.exit_code == 2
    assert "another configuration" in again.output


def test_the_batch_that_fits_is_found_and_kept(data: Path, tmp_path: Path) -> None:
    done = run(tmp_path, data, "--find-batch-size")
    assert done.exit_code == 0, done.output
    assert "batches of 32" in done.output
    again = run(tmp_path, data, "--find-batch-size")
    assert again.exit_code == 0, again.output
    assert "epoch 1" not in again.output


def test_a_missing_data_set_is_named_with_what_to_do(tmp_path: Path) -> None:
    message = refused(tmp_path, tmp_path)
    assert "ham10000.csv" in message
    assert "MELALOG_DATA_DIR" in message


def test_a_mistyped_key_is_named(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("stages: [{epochs: 1, size: 64}]\nlearning_rate: 0.1\n")
    assert "learning_rate" in refused(tmp_path, data, "--config", str(config))
    assert "optimiser.rate" in refused(tmp_path, data, "--set", "optimiser.rate=1")
    assert "b0-224" in refused(tmp_path, data, "--config", "b0-22")


def test_a_checkpoint_of_another_network_is_named(data: Path, tmp_path: Path) -> None:
    from models.classifier.network.networks import build  # noqa: PLC0415

    initial_weights.write(build("test_resnet"), tmp_path / "a.safetensors", {"backbone": "test_resnet"})
    message = refused(tmp_path, data, "--set", f"initial={tmp_path / 'a.safetensors'}")
    assert "does not fit the network test_efficientnet (it was made for test_resnet)" in " ".join(message.split())


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    data = tiny.write_data(tmp_path / "data")
    for file in (data / "ham10000" / "images").glob("*0.jpg"):
        file.write_bytes(b"\xff\xd8 broken")
    assert "cannot read the image" in refused(tmp_path, data)


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    data = tiny.write_data(tmp_path / "data")
    for table in data.glob("*/*.csv"):
        table.write_text(table.read_text().replace(",mel,", ",nv,"))
    assert "0 pictures with melanoma" in refused(tmp_path, data)
