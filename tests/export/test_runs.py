"""Which runs become an artifact, and on which predictions they are calibrated."""

import csv
import shutil
from pathlib import Path

import pytest

from export import ensemble, held_out
from models.classifier.calibration import out_of_fold
from models.classifier.data import table
from models.classifier.network import initial_weights
from models.classifier.serving.artifact import ClassifierArtifact
from models.classifier.training.config import TrainConfig
from models.classifier.training.folds import make_folds
from tests.export.factory import PLAN, add_to_bias, melalog
from tests.models.classifier import tiny

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter warns of its own insides


def export(work: Path, out: Path, *runs: str | Path, config: Path | None = None, words: tuple[str | Path, ...] = (),
           code: int = 0) -> str:  # fmt: skip
    options = ("--out", out, "--data", work / "data", "--config", config or work / "plan.yaml")
    return melalog("export", "classifier", *[work / run for run in runs], *options, *words, code=code)


@pytest.fixture(scope="session")
def crossed(work: Path) -> Path:
    """Two folds and a refit of the plan."""
    out = work / "crossed"
    melalog(
        "cross-validate",
        "--config",
        work / "plan.yaml",
        "--data",
        work / "data",
        "--out",
        out,
        "--folds",
        "2",
        "--refit",
    )
    return out


def test_a_run_says_what_it_learned_from(work: Path) -> None:
    known = ensemble.load([work / "run1"]).learned[0]
    assert known is not None
    config = TrainConfig.load(work / "plan.yaml")
    folds = make_folds(config, work / "data")
    assert known.of(folds.train) == {row.group for row in folds.train}
    assert known.of(folds.calibration) == set()
    assert known.plan == config.model_copy(update={"seed": 1}).model_dump(mode="json")
    _, about = initial_weights.read(work / "run1" / "network.safetensors")
    assert not any(row.group in value for row in folds.train for value in about.values())


def test_what_the_first_weights_and_the_teacher_learned_from_counts(work: Path) -> None:
    from models.classifier.training import learned  # noqa: PLC0415

    config = TrainConfig.load(work / "plan.yaml")
    folds = make_folds(config, work / "data")
    first = str(work / "run1" / "network.safetensors")
    for changed in (
        config.model_copy(update={"initial": first}),
        TrainConfig.model_validate(config.model_dump() | {"distillation": {"teacher": first}}),
    ):
        known = learned.read(learned.record(changed, folds.calibration[:1]))
        assert known is not None
        assert known.of(folds.train) == {row.group for row in folds.train}
        assert known.of(folds.calibration) == {folds.calibration[0].group}


def test_a_run_that_learned_the_calibration_fold_is_refused(work: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(PLAN + "fold_seed: 7\n")
    output = export(work, tmp_path / "out", "run1", config=other, code=2)
    assert "run1 has learned from" in output
    assert "fold_seed 42 there, 7 in the plan" in output
    assert not list(tmp_path.glob("out*"))
    output = export(work, tmp_path / "out", "run1", config=other, words=("--trust-plan",), code=2)
    assert "run1 has learned from" in output


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("stages: [{epochs: 1, size: 32}]\n", "trained for images of 40 px, and the plan says 32 px"),
        ("geometry: crop\n", "trained with geometry squash, and the plan says crop"),
    ],
)
def test_a_run_of_another_plan_is_refused(work: Path, tmp_path: Path, change: str, word: str) -> None:
    key = change.partition(":")[0]
    other = tmp_path / "other.yaml"
    other.write_text("".join(line + "\n" for line in PLAN.splitlines() if not line.startswith(key)) + change)
    assert word in export(work, tmp_path / "out", "run1", config=other, code=2)


