"""From finished runs to a release: what the gate lets in, and what it refuses."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from export import classifier_folder, ensemble, held_out, release_gate
from models.classifier.calibration import out_of_fold
from models.classifier.calibration.class_scores import ScoreCalibration
from models.classifier.data.labels import MELANOMA
from models.classifier.evaluation import statistics
from models.classifier.serving.artifact import ClassifierArtifact
from models.common.artifact import sha256
from tests.export.factory import add_to_bias, change, melalog, seal

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter warns of its own insides


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
    """Two dozen images decide nothing: each test turns on the check it is about."""
    monkeypatch.setattr(held_out, "MAX_ECE", 1.0)
    monkeypatch.setattr(release_gate, "MARGIN", 1.0)
    monkeypatch.setattr(release_gate, "SUBGROUP_MARGIN", 1.0)


def gate(candidate: Path, released: Path, work: Path) -> dict[str, release_gate.ReleaseCheck]:
    checks = release_gate.checks(ClassifierArtifact.load(candidate), ClassifierArtifact.load(released), work / "data")
    return {check.name: check for check in checks}


def test_several_runs_become_one_artifact_that_says_where_it_comes_from(work: Path) -> None:
    manifest = ClassifierArtifact.load(work / "both").manifest
    assert manifest.name == "test_efficientnet+test_efficientnet"
    assert manifest.provenance is not None
    assert manifest.provenance.command.startswith("melalog")
    assert manifest.provenance.config["backbone"] == "test_efficientnet"
    assert manifest.ood_threshold is not None
    stored = out_of_fold.read(work / "both" / "out_of_fold.csv")
    assert len(stored.rows) == manifest.calibration.n
    card = (work / "both" / "MODEL_CARD.md").read_text()
    assert "test_efficientnet and test_efficientnet, 40 px" in card
    assert "No lesion or patient that the" in card
    assert manifest.provenance.out_of_fold_sha256 == sha256(work / "both" / "out_of_fold.csv")
    assert not manifest.provenance.cross_validated


def test_a_candidate_no_worse_takes_the_released_place(candidate: Path, released: Path, work: Path) -> None:
    output = melalog("release", candidate, "--data", work / "data", "--released", released, "--dry-run")
    assert "every check passed; --dry-run" in output
    assert ClassifierArtifact.load(released).manifest.name == "test_efficientnet"
    output = melalog("release", candidate, "--data", work / "data", "--released", released)
    assert "REFUSED" not in output
    assert ClassifierArtifact.load(released).manifest.name == "test_efficientnet+test_efficientnet"
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
    seal(folder)


def perfect(folder: Path) -> None:
    turned(folder)
    path = folder / "out_of_fold.csv"
    path.write_text(path.read_text().replace("-9.0", "+9.0").replace(",9.0", ",-9.0").replace("+9.0", "9.0"))
    seal(folder)


def test_a_worse_candidate_is_refused_and_nothing_changes(
    candidate: Path, released: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_gate, "MARGIN", 0.01)
    turned(candidate)
    perfect(released)
    before = (released / "manifest.json").read_bytes()
    output = melalog("release", candidate, "--data", work / "data", "--released", released, code=1)
    assert "REFUSED AUC, held out by both" in output
    assert "not released: nothing was changed" in output
    assert (released / "manifest.json").read_bytes() == before


def test_a_file_that_is_not_calibrated_is_refused_whatever_its_manifest_says(
    candidate: Path, released: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hash is right, and so are its stored scores: only the graph is another."""
    before = gate(candidate, released, work)
    assert before["scores computed again"].passed
    assert "of the fold it was calibrated on" in before["calibration"].detail
    monkeypatch.setattr(held_out, "MAX_ECE", float(before["calibration"].detail.split()[1]) + 0.02)
    add_to_bias(candidate, 3.0)
    after = gate(candidate, released, work)
    assert not after["calibration"].passed
    assert not after["scores computed again"].passed


