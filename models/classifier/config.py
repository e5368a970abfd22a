"""What a training run is made of; unknown keys are refused."""

from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.classifier.preprocess import Filter, Geometry


class Stage(BaseModel):
    """Some epochs at one picture size. Small pictures first teach most for the time they take."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    epochs: int = Field(gt=0)
    size: int = Field(ge=32, le=1024)


class Augmentation(BaseModel):
    """Ranges of the random changes made to every training picture."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    zoom: float = Field(1.3, ge=1)
    aspect: float = Field(1.33, ge=1)
    shift: float = Field(0.1, ge=0, le=0.5)
    brightness: float = Field(0.2, ge=0, lt=1)
    contrast: float = Field(0.2, ge=0, lt=1)
    saturation: float = Field(0.25, ge=0, lt=1)
    tint: float = Field(0.06, ge=0, lt=1)
    erase: float = Field(0.25, ge=0, le=1)


class TrainConfig(BaseModel):
    """One classifier run: data, network, optimiser, schedule."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    backbone: str = "tf_efficientnetv2_b0"
    train_sources: tuple[str, ...] = ("ham10000", "isic2017")
    calibration_source: str = "ham10000"
    calibration_folds: int = Field(8, ge=2)
    geometry: Geometry = "squash"
    resample: Filter = "bilinear"
    cache_size: int = 160
    stages: tuple[Stage, ...]
    batch_size: int = Field(64, gt=1)
    lr: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warmup: float = Field(0.1, gt=0, lt=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    drop_path: float = Field(0.1, ge=0, lt=1)
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    melanoma_share: float = Field(0.3, gt=0, lt=1)
    ema_decay: float = Field(0.998, gt=0, lt=1)
    precision: Literal["fp32", "bf16"] = "bf16"
    augmentation: Augmentation = Augmentation()
    seed: int = 42

    @property
    def input_size(self) -> int:
        """Side of the served input in pixels: that of the last stage."""
        return self.stages[-1].size

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if any(stage.size > self.cache_size for stage in self.stages):
            raise ValueError("cache_size must be at least the size of every stage")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a YAML file; pydantic's ValidationError names a wrong key."""
        return cls.model_validate(yaml.safe_load(path.read_text()))
