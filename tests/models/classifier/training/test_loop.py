"""Training that is killed and taken up again is the training that never stopped; what is kept is the best."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.classifier.data import image_pool
from models.classifier.network import initial_weights
from models.classifier.network.networks import build
from models.classifier.training import batches, log, scores
from models.classifier.training.config import TrainConfig
from models.classifier.training.folds import absent, check, make_folds
from models.classifier.training.loop import Trainer
from models.classifier.training.training_errors import CheckpointError, TrainingError
from tests.models.classifier import tiny

TWO_PHASES = ({"epochs": 1, "size": 32, "frozen": True}, {"epochs": 1, "size": 40})
RARE = {"classes": ["mel"], "times": 2, "augmentation": {"zoom": 2}, "transforms": ["AutoAugment"]}
EVERYTHING: dict[str, Any] = {
    "stages": TWO_PHASES,
    "precision": "bf16",
    "accumulation": 2,
    "batch_size": 8,
    "transforms": [{"name": "ColorJitter", "brightness": 0.2}, "RandomErasing"],
    "rare": RARE,
    "loss": {"name": "focal", "mixup": 0.4, "class_weights": "balanced"},
    "optimiser": {"lr": 1e-3, "head_lr": 5e-3, "layer_decay": 0.8},
    "selection": {"metric": "f1"},
    "validation_folds": 3,
}


class Killed(Exception):  # noqa: N818
    """Stands for a power cut."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


