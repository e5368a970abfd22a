"""Folds by group, predictions by networks that have not seen the group, taken up again after a kill."""

import json
import os
import resource
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from cli.main import app
from models.classifier.calibration import out_of_fold
from models.classifier.data import table
from models.classifier.data.labels import CLASSES
from models.classifier.data.table import Row
from models.classifier.evaluation import cross_validation
from models.classifier.evaluation.cross_validation import Plan
from models.classifier.network import initial_weights
from models.classifier.network.networks import build
from models.classifier.serving.artifact import RELEASED
from models.classifier.training import clean_start, folds
from models.classifier.training.config import TrainConfig
from tests.models.classifier import tiny


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


def rows_of(data: Path, **changes: Any) -> list[Row]:
    return folds.learnable(tiny.plan(**changes), data)


def cross_validate(data: Path, out: Path, *options: str, **changes: Any) -> Result:
    config = out.parent / "config.yaml"
    config.write_text(yaml.safe_dump(tiny.plan(**changes).model_dump(mode="json")))
    return melalog("--config", str(config), "--out", str(out), "--data", str(data), "--folds", "2", *options)


def melalog(*options: str) -> Result:
    before = dict(os.environ)
    try:
        return CliRunner().invoke(app, ["cross-validate", *options], env={"COLUMNS": "900"})
    finally:  # the command tells plans where the data is
        os.environ.clear()
        os.environ.update(before)


def refused(data: Path, out: Path, *options: str, **changes: Any) -> str:
    done = cross_validate(data, out, *options, **changes)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    return " ".join(done.output.replace("│", " ").split())


@pytest.fixture(scope="module")
def validated(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("validated") / "out"
    done = cross_validate(data, out, "--ensemble", "1", "--refit", "--set", "optimiser.lr=3e-3")
    assert done.exit_code == 0, done.output
    (out / "said").write_text(done.output)
    return out


def test_every_picture_but_the_test_rows_is_judged_once(validated: Path, data: Path) -> None:
    found = out_of_fold.read(validated / out_of_fold.FILE)
    learnable = [row for source in ("ham10000", "isic2017") for row in table.read(data, source) if row.split != "test"]
    assert sorted(found.pictures) == sorted(out_of_fold._sha256(row.path) for row in learnable)  # noqa: SLF001
    assert found.scores.shape == (len(learnable), len(CLASSES))
    by_group = {(row.group, int(fold)) for row, fold in zip(found.rows, found.folds, strict=True)}
    assert len(by_group) == len({row.group for row in learnable})


def test_figures_folds_and_the_ensemble_are_told(validated: Path) -> None:
    told = json.loads((validated / "cross_validation.json").read_text())
    assert told["figures"]["melanoma_auc"]["n"] == 84
    assert [fold["fold"] for fold in told["folds"]] in ([0, 1], [1, 0])
    assert told["folds"][0]["auc"] >= told["folds"][1]["auc"]
    assert told["ensemble"]["members"] == [f"fold-{told['folds'][0]['fold']}"]
    assert (validated / "refit" / "last.pt").is_file()
    assert "Cross-validation of test_efficientnet" in (validated / "report.html").read_text()


def test_what_to_do_next_is_said_as_commands(validated: Path, data: Path) -> None:
    said = (validated / "said").read_text()
    assert "reading 0 pictures" not in said
    told = json.loads((validated / "cross_validation.json").read_text())
    commands = [shlex.split(line) for line in said.splitlines() if line.startswith("melalog export")]
    for command, run in zip(commands, (told["ensemble"]["members"][0], "refit"), strict=True):
        assert command[:4] == ["melalog", "export", "classifier", str(validated / run)]
        assert command[4:8:2] == ["--config", "--out-of-fold"]
        assert command[7] == str(validated / out_of_fold.FILE)
        assert command[8:] == ["--data", str(data), "--out", "runs/candidate"]
        assert TrainConfig.load(command[5]).optimiser.lr == 3e-3
        assert (validated / run / "network.safetensors").is_file()


def test_a_finished_run_is_not_trained_again_and_another_plan_is_refused(validated: Path, data: Path) -> None:
    before = (validated / out_of_fold.FILE).read_bytes()
    again = cross_validate(data, validated, "--set", "optimiser.lr=0.003")
    assert again.exit_code == 0, again.output
    assert again.output.count("finished before") == 2
    assert (validated / out_of_fold.FILE).read_bytes() == before
    other = cross_validate(data, validated, optimiser={"lr": 0.01})
    assert other.exit_code == 2
    assert "choose another --out" in other.output


def test_a_killed_run_goes_on_and_no_network_sees_what_it_judges(data: Path, tmp_path: Path) -> None:
    plan = cross_validation.plan(tiny.plan(), rows_of(data), 3)
    trained: list[str] = []

    def fit(config: TrainConfig, rows: list[Row], folder: Path, validation: list[Row]) -> torch.nn.Module:
        judged = {row.group for row, of in zip(plan.rows, plan.folds, strict=True) if folder.name == f"fold-{of}"}
        assert judged
        assert not judged & {row.group for row in [*rows, *validation]}
        if folder.name == "fold-1" and trained == ["fold-0"]:
            trained.append("killed")
            raise KeyboardInterrupt
        trained.append(folder.name)
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(len(CLASSES)))

    with pytest.raises(KeyboardInterrupt):
        cross_validation.run(plan, tmp_path, fit=fit)
    assert not (tmp_path / out_of_fold.FILE).exists()
    cross_validation.run(plan, tmp_path, fit=fit)
    assert trained == ["fold-0", "killed", "fold-1", "fold-2"]
    assert not list(tmp_path.rglob("*.unfinished"))


