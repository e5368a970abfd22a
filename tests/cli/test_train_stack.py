"""`melalog train stack` on the released models and small pictures, through the command line."""

import asyncio
import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cli.main import app
from models.classifier.calibration import out_of_fold
from models.classifier.data.labels import CLASSES
from models.classifier.data.table import Row
from models.classifier.serving import artifact as classifiers
from models.classifier.serving import preprocess
from models.stack import log_odds, stack_release
from models.vlm.serving import artifact as vlms
from models.vlm.serving.preprocess import encode, prepare
from models.vlm.serving.scoring import score
from services.vlm.engine.embedded import EmbeddedEngine
from tests.pictures import lesion

N = 48


def raw_scores(artifact: classifiers.ClassifierArtifact, pictures: list[Path]) -> np.ndarray:
    """What the graph's calibration was applied to, up to a constant: its classes, with the calibration undone."""
    calibration = json.loads((artifact.folder / "manifest.json").read_text())["calibration"]
    wanted = artifact.manifest.input
    batch = np.stack([preprocess.prepare(Image.open(path).convert("RGB"), wanted.size) for path in pictures])
    session = onnxruntime.InferenceSession(artifact.folder / "model.onnx", providers=["CPUExecutionProvider"])
    classes = session.run(["classes"], {"image": batch})[0].astype(float)
    return (np.log(np.clip(classes, 1e-12, 1)) - np.array(calibration["bias"])) * calibration["temperature"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder and a copy of the released classifier whose out_of_fold.csv names the pictures in it."""
    work = tmp_path_factory.mktemp("stack")
    images = work / "data" / "ham10000" / "images"
    images.mkdir(parents=True)
    records, rows = [], []
    for i in range(N + 16):
        path = images / f"{i}.png"
        lesion(64, 48, seed=i).save(path)
        split, dx = ("test" if i >= N else "train"), CLASSES[i % len(CLASSES)]
        records.append((f"images/{i}.png", dx, f"g{i // 2}", split, hashlib.sha256(path.read_bytes()).hexdigest()))
        rows.append(Row(path, dx, f"g{i // 2}", split, "ham10000"))
    with (work / "data" / "ham10000" / "ham10000.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "dx", "group", "split", "sha256"), *records])
    shutil.copytree(classifiers.RELEASED, work / "classifier")
    scores = raw_scores(classifiers.ClassifierArtifact.load(work / "classifier"), [row.path for row in rows[:N]])
    out_of_fold.write(work / "classifier" / out_of_fold.FILE, rows[:N], np.zeros(N, int), scores)
    return work


def train(work: Path, *options: str) -> Result:
    command = ["train", "stack", "--data", str(work / "data"), "--classifier", str(work / "classifier")]
    return CliRunner().invoke(app, [*command, "--draws", "40", *options], env={"COLUMNS": "300"})


@pytest.fixture(scope="module")
def trained(work: Path) -> Path:
    done = train(work, "--out", str(work / "out"))
    assert done.exit_code == 0, done.output
    return work / "out"


def test_the_stack_is_for_the_digests_that_findings_carry(trained: Path) -> None:
    stack = json.loads((trained / "stack.json").read_text())
    manifest = json.loads((trained / "manifest.json").read_text())
    assert stack["classifier_sha256"] == hashlib.sha256((classifiers.RELEASED / "model.onnx").read_bytes()).hexdigest()
    assert stack["vlm_sha256"] == vlms.VlmArtifact.load(vlms.RELEASED).sha256
    assert manifest["files"]["stack.json"] == hashlib.sha256((trained / "stack.json").read_bytes()).hexdigest()
    assert stack["classifier"] >= 0
    assert stack["vlm"] >= 0
    assert stack["sd"] > 0
    assert stack["n"] == N


def test_the_card_and_the_figures_say_what_was_measured(trained: Path) -> None:
    figures = json.loads((trained / "stack.json").read_text())["metrics"]
    for data, n in (("nested", N), ("test", 16)):
        for part in ("classifier", "vlm", "stack", "stack_less_classifier", "stack_less_vlm"):
            for name in ("auc", "brier", "ece"):
                assert figures[f"{data}_{part}_{name}"]["n"] == n
    card = (trained / "MODEL_CARD.md").read_text()
    assert f"{figures['nested_stack_less_classifier_auc']['value']:+.4f}" in card
    assert "teacher" in card
    assert not list(trained.glob("*.unfinished"))


def test_scores_of_another_classifier_are_refused(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "classifier", tmp_path / "classifier")
    kept = out_of_fold.read(work / "classifier" / out_of_fold.FILE)
    rows = [
        Row(work / "data/ham10000/images" / f"{i}.png", r.dx, r.group, "train", r.source)
        for i, r in enumerate(kept.rows)
    ]
    out_of_fold.write(tmp_path / "classifier" / out_of_fold.FILE, rows, kept.folds, kept.scores[::-1])
    done = train(work, "--out", str(tmp_path / "out"), "--classifier", str(tmp_path / "classifier"))
    assert done.exit_code == 2
    assert "is not of this classifier" in done.output
    assert not (tmp_path / "out").exists()


def test_a_data_folder_without_the_pictures_is_named(work: Path, tmp_path: Path) -> None:
    done = train(work, "--data", str(tmp_path), "--out", str(tmp_path / "out"))
    assert done.exit_code == 2
    assert "MELALOG_DATA_DIR" in done.output


def test_the_released_stack_is_for_the_released_models() -> None:
    stack = json.loads((stack_release.RELEASED / "stack.json").read_text())
    pair = stack_release.Pair(
        classifiers.ClassifierArtifact.load(classifiers.RELEASED), vlms.VlmArtifact.load(vlms.RELEASED)
    )
    default = pair.classifier.manifest.files[pair.classifier.manifest.default]
    assert (stack["classifier_sha256"], stack["vlm_sha256"]) == (default.sha256, pair.vlm.sha256)


def test_the_vlm_is_scored_as_the_service_does(work: Path) -> None:
    released = vlms.VlmArtifact.load(vlms.RELEASED)
    path = work / "data/ham10000/images/3.png"
    engine = EmbeddedEngine(released, threads=1)
    view = released.manifest.input
    data = encode(prepare(Image.open(path).convert("RGB"), view), view)
    served = score(asyncio.run(engine.first_token(data, released.manifest.question, 20))).logit
    assert log_odds.of_vlm(released, [path])[0] == pytest.approx(served, abs=1e-4)
