"""`melalog evaluate` on the released artifact and small pictures: one page, one file, and what it refuses."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from models.classifier.evaluation import tta
from models.classifier.serving.artifact import RELEASED
from tests.pictures import lesion

COLUMNS = ("path", "dx", "group", "split", "source", "age", "sex", "site")


def write_table(folder: Path, labels: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "small.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for i, dx in enumerate(labels):
            lesion(64, 48, seed=i).save(folder / f"{i}.jpg")
            writer.writerow((f"{i}.jpg", dx, f"g{i // 2}", "test", "small", 20 + i, ("male", "female")[i % 5 == 0], ""))
    return table


def evaluate(table: Path, out: Path, *options: str, artifact: Path = RELEASED) -> Result:
    command = ["evaluate", str(artifact), "--table", str(table), "--out", str(out), *options]
    return CliRunner().invoke(app, command, env={"COLUMNS": "300"})


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("evaluated")
    labels = ["mel", "nv", "bcc", "not_melanoma", "benign", "malignant"] * 8
    log = work / "run" / "metrics.jsonl"
    log.parent.mkdir()
    log.write_text("".join(json.dumps({"epoch": e, "loss": 1 / e, "auc": 0.5 + e / 20}) + "\n" for e in range(1, 5)))
    done = evaluate(write_table(work / "data", labels), work / "out", "--run", str(log.parent))
    assert done.exit_code == 0, done.output
    return work / "out"


def test_the_figures_have_intervals_and_coarse_labels_are_counted(evaluated: Path) -> None:
    report = json.loads((evaluated / "evaluation.json").read_text())
    assert report["data"]["left_out"] == {"melanoma": 8, "malignant": 8}
    assert report["data"]["coarse_labels"] == 24
    for endpoint in ("melanoma", "malignant"):
        for name in ("auc", "average_precision", "partial_auc_above_80_sensitivity", "brier", "ece", "8_views_auc"):
            figure = report["figures"][f"{endpoint}_{name}"]
            assert figure["interval"][0] <= figure["interval"][1]
            assert figure["n"] == 40
    cut = json.loads((RELEASED / "manifest.json").read_text())["files"]["model.onnx"]["thresholds"]["sensitivity_95"]
    assert report["thresholds"]["melanoma"][0]["value"] == cut["value"]
    assert "melanoma_f1_at_threshold_sensitivity_95" in report["figures"]
    assert np.sum(report["confusion"]["counts_true_by_called"]) == 24
    assert report["views"]["number"] == 8


def test_a_subgroup_with_few_positives_says_so_instead_of_a_figure(evaluated: Path) -> None:
    report = json.loads((evaluated / "evaluation.json").read_text())["subgroups"]["melanoma"]
    female = next(part for part in report["sex"] if part["value"] == "female")
    assert "too few positives" in female["remark"]
    assert "figures" not in female
    assert sum(part["n"] for part in report["age"]) == 40
    assert "site" not in report


def test_the_page_stands_alone(evaluated: Path) -> None:
    html = (evaluated / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']*""", html)
    assert not re.search(r"<script|@import|url\((?!#)", html)
    assert "Research software, not a medical device" in html
    assert html.count("<svg") == html.count('role="img" aria-label="') == 2 * 4 + 1 + 2
    assert all(alt.strip() for alt in re.findall(r'<img[^>]*alt="([^"]*)"', html))
    assert len(re.findall(r"<img", html)) == 2 * 2 * 2 * 6
    assert "prefers-color-scheme: dark" in html
    assert not re.search(r"#0[1-5]0[2-6]0[3-7]\b", html)
    assert not list(evaluated.glob("*.unfinished"))


def test_one_class_alone_is_named(tmp_path: Path) -> None:
    table = write_table(tmp_path, ["nv", "nv", "bcc", "bcc"])
    refused = evaluate(table, tmp_path / "out", "--endpoint", "melanoma")
    assert refused.exit_code == 2
    assert "melanoma cannot be measured here: every one of 4 pictures" in refused.output
    assert not (tmp_path / "out").exists()
    done = evaluate(table, tmp_path / "out", "--no-views")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert not any(name.startswith("melanoma") for name in report["figures"])
    assert "melanoma cannot be measured" in report["notes"][0]


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    table = write_table(tmp_path, ["nv", "mel"])
    (tmp_path / "1.jpg").write_bytes(b"not a picture")
    refused = evaluate(table, tmp_path / "out")
    assert refused.exit_code == 2
    assert "1.jpg" in refused.output


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("path,group,split,source\n")
    refused = evaluate(table, tmp_path / "out")
    assert refused.exit_code == 2
    assert "dx" in refused.output


def test_a_tampered_artifact_is_refused(tmp_path: Path) -> None:
    tampered = tmp_path / "artifact"
    shutil.copytree(RELEASED, tampered)
    with (tampered / "model.onnx").open("ab") as file:
        file.write(b"\0")
    refused = evaluate(write_table(tmp_path, ["nv", "mel"]), tmp_path / "out", artifact=tampered)
    assert refused.exit_code == 2
    assert "model.onnx" in refused.output
    assert "SHA-256 differs" in refused.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--file", "other.onnx"], "no file 'other.onnx', only model.onnx"),
        (["--split", "validation"], "has no row"),
        (["--source", "ham10000"], "--table T.csv, or --source"),
    ],
)
def test_what_cannot_be_meant_is_named(options: list[str], message: str, tmp_path: Path) -> None:
    refused = evaluate(write_table(tmp_path, ["nv", "mel"]), tmp_path / "out", *options)
    assert refused.exit_code == 2
    assert message in refused.output


def test_a_broken_training_log_is_named(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_text('{"epoch": 1, "loss": 0.5}\nnonsense\n')
    refused = evaluate(write_table(tmp_path, ["nv", "mel"]), tmp_path / "out", "--run", str(log))
    assert refused.exit_code == 2
    assert "metrics.jsonl, line 2" in refused.output


def test_views_are_the_eight_turns_and_mirrors() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 5, 5, 3), np.uint8)
    distinct = {view.tobytes() for view in tta.views(pixels)}
    assert len(distinct) == len(tta.VIEWS) == 8
    assert next(tta.views(pixels)).tobytes() == pixels.tobytes()
    classes = np.full((8, 2, 7), 1 / 7)
    assert tta.average(classes)["classes"] == pytest.approx(classes[0])
