"""A fine-tuning plan: errors are reported before training."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from models.classifier.training.config import TrainConfig
from models.vlm.training.finetune.finetune_config import LLAMA_11B, FinetuneConfig

CONFIGS = Path(__file__).parents[5] / "models" / "vlm" / "configs"


def test_the_plan_for_the_11b_model_has_the_original_s_values() -> None:
    config = FinetuneConfig.load(CONFIGS / "llama-3.2-11b.yaml")
    assert config.base == LLAMA_11B == FinetuneConfig().base
    assert (config.lr, config.epochs, config.batch_size, config.gamma, config.weight_decay, config.seed) == (
        1e-5, 5, 1, 0.85, 0, 42
    )  # fmt: skip
    assert config.lora is not None
    assert (config.lora.r, config.lora.alpha, config.lora.dropout, config.lora.vision) == (8, 32, 0.05, False)


def test_the_small_plan_is_valid_and_asks_the_same_question() -> None:
    small = FinetuneConfig.load(CONFIGS / "small-lora.yaml")
    assert small.view.size == 112
    assert small.question == FinetuneConfig.load(CONFIGS / "llama-3.2-11b.yaml").question


def test_folds_default_to_the_classifier_s() -> None:
    theirs, ours = TrainConfig.model_fields, FinetuneConfig.model_fields
    for name in ("train_sources", "calibration_source", "calibration_folds"):
        assert ours[name].default == theirs[name].default
    assert ours["fold_seed"].default == theirs["seed"].default


def test_the_eight_gpu_file_is_one_that_accelerate_reads() -> None:
    from accelerate.commands.config import load_config_from_file  # noqa: PLC0415

    config = load_config_from_file(str(CONFIGS / "fsdp-8gpu.yaml"))
    assert config.num_processes == 8
    assert config.mixed_precision == "bf16"
    assert config.fsdp_config["fsdp_version"] == 2


def test_the_eight_gpu_file_wraps_layers_that_exist() -> None:
    from transformers.models.mllama import modeling_mllama  # noqa: PLC0415

    config = yaml.safe_load((CONFIGS / "fsdp-8gpu.yaml").read_text())["fsdp_config"]
    names = config["fsdp_transformer_layer_cls_to_wrap"].split(",")
    assert len(names) == 3
    assert all(hasattr(modeling_mllama, name) for name in names)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"learning_rate": 1}, "learning_rate"),
        ({"lora": {"rank": 8}}, "lora.rank"),
        ({"lora": {"targets": ["fc1"]}}, "lora.targets"),
        ({"view": {"sizes": 112}}, "sizes"),
        ({"labels": {"positive": ["melanoma"]}}, "no such diagnosis"),
        ({"labels": {"yes": "Ja"}}, "spellings of Yes and No"),
        ({"quantization": "8bit"}, "quantization"),
        ({"quantization": "4bit", "lora": None}, "four bits cannot be trained"),
        ({"calibration_source": "pad_ufes_20"}, "one of train_sources"),
        ({"gamma": 1.5}, "gamma"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(changes))
    with pytest.raises(ValidationError) as caught:
        FinetuneConfig.load(file)
    assert named in str(caught.value)