def test_stored_scores_of_another_network_are_refused(candidate: Path, released: Path, work: Path) -> None:
    (candidate / "out_of_fold.csv").write_bytes((released / "out_of_fold.csv").read_bytes())
    check = gate(candidate, released, work)["held-out scores"]
    assert not check.passed
    assert "out_of_fold.csv is not the file that was exported" in check.detail
    seal(candidate)
    check = gate(candidate, released, work)["scores computed again"]
    assert not check.passed
    assert "differ by" in check.detail
    seal(candidate, out_of_fold_sha256=None)
    assert "has no hash of out_of_fold.csv" in gate(candidate, released, work)["held-out scores"].detail
    (released / "out_of_fold.csv").write_text((released / "out_of_fold.csv").read_text() + "\n")
    output = melalog("release", candidate, "--data", work / "data", "--released", released, code=2)
    assert "is not the file that was released" in output


def test_slope_and_offset_count(candidate: Path, released: Path, work: Path) -> None:
    """A graph with Platt's calibration gives its stored scores again only with all of it."""
    loaded = ensemble.load([work / "run1", work / "run2"])
    stored = json.loads((candidate / "manifest.json").read_text())["calibration"]
    fitted = ScoreCalibration(stored["temperature"], tuple(stored["bias"]), slope=0.6, offset=0.8)
    classifier_folder.write_graph(loaded.network, fitted, 40, candidate / "model.onnx", views=2)
    seal(candidate)
    assert not next(iter(held_out.reproduced(ClassifierArtifact.load(candidate), work / "data"))).passed
    change(candidate, calibration={**stored, "slope": 0.6, "offset": 0.8})
    checks = list(held_out.reproduced(ClassifierArtifact.load(candidate), work / "data"))
    assert [check.passed for check in checks] == [True], checks
    stored = out_of_fold.read(candidate / "out_of_fold.csv")
    p = softmax(fitted.apply(stored.scores), axis=1)[:, MELANOMA]
    ece = statistics.expected_calibration_error(np.array([row.melanoma for row in stored.rows], np.float64), p)
    check = next(held_out.calibrated(ClassifierArtifact.load(candidate), work / "data"))
    assert f"ECE {ece:.3f} of model.onnx itself on {len(p)} images" in check.detail


def test_code_that_is_in_no_commit_is_told(candidate: Path, released: Path, work: Path) -> None:
    seal(candidate, commit="1a2b3c4d5e6f-dirty")
    check = gate(candidate, released, work)["provenance"]
    assert check.passed
    assert (check.verdict, "no commit" in check.detail) == ("WARNING", True)
    seal(candidate, commit="1a2b3c4d5e6f")
    assert gate(candidate, released, work)["provenance"].verdict == "passed"


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
    real = release_gate.measurement.run

    def shifted(model: Path, cache: np.ndarray) -> dict[str, np.ndarray]:
        found = real(model, cache)
        return {**found, "melanoma": found["melanoma"] + 0.2}

    monkeypatch.setattr(release_gate.measurement, "run", shifted)
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
    compared = release_gate.Compared("x", rows, new, old)
    assert release_gate.no_worse(compared).passed
    check = release_gate.no_worse_in_worst_subgroup(compared)
    assert not check.passed
    assert "sex female" in check.name


def tiny_row(i: int, *, melanoma: bool, sex: str) -> release_gate.table.Row:
    return release_gate.table.Row(Path(f"{i}.jpg"), "mel" if melanoma else "nv", f"g{i}", "train", "s", sex=sex)


def test_missing_held_out_scores_and_a_tampered_file_are_named(candidate: Path, released: Path, work: Path) -> None:
    (released / "out_of_fold.csv").unlink()
    output = melalog("release", candidate, "--data", work / "data", "--released", released, code=2)
    assert "`melalog export classifier` writes it" in output
    with (candidate / "model.onnx").open("ab") as file:
        file.write(b"x")
    output = melalog("release", candidate, "--data", work / "data", "--released", released, code=2)
    assert "is not the file that was released" in output


def test_a_run_that_is_not_finished_is_named(work: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    options = ("--out", tmp_path / "out", "--data", work / "data", "--config", work / "plan.yaml")
    assert "is not a finished run" in melalog("export", "classifier", tmp_path / "run", *options, code=2)
