"""The configuration of a fine-tuning run; unknown keys are refused."""

from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.classifier.data.labels import CLASSES
from models.vlm.serving.preprocess import LLAMA, View

LLAMA_11B = "meta-llama/Llama-3.2-11B-Vision-Instruct"
QUESTION = "Does this picture of a skin lesion show signs of melanoma? Answer Yes or No."

Projection = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


class _PlanPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lora(_PlanPart):
    """A low-rank adapter (Hu et al. 2021).

    `targets` are names on the language side. The default is all four projections of its self-attention and of its
    cross-attention: keys and values of the latter are the only place where the image enters, so
    q_proj and v_proj alone would leave half of it unadapted. `vision` adds the vision tower; vLLM and other
    engines that apply adapters at run time ignore that part, so such an adapter must be merged.
    """

    r: int = Field(8, gt=0)
    alpha: int = Field(32, gt=0)
    dropout: float = Field(0.05, ge=0, lt=1)
    targets: tuple[Projection, ...] = Field(("q_proj", "k_proj", "v_proj", "o_proj"), min_length=1)
    vision: bool = False


class Labels(_PlanPart):
    """Which diagnoses count as Yes, and how the two answers are written."""

    positive: tuple[str, ...] = Field(("mel",), min_length=1)
    yes: str = "Yes"
    no: str = "No"

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = set(self.positive) - set(CLASSES)
        if unknown:
            raise ValueError(f"no such diagnosis: {sorted(unknown)}; known are {', '.join(CLASSES)}")
        if (self.yes.casefold(), self.no.casefold()) != ("yes", "no"):
            raise ValueError("yes and no must be spellings of Yes and No: scoring reads no other words")
        return self


class FinetuneConfig(_PlanPart):
    """One run: base, question, data, adapter, schedule. Without `lora`, every weight is trained.

    The defaults of sources, folds and `fold_seed` are the classifier's, so that both models are calibrated on the same
    held-out images; `seed` may be changed without changing the folds.
    """

    base: str = LLAMA_11B
    revision: str | None = None
    question: str = Field(QUESTION, min_length=1)
    labels: Labels = Labels()
    view: View = LLAMA
    train_sources: tuple[str, ...] = ("ham10000", "isic2017")
    calibration_source: str = "ham10000"
    calibration_folds: int = Field(8, ge=2)
    fold_seed: int = 42
    lora: Lora | None = Lora()
    quantization: Literal["none", "4bit"] = "none"
    precision: Literal["fp32", "bf16"] = "bf16"
    attention: Literal["sdpa", "eager"] = "sdpa"
    lr: float = Field(1e-5, gt=0)
    epochs: int = Field(5, gt=0)
    batch_size: int = Field(1, gt=0)
    accumulation: int = Field(1, gt=0)
    gamma: float = Field(0.85, gt=0, le=1)
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(1.0, gt=0)
    melanoma_share: float | None = Field(0.3, gt=0, lt=1)
    turns: bool = False
    gradient_checkpointing: bool = False
    evaluation_batch: int = Field(8, gt=0)
    save_every: int = Field(500, gt=0)
    seed: int = 42

    @field_validator("view", mode="before")
    @classmethod
    def _no_other_keys(cls, view: object) -> object:
        # `View` itself ignores unknown keys, so that older services can read newer manifests; a plan must not.
        unknown = set(view) - set(View.model_fields) if isinstance(view, dict) else set()
        if unknown:
            raise ValueError(f"unknown keys: {', '.join(sorted(map(str, unknown)))}")
        return view

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.quantization == "4bit" and self.lora is None:
            raise ValueError("quantization 4bit needs lora: weights of four bits cannot be trained")
        if self.calibration_source not in self.train_sources:
            raise ValueError("calibration_source must be one of train_sources")
        return self

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a YAML file; pydantic's ValidationError names a wrong key."""
        return cls.model_validate(yaml.safe_load(path.read_text()) or {})
