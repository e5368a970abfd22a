"""From finished runs to a release: what the gate lets in, and what it refuses."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from cli.main import app
from export import release
from models.classifier import out_of_fold
from models.classifier.artifact import Artifact
from tests.models.classifier import tiny

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter warns of its own insides
PLAN = """\
backbone: test_efficientnet
calibration_folds: 2
cache_size: 40
stages: [{epochs: 1, size: 40}]
batch_size: 16
ema_decay: 0.5
precision: fp32
optimiser: {lr: 0.01}
selection: null
"""


def melalog(*words: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return " ".join(done.output.replace("│", " ").split())


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of the same plan, and an artifact of the first and of both; tests must leave them as they are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    work = tmp_path_factory.mktemp("release")
    data = tiny.write_data(work / "data")
    shutil.copytree(data / "ham10000", data / "pad_ufes_20")
    photographs = data / "pad_ufes_20" / "pad_ufes_20.csv"
    (data / "pad_ufes_20" / "ham10000.csv").rename(photographs)
    photographs.write_text(photographs.read_text().replace("ham10000-", "pad-").replace(",test", ",train"))
    (work / "plan.yaml").write_text(PLAN)
    for seed in ("1", "2"):
        run = ("--out", work / f"run{seed}", "--data", data, "--config", work / "plan.yaml", "--set", f"seed={seed}")
        melalog("train", "classifier", *run, "--only-train")
    for name, runs in (("one", ["run1"]), ("both", ["run1", "run2"])):
        made = ("--out", work / name, "--data", data, "--config", work / "plan.yaml", "--version", "2.0.0")
        melalog("export", "classifier", *[work / run for run in runs], *made)
    torch.set_num_threads(threads)
    return work


@pytest.fixture
def candidate(work: Path, tmp_path: Path) -> Path:
    shutil.copytree(work / "both", tmp_path / "candidate")
    return tmp_path / "candidate"


@pytest.fixture
def released(work: Path, tmp_path: Path) -> Path:
    shutil.copytree(work / "one", tmp_path / "released")
    return tmp_path / "released"


@pytest.fixture(autouse=True)
def tolerant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two dozen pictures decide nothing: each test turns on the check it is about."""
    monkeypatch.setattr(release, "MAX_ECE", 1.0)
    monkeypatch.setattr(release, "MARGIN", 1.0)
    monkeypatch.setattr(release, "SUBGROUP_MARGIN", 1.0)


def gate(candidate: Path, released: Path, work: Path) -> dict[str, release.Check]:
    checks = release.gate(Artifact.load(candidate), Artifact.load(released), work / "data")
    return {check.name: check for check in checks}


def test_several_runs_become_one_artifact_that_says_where_it_comes_from(work: Path) -> None:
    manifest = Artifact.load(work / "both").manifest
    assert manifest.name == "test_efficientnet+test_efficientnet"
    assert manifest.provenance is not None
    assert manifest.provenance.command.startswith("melalog")
    assert manifest.provenance.config["backbone"] == "test_efficientnet"
    assert manifest.ood_threshold is not None
    kept = out_of_fold.read(work / "both" / "out_of_fold.csv")
    assert len(kept.rows) == manifest.calibration.n
    card = (work / "both" / "MODEL_CARD.md").read_text()
    assert "test_efficientnet and test_efficientnet, 40 px" in card
    assert "No lesion or patient that the" in card


def test_a_candidate_no_worse_takes_the_released_place(candidate: Path, released: Path, work: Path) -> None:
    said = melalog("release", candidate, "--data", work / "data", "--released", released, "--dry-run")
    assert "the gate is open; --dry-run" in said
    assert Artifact.load(released).manifest.name == "test_efficientnet"
    said = melalog("release", candidate, "--data", work / "data", "--released", released)
    assert "REFUSED" not in said
    assert Artifact.load(released).manifest.name == "test_efficientnet+test_efficientnet"
    assert {path.name for path in released.parent.iterdir()} == {"candidate", "released"}


