"""What a training run is made of. Unknown keys are refused; docs/models/training.md lists them from here."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.classifier.data.labels import CLASSES
from models.classifier.data.table import COARSE
from models.classifier.training import plan_file
from models.classifier.training.transforms import Transform
from models.common.geometry import Filter, Geometry

Metric = Literal["auc", "average_precision", "f1", "specificity_at_95_sensitivity", "loss"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stage(_Part):
    """Some epochs at one picture size. Small pictures first teach most for the time they take."""

    epochs: int = Field(gt=0, description="passes over the rows")
    size: int = Field(ge=32, le=1024, description="side of the pictures in pixels")
    frozen: bool = Field(False, description="train the head alone (warm-up); such stages come first")


class Augmentation(_Part):
    """Ranges of the random changes made to a whole batch at once."""

    rotate: float = Field(180, ge=0, le=180, description="turn by up to so many degrees either way")
    flip: bool = Field(True, description="mirror every second picture")
    zoom: float = Field(1.3, ge=1, description="scale by up to this factor either way")
    aspect: float = Field(1.33, ge=1, description="largest ratio of stretched width to height")
    shift: float = Field(0.1, ge=0, le=0.5, description="share of half the frame")
    brightness: float = Field(0.2, ge=0, lt=1, description="change by up to this share, as the next three")
    contrast: float = Field(0.2, ge=0, lt=1, description="about the picture's mean")
    saturation: float = Field(0.25, ge=0, lt=1, description="0 is grey")
    tint: float = Field(0.06, ge=0, lt=1, description="each colour channel for itself")
    erase: float = Field(0.25, ge=0, le=1, description="chance that a rectangle is painted over")


class Rare(_Part):
    """Diagnoses that are shown more often, and changed more when they are."""

    classes: tuple[str, ...] = Field(("mel",), min_length=1, description="names of diagnoses")
    times: float = Field(1.0, ge=1, description="how much oftener than otherwise they are drawn")
    augmentation: Augmentation | None = Field(None, description="instead of the general one")
    transforms: tuple[Transform, ...] = Field((), description="after the general ones, for these alone")


class SourceSampling(_Part):
    """How one source is drawn, where it differs from the others."""

    share: float | None = Field(None, gt=0, lt=1, description="share of all draws; null: as it has rows")
    melanoma_share: float | None = Field(
        None, gt=0, lt=1, description="null: melanoma too is balanced by the square root of its count"
    )


class Sampling(_Part):
    """In which order, and how often, rows are shown."""

    method: Literal["balanced", "inverse", "shuffle"] = Field(
        "balanced",
        description="balanced: a fixed melanoma share in every source, the rest by the square root of its count; "
        "inverse: every diagnosis equally often; shuffle: every row once an epoch",
    )
    melanoma_share: float = Field(0.3, gt=0, lt=1, description="of the draws in every source, for `balanced`")
    sources: dict[str, SourceSampling] = Field({}, description="by source, for `balanced`: share, melanoma_share")


class Loss(_Part):
    """What is minimised. Labels that leave the diagnosis open count by the sum over what they allow."""

    name: Literal["cross_entropy", "focal"] = Field("cross_entropy", description="focal: Lin et al. 2017, per picture")
    focal_gamma: float = Field(2.0, ge=0, description="0 is cross-entropy")
    label_smoothing: float = Field(0.05, ge=0, lt=1, description="share of the target spread over all classes")
    class_weights: Literal["balanced"] | dict[str, float] | None = Field(
        None, description="balanced: by the inverse of each label's count; or {mel: 5}; scaled to a mean of 1"
    )
    mixup: float = Field(0.0, ge=0, description="alpha of the Beta distribution (Zhang et al. 2018); 0 is off")


class Optimiser(_Part):
    """AdamW and the course of its rate within a phase."""

    lr: float = Field(2e-3, gt=0, description="highest rate of the body, or of all where head_lr is null")
    head_lr: float | None = Field(None, gt=0, description="highest rate of the classifier layer")
    layer_decay: float = Field(1.0, gt=0, le=1, description="factor on the rate, layer by layer from the head down")
    weight_decay: float = Field(0.05, ge=0, description="of matrices; norms and biases have none")
    head_weight_decay: float | None = Field(None, ge=0, description="of the classifier layer")
    warmup: float = Field(0.1, ge=0, description="steps of linear rise; below 1 a share of the phase")
    schedule: Literal["cosine", "exponential", "constant"] = Field("cosine", description="after the warm-up")
    decay: float = Field(0.8, gt=0, le=1, description="factor per epoch, for `exponential`")
    floor: float = Field(0.0, ge=0, lt=1, description="share of the rate that is left at the end, for `cosine`")
    clip: float = Field(2.0, gt=0, description="largest norm of the gradient")


class Distillation(_Part):
    """A teacher sees the same augmented picture, and the student learns its soft answer (Hinton et al. 2015)."""

    teacher: str = Field(description="folder of a released classifier, or a network.safetensors of another run")
    temperature: float = Field(2.0, gt=0, description="softens both answers")
    weight: float = Field(0.6, gt=0, le=1, description="share of the loss; the labels have the rest")


class Selection(_Part):
    """Which epoch is kept, judged on rows that are not learned from."""

    metric: Metric = Field("auc", description="f1 is the best over all thresholds; loss is the log loss")
    endpoint: Literal["melanoma", "malignant"] = Field("melanoma", description="what counts as positive")
    patience: int | None = Field(None, gt=0, description="end a phase after so many epochs without a better one")


class Tracking(_Part):
    """Where else figures go, besides metrics.jsonl."""

    mlflow: str = Field(description="tracking URI: http://host:5000, or a folder")
    experiment: str = Field("melalog", description="the experiment's name")


class TrainConfig(_Part):
    """One classifier run: data, network, optimiser, schedule."""

    backbone: str = Field("tf_efficientnetv2_b0", description="timm's name of the network")
    normalisation: Literal["imagenet", "half"] = Field("imagenet", description="half: x * 2 - 1")
    pad_type: Literal["", "same"] = Field("", description="same: TensorFlow's asymmetric padding")
    initial: str | None = Field(
        None,
        description="imagenet (downloaded by timm), a .safetensors, .pth, folded .npz or released folder, or null; "
        "$MELALOG_DATA_DIR may stand in it",
    )
    zero_head: bool = Field(False, description="start the classifier layer at zero")
    freeze_batch_norm: bool = Field(False, description="keep its running figures as they are")
    train_sources: tuple[str, ...] = Field(("ham10000", "isic2017"), min_length=1, description="folders of data")
    table: str | None = Field(None, description="a csv of `melalog data`, instead of train_sources")
    calibration_source: str | None = Field("ham10000", description="where the calibration fold comes from; null: all")
    calibration_folds: int = Field(8, ge=2, description="one of so many, by group")
    validation_folds: int | None = Field(
        None, ge=2, description="one of so many for choosing the epoch; null: the calibration fold serves"
    )
    hold_out: dict[str, int] = Field({}, description="by source: one fold of so many is kept from everything")
    geometry: Geometry = Field("squash", description="the whole frame, or its middle square")
    resample: Filter = Field("bilinear", description="filter of the resizing")
    cache_size: int = Field(160, ge=32, description="side of prepared pictures before augmentation")
    cache_gb: float = Field(4.0, ge=0, description="more than this is read anew for every batch")
    stages: tuple[Stage, ...] = Field(min_length=1, description="one after the other")
    batch_size: int = Field(64, gt=1, description="of one process and one accumulation")
    accumulation: int = Field(1, gt=0, description="batches to one step")
    dropout: float = Field(0.2, ge=0, lt=1, description="before the classifier layer")
    drop_path: float = Field(0.1, ge=0, lt=1, description="stochastic depth, where the network knows it")
    ema_decay: float = Field(0.998, ge=0, lt=1, description="averaging of weights; 0 is off")
    precision: Literal["fp32", "bf16", "fp16"] = Field("bf16", description="fp16 on CUDA alone")
    optimiser: Optimiser = Optimiser()
    loss: Loss = Loss()
    sampling: Sampling = Sampling()
    rare: Rare | None = None
    augmentation: Augmentation | None = Field(Augmentation(), description="null: none but `transforms`")
    transforms: tuple[Transform, ...] = Field((), description="of torchvision v2, by name, picture by picture")
    distillation: Distillation | None = None
    selection: Selection | None = Field(Selection(), description="null: the last epoch is kept")
    tracking: Tracking | None = None
    seed: int = Field(42, description="of everything random but the folds")
    fold_seed: int = Field(42, description="of the folds, so that several runs can share them")

    @property
    def input_size(self) -> int:
        """Side of the served input in pixels: that of the last stage."""
        return self.stages[-1].size

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if any(stage.size > self.cache_size for stage in self.stages):
            raise ValueError("cache_size must be at least the size of every stage")
        frozen = [stage.frozen for stage in self.stages]
        if frozen != sorted(frozen, reverse=True):
            raise ValueError("stages: those with `frozen: true` must come first")
        if (self.initial or "").endswith(".npz") and (self.normalisation, self.pad_type) != ("half", "same"):
            raise ValueError("initial: a folded .npz works with normalisation: half and pad_type: same only")
        return self

    @model_validator(mode="after")
    def _labels_exist(self) -> Self:
        weights = self.loss.class_weights
        named = {
            "rare.classes": self.rare.classes if self.rare else (),
            "loss.class_weights": tuple(weights) if isinstance(weights, dict) else (),
        }
        for key, names in named.items():
            unknown = sorted(set(names) - {*CLASSES, *COARSE})
            if unknown:
                raise ValueError(f"{key}: no such label: {', '.join(unknown)}; known are {', '.join(CLASSES)}")
        return self

    @classmethod
    def load(cls, path: Path | str, changes: Sequence[str] = ()) -> Self:
        """Read a YAML file, or a shipped plan by its name, with `key.key=value` changes.

        Raises FileNotFoundError and ValueError; pydantic's ValidationError names a wrong key.
        """
        return cls.model_validate(plan_file.read(path, changes))


def expand(path: str) -> Path:
    """A path of a plan with $VARIABLES filled in. Raises ValueError naming one that is not set."""
    expanded = os.path.expandvars(path)
    if "$" in expanded:
        raise ValueError(f"{path}: set the environment variable in it (for the data folder: --data)")
    return Path(expanded).expanduser()


def describe() -> list[tuple[str, str, str]]:
    """(key, default, meaning) of every key of a plan, in order; lists of parts are written `stages[].size`."""
    return list(_described(TrainConfig, ""))


def _described(part: type[BaseModel], prefix: str) -> list[tuple[str, str, str]]:
    lines: list[tuple[str, str, str]] = []
    for name, field in part.model_fields.items():
        inner, many = _part_of(field.annotation)
        default = "" if field.is_required() else _text(field.default)
        if inner is None or field.description:
            lines.append((prefix + name, "" if inner else default, field.description or ""))
        if inner is not None and inner is not Transform and not (prefix and inner is Augmentation):
            lines += _described(inner, f"{prefix}{name}{'[]' if many else ''}.")
    return lines


def _part_of(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    arguments = getattr(annotation, "__args__", ())
    found = [inner for argument in arguments if (inner := _part_of(argument)[0]) is not None]
    many = getattr(annotation, "__origin__", None) in (tuple, dict)
    return (found[0], many) if found else (None, False)


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def table() -> str:
    """`describe` as a table in Markdown."""
    lines = [f"| `{key}` | {f'`{default}`' if default else ''} | {meaning} |" for key, default, meaning in describe()]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *lines])


if __name__ == "__main__":
    print(table())  # noqa: T201
