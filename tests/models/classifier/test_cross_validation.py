"""Folds by group, predictions by networks that have not seen the group, taken up again after a kill."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner, Result

from cli.main import app
from models.classifier import cross_validation, out_of_fold, table
from models.classifier.config import TrainConfig
from models.classifier.cross_validation import Plan
from models.classifier.labels import CLASSES
from models.classifier.table import Row
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


def rows_of(data: Path) -> list[Row]:
    return [row for source in ("ham10000", "isic2017") for row in table.read(data, source)]


def cross_validate(data: Path, out: Path, *options: str, **changes: Any) -> Result:
    config = out.parent / "config.yaml"
    config.write_text(yaml.safe_dump(tiny.plan(**changes).model_dump(mode="json")))
    command = ["cross-validate", "--config", str(config), "--out", str(out), "--data", str(data), "--folds", "2"]
    return CliRunner().invoke(app, [*command, *options], env={"COLUMNS": "300"})


@pytest.fixture(scope="module")
def validated(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("validated") / "out"
    done = cross_validate(data, out, "--ensemble", "1", "--refit")
    assert done.exit_code == 0, done.output
    return out


def test_every_picture_but_the_test_rows_is_judged_once(validated: Path, data: Path) -> None:
    found = out_of_fold.read(validated / out_of_fold.FILE)
    learnable = [row for row in rows_of(data) if row.split != "test"]
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


def test_a_finished_run_is_not_trained_again_and_another_plan_is_refused(validated: Path, data: Path) -> None:
    before = (validated / out_of_fold.FILE).read_bytes()
    again = cross_validate(data, validated)
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
    assert not list(tmp_path.rglob("*.tmp"))


def small(n: int, dx: str, start: int = 0, split: str = "train") -> list[Row]:
    return [Row(Path(f"{start + i}.jpg"), dx, f"g{start + i}", split, "small") for i in range(n)]


def test_a_fold_of_one_class_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"fold \d holds no melanoma .*use fewer folds"):
        cross_validation.plan(tiny.plan(), [*small(30, "nv"), *small(2, "mel", 30)], 5)


def test_too_few_groups_are_refused() -> None:
    rows = [Row(Path(f"{i}.jpg"), "nv", f"g{i % 3}", "train", "small") for i in range(30)]
    with pytest.raises(ValueError, match="5 folds need as many groups, and there are 3"):
        cross_validation.plan(tiny.plan(), rows, 5)


def test_what_shares_a_group_with_a_test_row_is_left_out() -> None:
    rows = [*small(20, "nv"), *small(20, "mel", 20)]
    rows += [Row(Path("t.jpg"), "mel", "g25", "test", "other")]
    plan = cross_validation.plan(tiny.plan(), rows, 4)
    assert len(plan.rows) == 39
    assert "g25" not in {row.group for row in plan.rows}


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