def turned(folder: Path) -> None:
    """Held-out scores that say the opposite."""
    path = folder / "out_of_fold.csv"
    with path.open(newline="") as file:
        records = list(csv.DictReader(file))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, records[0].keys())
        writer.writeheader()
        for record in records:
            perfect = 9.0 if record["melanoma"] == "1" else -9.0
            writer.writerow({**record, "score_mel": -perfect})


def perfect(folder: Path) -> None:
    turned(folder)
    path = folder / "out_of_fold.csv"
    path.write_text(path.read_text().replace("-9.0", "+9.0").replace(",9.0", ",-9.0").replace("+9.0", "9.0"))


def test_a_worse_candidate_is_refused_and_nothing_changes(
    candidate: Path, released: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "MARGIN", 0.01)
    turned(candidate)
    perfect(released)
    before = (released / "manifest.json").read_bytes()
    said = melalog("release", candidate, "--data", work / "data", "--released", released, code=1)
    assert "REFUSED AUC, held out by both" in said
    assert "not released: nothing was changed" in said
    assert (released / "manifest.json").read_bytes() == before


def test_an_uncalibrated_candidate_is_refused(
    candidate: Path, released: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "MAX_ECE", 0.05)
    turned(candidate)
    assert not gate(candidate, released, work)["calibration"].passed


def test_a_candidate_without_provenance_is_refused(candidate: Path, released: Path, work: Path) -> None:
    path = candidate / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["provenance"] = {"config": {"backbone": "x"}, "command": "melalog"}
    path.write_text(json.dumps(manifest))
    check = gate(candidate, released, work)["provenance"]
    assert not check.passed
    assert "lacks commit, data" in check.detail


def test_a_graph_that_breaks_the_contract_is_refused(
    candidate: Path, released: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = release.evaluate.run

    def shifted(model: Path, cache: np.ndarray) -> dict[str, np.ndarray]:
        found = real(model, cache)
        return {**found, "melanoma": found["melanoma"] + 0.2}

    monkeypatch.setattr(release.evaluate, "run", shifted)
    check = gate(candidate, released, work)["contract"]
    assert not check.passed
    assert "melanoma is classes.mel" in check.detail


def test_the_worst_subgroup_counts_on_its_own() -> None:
    """Better over all, and worse among the women: refused."""
    rng = np.random.default_rng(0)
    truth = rng.random(800) < 0.3
    women = np.arange(800) < 200
    rows = [tiny_row(i, melanoma=bool(truth[i]), sex="female" if women[i] else "male") for i in range(800)]
    old = truth + rng.normal(0, 1, 800)
    new = np.where(women, rng.normal(0, 1, 800), truth + rng.normal(0, 0.3, 800))
    compared = release.Compared("x", rows, new, old)
    assert release.no_worse(compared).passed
    check = release.no_worse_in_worst_subgroup(compared)
    assert not check.passed
    assert "sex female" in check.name


def tiny_row(i: int, *, melanoma: bool, sex: str) -> release.table.Row:
    return release.table.Row(Path(f"{i}.jpg"), "mel" if melanoma else "nv", f"g{i}", "train", "s", sex=sex)


def test_missing_held_out_scores_and_a_tampered_file_are_named(candidate: Path, released: Path, work: Path) -> None:
    (released / "out_of_fold.csv").unlink()
    said = melalog("release", candidate, "--data", work / "data", "--released", released, code=2)
    assert "`melalog cross-validate` writes it" in said
    with (candidate / "model.onnx").open("ab") as file:
        file.write(b"x")
    said = melalog("release", candidate, "--data", work / "data", "--released", released, code=2)
    assert "is not the file that was released" in said


def test_a_run_that_is_not_finished_is_named(work: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    made = ("--out", tmp_path / "out", "--data", work / "data", "--config", work / "plan.yaml")
    assert "is no finished run" in melalog("export", "classifier", tmp_path / "run", *made, code=2)