def trainer(config: TrainConfig, data: Path, folder: Path) -> Trainer:
    folds = make_folds(config, data)
    return Trainer(config, folds.train, folder, folds.validation or folds.calibration)


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def kill_at(step: int, run: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends while it makes the batches of this step, counted over all epochs."""
    draw, drawn = batches.Lesson.draw, 0

    def dying(*arguments: Any) -> batches.Batch:
        nonlocal drawn
        drawn += 1
        if drawn == step:
            raise Killed
        return draw(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(batches.Lesson, "draw", dying)
        with pytest.raises(Killed):
            run.run()


@pytest.mark.parametrize(
    ("changes", "step"),
    [({}, 2), ({}, 5), (EVERYTHING, 2), (EVERYTHING, 6)],
    ids=["plain-1", "plain-2", "all-1", "all-2"],
)
def test_a_killed_run_goes_on_to_the_same_weights(
    changes: dict[str, Any], step: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.plan(**changes)
    whole = trainer(config, data, tmp_path / "whole").run()
    kill_at(step, trainer(config, data, tmp_path / "killed"), monkeypatch)
    torch.manual_seed(12345)
    epochs: list[int] = []
    network = trainer(config, data, tmp_path / "killed").run(lambda epoch, _: epochs.append(epoch))
    assert epochs == ([1, 2] if step == 2 else [2])
    assert same(network, whole)
    assert not list((tmp_path / "killed").glob("*.unfinished"))
    lines = [json.loads(line) for line in (tmp_path / "killed" / log.FILE).read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]


def test_a_finished_run_is_not_trained_again(data: Path, tmp_path: Path) -> None:
    config = tiny.plan(**EVERYTHING)
    whole = trainer(config, data, tmp_path).run()
    again = trainer(config, data, tmp_path).run(lambda *_: pytest.fail("trained again"))
    assert same(again, whole)
    state, about = initial_weights.read(tmp_path / "network.safetensors")
    assert all(torch.equal(state[name], value) for name, value in whole.state_dict().items())
    assert (about["backbone"], about["size"]) == ("test_efficientnet", "40")


def test_another_plan_or_other_pictures_do_not_go_on_with_these_weights(data: Path, tmp_path: Path) -> None:
    config = tiny.plan()
    rows = make_folds(config, data).train
    Trainer(config, rows, tmp_path).run()
    with pytest.raises(ValueError, match="another configuration: choose another --out folder"):
        Trainer(tiny.plan(optimiser={"lr": 0.1}), rows, tmp_path).run()
    with pytest.raises(ValueError, match="another set of pictures"):
        Trainer(config, rows[:-1], tmp_path).run()


def test_a_checkpoint_that_is_none_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"hello")
    with pytest.raises(CheckpointError, match=r"last\.pt is no checkpoint"):
        trainer(tiny.plan(), data, tmp_path).run()


def test_a_full_disk_is_named_and_leaves_the_last_checkpoint(data: Path, tmp_path: Path) -> None:
    config = tiny.plan()

    def fill_the_disk(epoch: int, _: float) -> None:
        if epoch == 1:
            (tmp_path / "last.pt.unfinished").symlink_to("/dev/full")

    with pytest.raises(CheckpointError, match=r"cannot write .*last\.pt .*is the disk full\?"):
        trainer(config, data, tmp_path).run(fill_the_disk)
    assert not list(tmp_path.glob("*.unfinished"))
    epochs: list[int] = []
    trainer(config, data, tmp_path).run(lambda epoch, _: epochs.append(epoch))
    assert epochs == [2]


def test_a_picture_that_breaks_in_the_middle_of_an_epoch_is_named(tmp_path: Path) -> None:
    """Read from disk because the memory allowed is nought; the epochs before are kept."""
    data = tiny.write_data(tmp_path / "data")
    config = tiny.plan(cache_gb=0, sampling={"method": "shuffle"})
    run = trainer(config, data, tmp_path / "run")
    drawn = batches.Lesson(run.rows, config, torch.device("cpu")).order(1, run.steps_per_epoch, 1)
    broken = run.rows[int(drawn[1, 0, 3])].path  # in the middle of the second epoch

    def break_it(epoch: int, _: float) -> None:
        if epoch == 1:
            broken.write_bytes(broken.read_bytes()[:200])

    with pytest.raises(ValueError, match=str(broken)):
        run.run(break_it)
    assert (tmp_path / "run" / "last.pt").exists()


def test_pictures_read_from_disk_train_as_those_in_memory(data: Path, tmp_path: Path) -> None:
    one, other = (trainer(tiny.plan(cache_gb=gb), data, tmp_path / str(gb)).run() for gb in (0.0, 1.0))
    assert same(one, other)


def test_a_loss_that_is_no_number_stops_the_run(data: Path, tmp_path: Path) -> None:
    broken = trainer(tiny.plan(), data, tmp_path)
    with torch.no_grad():
        next(iter(broken.network.parameters())).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"lower optimiser\.lr"):
        broken.run()
    assert not (tmp_path / "last.pt").exists()


def test_what_is_trained_is_the_average_and_in_evaluation_mode(data: Path, tmp_path: Path) -> None:
    run = trainer(tiny.plan(), data, tmp_path)
    network = run.run()
    assert not network.training
    assert not same(network, run.network)
    plain = trainer(tiny.plan(ema_decay=0), data, tmp_path / "plain")
    assert same(plain.run(), plain.network)


def test_the_warm_up_moves_the_head_alone(data: Path, tmp_path: Path) -> None:
    run = trainer(tiny.plan(stages=TWO_PHASES), data, tmp_path)
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    after: dict[str, Tensor] = {}

    def look(epoch: int, _: float) -> None:
        if epoch == 1:
            after.update({name: value.clone() for name, value in run.network.state_dict().items()})

    run.run(look)
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"classifier"}
    final = run.network.state_dict()
    assert not torch.equal(final["conv_stem.weight"], before["conv_stem.weight"])


def with_values(values: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter(values)
    monkeypatch.setattr(scores, "judge", lambda *_: next(told))


def test_the_best_epoch_of_each_phase_is_kept_and_impatience_ends_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = ({"epochs": 4, "size": 32, "frozen": True}, {"epochs": 3, "size": 32})
    config = tiny.plan(stages=stages, selection={"metric": "auc", "patience": 2}, ema_decay=0)
    run = trainer(config, data, tmp_path)
    seen: list[dict[str, Tensor]] = []
    with_values([0.7, 0.6, 0.5, 0.6, 0.9, 0.8], monkeypatch)
    network = run.run(lambda *_: seen.append({k: v.clone() for k, v in run.network.state_dict().items()}))
    assert [(line["phase"], line["best"]) for line in run.history] == [
        ("warm-up", True),
        ("warm-up", False),
        ("warm-up", False),  # the second without a better one: the phase ends before its fourth epoch
        ("fine-tuning", True),
        ("fine-tuning", True),
        ("fine-tuning", False),
    ]
    assert all(torch.equal(value, seen[4][name]) for name, value in network.state_dict().items())
    warm, _ = initial_weights.read(tmp_path / "best-warm-up.safetensors")
    assert all(torch.equal(value, warm[name]) for name, value in seen[0].items())
    # Fine-tuning began from the best of the warm-up, which is what the last epoch of it hands over.
    assert all(torch.equal(value, warm[name]) for name, value in seen[2].items())


def test_a_log_loss_is_better_when_it_is_lower(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer(tiny.plan(selection={"metric": "loss"}), data, tmp_path)
    with_values([0.7, 0.6], monkeypatch)
    run.run()
    assert [line["best"] for line in run.history] == [True, True]


def test_too_few_pictures_for_a_step_are_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not fill one step of 1 batches of 1000: lower batch_size"):
        trainer(tiny.plan(batch_size=1000), data, tmp_path)


def test_fp16_asks_for_cuda(data: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(TrainingError, match="fp16 is for CUDA"):
        trainer(tiny.plan(precision="fp16"), data, tmp_path)


def change_labels(data: Path, change: Callable[[str], str]) -> Path:
    for table in data.glob("*/*.csv"):
        lines = table.read_text().splitlines()
        table.write_text("\n".join([lines[0], *map(change, lines[1:])]) + "\n")
    return data


def test_a_fold_of_one_class_is_named_with_its_counts(tmp_path: Path) -> None:
    data = change_labels(tiny.write_data(tmp_path), lambda line: line.replace(",mel,", ",nv,"))
    folds = make_folds(tiny.plan(), data)
    with pytest.raises(ValueError, match="the rows to learn from: 0 pictures with melanoma and 50 without"):
        check(folds, tiny.plan())
    check(folds, tiny.plan(selection={"endpoint": "malignant"}))


def test_folds_share_no_group(data: Path) -> None:
    config = tiny.plan(validation_folds=2, hold_out={"isic2017": 2})
    folds = make_folds(config, data)
    parts = [folds.train, folds.calibration, folds.validation, folds.held]
    groups = [{row.group for row in part} for part in parts]
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert {row.source for row in folds.held} == {"isic2017"}
    assert folds.calibration == make_folds(tiny.plan(), data).calibration


def test_a_source_that_is_not_there_is_named(data: Path) -> None:
    with pytest.raises(ValueError, match="no rows of pad among the sources ham10000, isic2017"):
        make_folds(tiny.plan(hold_out={"pad": 2}), data)


def write_table(path: Path, data: Path, *, column: str = "dx", label: str = "mel") -> Path:
    lines = [f"path,{column},group,source,split"]
    for row in make_folds(tiny.plan(), data).train:
        dx = label if row.dx == "mel" else row.dx
        lines.append(f"{row.path},{dx},{row.group},mine,train")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_table_file_is_learned_from(data: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "mine.csv", data)
    folds = make_folds(tiny.plan(table=str(table), calibration_source=None), data)
    assert {row.source for row in folds.train} == {"mine"}


def test_a_wrong_label_and_a_missing_column_are_named(data: Path, tmp_path: Path) -> None:
    wrong = write_table(tmp_path / "wrong.csv", data, label="melanomma")
    with pytest.raises(ValueError, match=r"wrong\.csv, line \d+: unknown label 'melanomma'; known are akiec"):
        make_folds(tiny.plan(table=str(wrong), calibration_source=None), data)
    missing = write_table(tmp_path / "missing.csv", data, column="diagnosis")
    with pytest.raises(ValueError, match="dx"):
        make_folds(tiny.plan(table=str(missing), calibration_source=None), data)


def test_diagnoses_without_a_picture_are_told(data: Path) -> None:
    rows = make_folds(tiny.plan(), data).train
    assert absent(rows) == []
    assert absent([row for row in rows if row.dx not in ("df", "vasc")]) == ["df", "vasc"]


def test_labels_that_leave_the_diagnosis_open_are_learned_from(data: Path, tmp_path: Path) -> None:
    """The Kaggle folders say benign or malignant only."""
    rows = make_folds(tiny.plan(), data).train
    coarse = [replace(row, dx="malignant" if row.malignant else "benign") for row in rows]
    # No melanoma is known, so there is nothing to choose an epoch by.
    run = Trainer(tiny.plan(loss={"label_smoothing": 0}, stages=({"epochs": 3, "size": 32},)), coarse, tmp_path)
    run.run()
    first, *_, last = (line["loss"] for line in run.history)
    assert last < first < 1.5
    with pytest.raises(ValueError, match=r"0 pictures with melanoma and .* leave it open"):
        Trainer(tiny.plan(selection={"metric": "auc"}), rows, tmp_path / "b", [r for r in coarse if r.dx == "benign"])


def test_mlflow_keeps_the_figures_of_every_epoch_also_of_a_run_taken_up(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient  # noqa: PLC0415

    store = str(tmp_path / "mlruns")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    config = tiny.plan(tracking={"mlflow": store, "experiment": "tiny"}, selection={"metric": "auc"})
    kill_at(5, trainer(config, data, tmp_path / "run"), monkeypatch)
    trainer(config, data, tmp_path / "run").run()
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["optimiser.lr"] == "0.002"
    assert [point.step for point in client.get_metric_history(run.info.run_id, "auc")] == [1, 2]


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no_such_network"):
        build("no_such_network")


def test_the_rare_class_is_drawn_oftener_and_changed_more(data: Path) -> None:
    config = tiny.plan(
        rare={"classes": ["mel"], "times": 4, "augmentation": {"erase": 1}}, augmentation=None, batch_size=8
    )
    rows = make_folds(config, data).train
    lesson = batches.Lesson(rows, config, torch.device("cpu"))
    plain = image_pool.chances(rows, tiny.plan())
    more = image_pool.chances(rows, config)
    assert plain is not None
    assert more is not None
    mel = image_pool.is_rare(rows, config)
    ratio = (more[mel].sum() / more[~mel].sum()) / (plain[mel].sum() / plain[~mel].sum())
    assert ratio == pytest.approx(4)
    chosen = torch.arange(len(rows))
    read = lesson.pictures.take(chosen.tolist())
    shown = lesson.draw(read, chosen, 40, torch.Generator().manual_seed(0)).pictures
    unchanged = (shown - read.permute(0, 3, 1, 2).float().div(255)).abs().amax((1, 2, 3)) == 0
    assert unchanged.equal(torch.from_numpy(~mel))


def test_mixup_mixes_pictures_and_what_their_labels_say_alike(data: Path) -> None:
    config = tiny.plan(loss={"mixup": 0.5}, augmentation=None)
    rows = make_folds(config, data).train[:16]
    lesson = batches.Lesson(rows, config, torch.device("cpu"))
    chosen = torch.arange(16)
    read = lesson.pictures.take(chosen.tolist())
    batch = lesson.draw(read, chosen, 40, torch.Generator().manual_seed(0))
    (first, share), (second, rest) = batch.terms
    assert torch.allclose(share + rest, torch.ones(16))
    assert first.equal(image_pool.allowed(rows))
    plain = read.permute(0, 3, 1, 2).float().div(255)
    for i in range(16):
        partners = [j for j in range(16) if second[i].equal(first[j])]
        mixes = [share[i] * plain[i] + rest[i] * plain[j] for j in partners]
        assert any(torch.allclose(batch.pictures[i], mix, atol=1e-5) for mix in mixes)
