"""Fine-tuning learns, keeps the best epoch, and goes on after a kill as if there had been none."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from export.fsdp import consolidate
from models.classifier.evaluation import statistics
from models.vlm.data import answers as tables
from models.vlm.evaluation import predict
from models.vlm.network import pretrained
from models.vlm.network.adapter import check_adapter
from models.vlm.training.finetune import lora
from models.vlm.training.finetune.finetune_config import FinetuneConfig
from models.vlm.training.finetune.trainer import FinetuneTrainer
from models.vlm.vlm_errors import VlmCheckpointError
from tests.models.vlm import tiny


class Killed(Exception):  # noqa: N818
    """Stands for a power cut."""


def trainer(config: FinetuneConfig, data: Path, out: Path) -> FinetuneTrainer:
    return FinetuneTrainer(config, tables.make_folds(config, data), out)


def adapter(out: Path) -> dict[str, Tensor]:
    return load_file(out / "adapter" / "adapter_model.safetensors")


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def whole(base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole")
    trainer(tiny.plan(base), data, out).run()
    return out


def test_it_learns_and_keeps_the_best_epoch(base: Path, data: Path, tmp_path: Path) -> None:
    config = tiny.plan(base, epochs=3, labels={"positive": ["mel", "nv", "vasc"]})
    reported: list[tuple[int, float]] = []
    run = trainer(config, data, tmp_path)
    history = run.run(lambda epoch, _, auc: reported.append((epoch, auc)))
    assert [epoch for epoch, _ in reported] == [1, 2, 3]
    assert history[-1]["loss"] < history[1]["loss"]
    assert [line["lr"] for line in history[1:]] == pytest.approx([0.01, 0.0085, 0.007225])
    best = max(auc for _, auc in reported)
    assert best > 0.8
    # The adapter on disk is the best epoch's, applied to an untouched base.
    tuned = lora.attach(pretrained.load(base), tmp_path / "adapter")
    held = tables.Source(run.folds.held_out, config.view)
    shown = held.take(range(len(held)))
    scores = predict.log_odds(predict.answer_logprobs(tuned, run.processor, shown, config.question))
    truth = tables.is_yes(run.folds.held_out, config.labels).astype(float)
    assert statistics.METRICS["auc"](truth, scores) == pytest.approx(best, abs=1e-6)


def test_what_a_run_leaves_behind(whole: Path, base: Path) -> None:
    assert {path.name for path in whole.iterdir()} == {
        "adapter", "last", "train_params.yaml", "MODEL_CARD.md", "best.json"
    }  # fmt: skip
    assert FinetuneConfig.load(whole / "train_params.yaml") == tiny.plan(base)
    settings = json.loads((whole / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == str(base)
    record = check_adapter(whole / "adapter", base)
    assert record["question"] == tiny.plan(base).question
    card = (whole / "MODEL_CARD.md").read_text()
    figures = json.loads((whole / "best.json").read_text())
    assert f"**{figures['auc']:.3f}**" in card
    assert "not a test figure" in card
    assert "European Union" in card
    assert "CC BY-NC 4.0" in card


def test_the_vision_tower_is_never_touched_by_default(whole: Path) -> None:
    names = list(adapter(whole))
    assert names
    assert not [name for name in names if "language_model.layers" not in name]
    for part in ("self_attn", "cross_attn"):
        for target in ("q_proj", "k_proj", "v_proj", "o_proj"):
            assert any(f"{part}.{target}." in name for name in names)


@pytest.mark.parametrize("killed_at", [2, 3, 4], ids=["before a save", "after a save", "in the second epoch"])
def test_a_killed_run_goes_on_to_the_same_weights(
    killed_at: int, base: Path, data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = trainer(tiny.plan(base), data, tmp_path)
    real, steps = killed._step, 0  # noqa: SLF001

    def dying(parts: Any) -> float:
        nonlocal steps
        steps += 1
        if steps == killed_at:
            raise Killed
        return real(parts)

    monkeypatch.setattr(killed, "_step", dying)
    with pytest.raises(Killed):
        killed.run()
    torch.manual_seed(12345)
    resumed = trainer(tiny.plan(base), data, tmp_path)
    history = resumed.run()
    assert same(adapter(tmp_path), adapter(whole))
    expected = json.loads((whole / "last" / "state.json").read_text())["history"]
    assert history[1:] == expected[1:]
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".new", ".old")]


def test_a_finished_run_is_not_trained_again(base: Path, data: Path, whole: Path) -> None:
    before = adapter(whole)
    history = trainer(tiny.plan(base), data, whole).run(lambda *_: pytest.fail("trained again"))
    assert len(history) == 3
    assert same(adapter(whole), before)


def test_a_checkpoint_between_two_names_is_found(base: Path, data: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (whole / "last").rename(whole / "last.old")
    try:
        assert len(trainer(tiny.plan(base), data, whole).run(lambda *_: pytest.fail("trained again"))) == 3
    finally:
        (whole / "last.old").rename(whole / "last")
    assert not out.exists()


@pytest.mark.parametrize("changes", [{"lr": 0.1}, {"seed": 1}], ids=["lr", "seed"])
def test_another_plan_does_not_go_on_with_these_weights(
    changes: dict[str, Any], base: Path, data: Path, whole: Path
) -> None:
    with pytest.raises(VlmCheckpointError, match="another config: choose another --out folder"):
        trainer(tiny.plan(base, **changes), data, whole).run()


def test_another_base_under_the_same_name_is_noticed(data: Path, whole: Path, base: Path) -> None:
    run = trainer(tiny.plan(base), data, whole)
    run.record["fingerprint"] = "another"
    with pytest.raises(VlmCheckpointError, match="another base"):
        run.run()


def test_a_loss_that_is_no_number_stops_the_run(base: Path, data: Path, tmp_path: Path) -> None:
    broken = trainer(tiny.plan(base), data, tmp_path)
    with torch.no_grad():
        next(p for p in broken.plain.parameters() if p.requires_grad).fill_(float("inf"))
    broken.history.append({"loss": 0.0, "auc": 0.5, "lr": 0.0})  # the evaluation before training is not what is tried
    with pytest.raises(FloatingPointError, match="lower lr"):
        broken.run()
    assert not (tmp_path / "adapter").exists()


def test_all_weights_can_be_trained_and_come_out_servable(base: Path, data: Path, tmp_path: Path) -> None:
    config = tiny.plan(base, lora=None, epochs=1, precision="bf16", gradient_checkpointing=True)
    run = trainer(config, data, tmp_path)
    run.run()
    tuned = pretrained.load(consolidate(tmp_path / "best", str(base), tmp_path / "model"))
    untouched = pretrained.load(base).state_dict()
    moved = [name for name, p in tuned.named_parameters() if not torch.equal(p, untouched[name])]
    assert any("vision_model" in name for name in moved)
    assert any("language_model" in name for name in moved)
    assert "Every weight was trained" in (tmp_path / "MODEL_CARD.md").read_text()


def test_pictures_too_large_to_keep_are_read_for_every_batch(base: Path, data: Path, tmp_path: Path) -> None:
    config = tiny.plan(base, view={"size": 64, "geometry": "keep"}, epochs=1, melanoma_share=None)
    assert len(trainer(config, data, tmp_path).run()) == 2


def test_the_plan_is_written_down(whole: Path) -> None:
    assert yaml.safe_load((whole / "train_params.yaml").read_text())["lora"]["r"] == 4
