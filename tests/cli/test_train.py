"""`melalog train classifier` refuses what it cannot use before it works for hours."""

import subprocess
import sys
from pathlib import Path

MELALOG = Path(sys.executable).with_name("melalog")


def train(folder: Path, *arguments: str) -> str:
    """What it prints when it refuses."""
    command = [str(MELALOG), "train", "classifier", "--out", str(folder / "run"), "--data", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={"COLUMNS": "200"})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_missing_data_set_is_named_with_what_to_do(tmp_path: Path) -> None:
    told = train(tmp_path)
    assert "ham10000.csv" in told
    assert "MELALOG_DATA_DIR" in told


def test_a_mistyped_key_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("stages: [{epochs: 1, size: 64}]\nlearning_rate: 0.1\n")
    assert "learning_rate" in train(tmp_path, "--config", str(config))