def small(n: int, dx: str, start: int = 0, split: str = "train") -> list[Row]:
    return [Row(Path(f"{start + i}.jpg"), dx, f"g{start + i}", split, "small") for i in range(n)]


def test_a_fold_of_one_class_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"fold \d holds no melanoma .*use fewer folds"):
        cross_validation.plan(tiny.plan(), [*small(30, "nv"), *small(2, "mel", 30)], 5)


def test_too_few_groups_are_refused() -> None:
    rows = [Row(Path(f"{i}.jpg"), "nv", f"g{i % 3}", "train", "small") for i in range(30)]
    with pytest.raises(ValueError, match="5 folds need as many groups, and there are 3"):
        cross_validation.plan(tiny.plan(), rows, 5)


def test_a_test_row_is_refused() -> None:
    rows = [*small(20, "nv"), *small(20, "mel", 20), *small(1, "mel", 40, split="test")]
    with pytest.raises(ValueError, match=r"40.jpg is a test row"):
        cross_validation.plan(tiny.plan(), rows, 4)


def written(folder: Path, rows: list[Row]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    table.write_csv(rows, folder / "own.csv")
    return folder / "own.csv"


def test_the_plans_own_table_is_used_without_what_it_holds_out(tmp_path: Path) -> None:
    rows = [*small(40, "nv"), *small(40, "mel", 40), *small(5, "nv", 80, split="validation")]
    others = [Row(Path(f"o{i}.jpg"), "nv", f"g{i}" if i < 3 else f"o{i}", "train", "other") for i in range(20)]
    test = Row(Path("t.jpg"), "mel", "g45", "test", "small")
    path = written(tmp_path, [*rows, *others, test])
    plan = tiny.plan(table=str(path), calibration_source="small", hold_out={"small": 4})
    found, training = folds.learnable(plan, tmp_path), folds.make_folds(plan, tmp_path)
    groups = {row.group for row in found}
    assert groups == {row.group for row in [*training.train, *training.calibration]} - {"g45"}
    assert "g45" in {row.group for row in training.train + training.calibration}
    assert training.held
    assert not groups & {row.group for row in training.held}
    assert {row.split for row in found} == {"train"}
    assert {row.source for row in found} == {"small", "other"}


def test_a_table_that_is_not_there_and_folds_that_are_not_are_named(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "there are only 2 folds" in refused(data, out, "--ensemble", "3")
    assert "no table nowhere.csv" in refused(data, out, "--table", "nowhere.csv")
    assert "no table gone.csv" in refused(data, out, "--set", "table=gone.csv")
    assert "no rows of ham10000 among the sources small" in refused(
        data, out, "--table", str(written(tmp_path, [*small(9, "nv"), *small(9, "mel", 9)]))
    )
    assert not out.exists()


def test_plans_with_other_seeds_share_their_folds(data: Path) -> None:
    chosen = {"selection": {}, "calibration_source": "ham10000", "calibration_folds": 3}
    one, other = (cross_validation.plan(tiny.plan(seed=seed, **chosen), rows_of(data), 3) for seed in (1, 2))
    assert one.folds.tolist() == other.folds.tolist()
    assert one.learned(0) == other.learned(0)
    assert {row.source for row in one.learned(0)[1]} == {"ham10000"}
    moved = cross_validation.plan(tiny.plan(seed=1, fold_seed=2, **chosen), rows_of(data), 3)
    assert moved.folds.tolist() != one.folds.tolist()
    assert moved.learned(0) != one.learned(0)


def write_pth(path: Path, outputs: int | None) -> None:
    """Weights as timm gives them for so many classes; None: without a classifier layer."""
    state = dict(build("test_efficientnet").state_dict())
    head = {name: state.pop(name) for name in list(state) if name.startswith("classifier.")}
    if outputs is not None:
        state |= {name: value[:1].repeat(outputs, *[1] * (value.ndim - 1)) for name, value in head.items()}
    torch.save(state, path)


@pytest.mark.parametrize(
    ("initial", "reason"),
    [
        (str(RELEASED), "it is the folder of a released classifier or of a run"),
        ("WORK/fold-0/network.safetensors", "it is the network of another run"),
        ("WORK/fold-0/last.pt", "it is none of .npz, .pth, .safetensors"),
        ("WORK/renamed.pth", "its classifier layer has 7 outputs"),
        ("WORK/binary.pth", "its classifier layer has 2 outputs"),
    ],
)
def test_weights_that_may_know_the_pictures_are_refused(
    initial: str, reason: str, validated: Path, data: Path, tmp_path: Path
) -> None:
    shutil.copytree(validated / "fold-0", tmp_path / "work" / "fold-0")
    shutil.copyfile(validated / "fold-0" / "last.pt", tmp_path / "work" / "renamed.pth")
    write_pth(tmp_path / "work" / "binary.pth", 2)
    out = tmp_path / "out"
    told = refused(data, out, initial=initial.replace("WORK", str(tmp_path / "work")))
    assert reason in told
    assert "may have learned the very pictures that each fold is to judge" in told
    assert "--set initial=null" in told
    assert not out.exists()


def test_a_teacher_is_refused(data: Path, tmp_path: Path) -> None:
    told = refused(data, tmp_path / "out", "--set", f"distillation.teacher={RELEASED}")
    assert f"refuses the teacher {RELEASED}" in told
    assert "--set distillation=null" in told
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_there_are_named(data: Path, tmp_path: Path) -> None:
    assert "there is no gone.pth" in refused(data, tmp_path / "out", initial="gone.pth")


@pytest.mark.parametrize("outputs", [None, 1000, 21843])
def test_imagenet_weights_are_welcome(outputs: int | None, tmp_path: Path) -> None:
    write_pth(tmp_path / "a.pth", outputs)
    initial_weights.write(torch.nn.Linear(3, 1000), tmp_path / "a.safetensors", {})
    (tmp_path / "a.npz").touch()
    for initial in (None, "imagenet", *(str(tmp_path / f"a.{kind}") for kind in ("pth", "safetensors"))):
        clean_start.check(tiny.plan(initial=initial))
    clean_start.check(tiny.plan(initial=str(tmp_path / "a.npz"), normalisation="half", pad_type="same"))


def test_a_table_needs_no_data_folder(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MELALOG_DATA_DIR", raising=False)
    path = written(tmp_path / "own", rows_of(data))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tiny.plan().model_dump(mode="json")))
    out = tmp_path / "out"
    plan = ("--config", str(tmp_path / "config.yaml"), "--out", str(out), "--folds", "2")
    done = melalog(*plan, "--table", str(path), "--ensemble", "1")
    assert done.exit_code == 0, done.output
    assert shlex.split(done.output.splitlines()[-1])[-4:] == ["--data", str(path.parent), "--out", "runs/candidate"]
    assert TrainConfig.load(out / "config.yaml").table == str(path)
    without = melalog(*plan)
    assert without.exit_code == 2
    assert "no images given" in without.output


def test_a_shipped_plan_is_named_and_changed_as_in_training(data: Path, tmp_path: Path) -> None:
    small_run = ("backbone=test_resnet", "stages=[{epochs: 1, size: 32}]", "cache_size=32", "validation_folds=2")
    changes = [word for change in small_run for word in ("--set", change)]
    where = ("--data", str(data), "--out", str(tmp_path / "out"), "--folds", "2")
    done = melalog("--config", "resnet18-scratch", *where, *changes)
    assert done.exit_code == 0, done.output
    assert "70 images in 2 folds" in done.output
    wrong = melalog("--config", "resnet18", *where)
    assert wrong.exit_code == 2
    assert "no plan resnet18: name a YAML file, or one of b0-224" in " ".join(wrong.output.split())
    assert "optimiser.rate" in refused(data, tmp_path / "other", "--set", "optimiser.rate=1")
    assert not (tmp_path / "other").exists()


def test_a_full_disk_is_said_and_leaves_nothing_half_written(data: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # the plan fits, a checkpoint does not
    try:
        told = refused(data, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "is the disk full?" in told
    assert (tmp_path / "out" / "plan.json").is_file()
    assert not list((tmp_path / "out").rglob("*.unfinished"))


def test_a_rate_too_high_and_a_broken_checkpoint_are_named(data: Path, tmp_path: Path) -> None:
    assert "lower" in refused(data, tmp_path / "out", optimiser={"lr": 1e30, "warmup": 0})
    (tmp_path / "broken" / "fold-0").mkdir(parents=True)
    (tmp_path / "broken" / "fold-0" / "last.pt").write_bytes(b"nonsense")
    assert "is no checkpoint of this program" in refused(data, tmp_path / "broken")


def test_sources_and_labels_are_spread_over_the_folds() -> None:
    plan = cross_validation.plan(tiny.plan(), [*small(100, "nv"), *small(25, "mel", 100)], 5)
    for fold in plan.numbers:
        assert sum(bool(row.melanoma) for row, of in zip(plan.rows, plan.folds, strict=True) if of == fold) == 5


def test_probabilities_are_calibrated_on_the_other_folds_only() -> None:
    rows = [*small(60, "nv"), *small(60, "mel", 60)]
    plan = Plan(tiny.plan(), rows, np.arange(120) % 2)
    scores = np.random.default_rng(0).normal(0, 1, (120, len(CLASSES)))
    before = cross_validation.calibrated(plan, scores)["melanoma"]
    other = [Row(row.path, "nv", row.group, row.split, row.source) for row in rows]
    mixed = [new if i % 2 == 0 else old for i, (new, old) in enumerate(zip(other, rows, strict=True))]
    after = cross_validation.calibrated(Plan(plan.config, mixed, plan.folds), scores)["melanoma"]
    assert after[::2] == pytest.approx(before[::2])
    assert after[1::2] != pytest.approx(before[1::2])


def test_an_auc_too_good_to_be_true_is_warned_of() -> None:
    (warning,) = cross_validation.leak_warnings({"fold 0": 0.98, "fold 1": 0.9})
    assert "fold 0" in warning
    assert "leak" in warning


def test_a_test_row_never_gets_into_the_file(tmp_path: Path) -> None:
    rows = small(1, "nv", split="test")
    with pytest.raises(ValueError, match="is a test row"):
        out_of_fold.write(tmp_path / "o.csv", rows, np.array([0]), np.zeros((1, 7)))
    assert not list(tmp_path.iterdir())


def test_the_file_keeps_what_was_written_and_names_what_is_broken(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"bytes")
    path = tmp_path / "o.csv"
    scores = np.random.default_rng(0).normal(0, 9, (2, 7))
    rows = [Row(picture, "mel", "g,1", "train", "s"), Row(picture, "malignant", "g2", "train", "s")]
    out_of_fold.write(path, rows, np.array([3, 4]), scores)
    found = out_of_fold.read(path)
    assert np.array_equal(found.scores, scores)
    assert [(row.dx, row.group, row.melanoma) for row in found.rows] == [
        ("mel", "g,1", True),
        ("malignant", "g2", None),
    ]
    assert found.folds.tolist() == [3, 4]
    text = path.read_text()
    for broken, said in (
        (text.replace("score_mel", "score"), "no column score_mel"),
        (text.replace(",4,malignant", ",x,malignant"), "line 3: fold and scores"),
        (text.replace(",4,malignant", ",4,wart"), "no such label 'wart'"),
        (text.splitlines()[0] + "\n", "has no row"),
    ):
        path.write_text(broken)
        with pytest.raises(ValueError, match=said):
            out_of_fold.read(path)
