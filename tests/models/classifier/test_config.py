"""A training plan: what is wrong with it is said before hours are spent."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from models.classifier.config import TrainConfig

STAGES = [{"epochs": 1, "size": 64}, {"epochs": 2, "size": 96}]
RELEASED = Path(__file__).parents[3] / "models" / "classifier" / "configs" / "released.yaml"


def test_the_released_plan_is_valid() -> None:
    config = TrainConfig.load(RELEASED)
    assert config.input_size == config.stages[-1].size <= config.cache_size
    assert config.calibration_source in config.train_sources


def test_the_served_size_is_that_of_the_last_stage() -> None:
    assert TrainConfig.model_validate({"stages": STAGES}).input_size == 96


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"learning_rate": 1}, "learning_rate"),
        ({"augmentation": {"blur": 1}}, "augmentation.blur"),
        ({"stages": [{"epochs": 1, "size": 64, "lr": 1}]}, "stages.0.lr"),
        ({"stages": [{"epochs": 0, "size": 64}]}, "stages.0.epochs"),
        ({"stages": [{"epochs": 1, "size": 16}]}, "stages.0.size"),
        ({"geometry": "stretch"}, "geometry"),
        ({"melanoma_share": 1.0}, "melanoma_share"),
        ({"precision": "fp16"}, "precision"),
        ({"cache_size": 80}, "cache_size"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(str({"stages": STAGES, **changes}))
    with pytest.raises(ValidationError) as caught:
        TrainConfig.load(file)
    assert named in str(caught.value)


def test_a_plan_without_stages_is_refused() -> None:
    with pytest.raises(ValidationError, match="stages"):
        TrainConfig.model_validate({})