def test_an_old_run_needs_to_be_vouched_for(work: Path, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    path = work / "run1" / "network.safetensors"
    import safetensors.torch  # noqa: PLC0415

    _, about = initial_weights.read(path)
    state = safetensors.torch.load_file(path)
    metadata = {key: value for key, value in about.items() if key in {"backbone", "normalisation", "pad_type", "size"}}
    safetensors.torch.save_file(state, tmp_path / "old" / "network.safetensors", metadata)
    output = export(work, tmp_path / "out", tmp_path / "old", code=2)
    assert "does not say what it learned from" in output
    assert "--trust-plan" in output
    config = TrainConfig.load(work / "plan.yaml")
    ensemble.check(
        ensemble.load([tmp_path / "old"]), config, make_folds(config, work / "data").calibration, trust_plan=True
    )


def test_networks_of_folds_are_calibrated_on_out_of_fold_predictions(
    work: Path, crossed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "has learned from" in export(work, tmp_path / "out", crossed / "fold-0", crossed / "refit", code=2)
    words = ("--out-of-fold", crossed / "out_of_fold.csv")
    assert "cannot calibrate 2 views" in export(
        work, tmp_path / "out", crossed / "refit", words=(*words, "--views", "2"), code=2
    )
    output = export(work, tmp_path / "out", crossed / "refit", words=words)
    assert "candidate written to" in output
    artifact = ClassifierArtifact.load(tmp_path / "out")
    predictions = out_of_fold.read(crossed / "out_of_fold.csv")
    assert artifact.manifest.calibration.n == sum(row.source == "ham10000" for row in predictions.rows)
    assert "out-of-fold predictions of 2 folds" in artifact.manifest.calibration.data
    assert (tmp_path / "out" / "out_of_fold.csv").read_bytes() == (crossed / "out_of_fold.csv").read_bytes()
    assert "have learned every fold" in (tmp_path / "out" / "MODEL_CARD.md").read_text()
    folds = make_folds(TrainConfig.load(work / "plan.yaml"), work / "data")
    assert artifact.manifest.training_data_sha256 != table.digest(folds.train)
    checks = [*held_out.reproduced(artifact, work / "data"), *held_out.calibrated(artifact, work / "data")]
    assert [check.name for check in checks if not check.passed] in ([], ["calibration"])
    assert "are not computed again" in checks[0].detail
    assert "out-of-fold predictions of 2 folds" in checks[-1].detail
    add_to_bias(tmp_path / "out", 3.0)
    assert not list(held_out.reproduced(ClassifierArtifact.load(tmp_path / "out"), work / "data"))[-1].passed


def test_predictions_of_one_fold_calibrate_nothing(work: Path, tmp_path: Path) -> None:
    words = ("--out-of-fold", work / "one" / "out_of_fold.csv")
    assert "has one fold alone" in export(work, tmp_path / "out", "run1", words=words, code=2)
    assert not list(tmp_path.iterdir())


def test_a_picture_that_breaks_in_the_middle_leaves_nothing(work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "data", tmp_path / "data")
    config = TrainConfig.load(work / "plan.yaml")
    broken = make_folds(config, tmp_path / "data").calibration[-1].path
    broken.write_bytes(b"\xff\xd8 broken")
    options = ("--out", tmp_path / "out", "--data", tmp_path / "data", "--config", work / "plan.yaml")
    output = melalog("export", "classifier", work / "run1", *options, code=2)
    assert "cannot read the image" in output
    assert not list(tmp_path.glob("out*"))


def test_own_pictures_alone_become_a_candidate_that_says_what_was_not_measured(tmp_path: Path) -> None:
    data = tiny.write_data(tmp_path / "elsewhere")
    rows = [row for source in ("ham10000",) for row in table.read(data, source)]
    own = [
        table.Row(row.path, row.dx, row.group, row.split, "clinic", age=40 + 30 * (i % 2), sex="female")
        for i, row in enumerate(rows)
    ]
    table.write_csv(own, tmp_path / "clinic.csv")
    (tmp_path / "plan.yaml").write_text(f"{PLAN}table: {tmp_path / 'clinic.csv'}\ncalibration_source: null\n")
    (tmp_path / "empty").mkdir()
    run = ("--out", tmp_path / "run", "--data", tmp_path / "empty", "--config", tmp_path / "plan.yaml")
    output = melalog("train", "classifier", *run)
    assert "released" not in output.replace("the released model", "")
    assert f"candidate written to {tmp_path / 'run' / 'artifact'}" in output
    assert "not measured: ham10000 test: not in the data folder" in output
    artifact = ClassifierArtifact.load(tmp_path / "run" / "artifact")
    assert artifact.manifest.files["model.onnx"].metrics["clinic_test_melanoma_auc"].n == 14
    assert artifact.manifest.provenance is not None
    assert artifact.manifest.provenance.out_of_fold_sha256
    card = " ".join((artifact.folder / "MODEL_CARD.md").read_text().split())
    assert "clinic test melanoma auc" in card
    assert "age 60 to 74 (7, melanoma 1)" in card
    assert "Too few for a figure" in card
    assert "HAM10000" not in card
    assert str(tmp_path) not in card
    assert "CC BY-NC" not in card
    with (artifact.folder / "out_of_fold.csv").open(newline="") as file:
        assert {record["source"] for record in csv.DictReader(file)} == {"clinic"}
