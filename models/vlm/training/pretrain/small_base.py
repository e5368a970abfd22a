"""The small model's base: its tower distilled from the classifier, then the whole trained to answer questions."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
import yaml
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from transformers import MllamaProcessor

from models.classifier.data import image_pool, table
from models.classifier.training.augmentation import augment
from models.classifier.training.config import Augmentation
from models.vlm.network import small
from models.vlm.training.pretrain import language, questions, vision
from models.vlm.training.pretrain.pretrain_loop import PretrainLoop, Schedule

CACHE = 160
"""Pixels a side of the images held in memory: larger than the input, for random crops."""


class BaseConfig(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    melanoma_share: float = 0.3
    augmentation: Augmentation = Augmentation()
    vision: Schedule
    language: Schedule

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a YAML file; pydantic's ValidationError names a wrong key."""
        return cls.model_validate(yaml.safe_load(path.read_text()))


@dataclass
class PretrainData:
    """Images in memory, and their augmentation."""

    config: BaseConfig
    rows: list[table.Row]
    teacher: vision.ClassifierTeacher
    cache: Tensor = field(init=False)
    labels: Tensor = field(init=False)
    weights: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.cache = torch.from_numpy(image_pool.load(self.rows, CACHE, "squash", "bilinear"))
        self.labels = torch.tensor([row.label for row in self.rows])
        self.weights = torch.from_numpy(image_pool.sampling_weights(self.rows, self.config.melanoma_share))

    def draw(self, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented images [N, 3, S, S] in 0 to 1 at the teacher's size."""
        return augment(self.cache[chosen], self.teacher.size, self.config.augmentation, generator)


def train_tower(data: PretrainData, folder: Path) -> vision.Student:
    """First step. Returns the averaged student."""
    torch.manual_seed(data.config.vision.seed)
    student = vision.Student(data.teacher.width)

    def step(network: nn.Module, chosen: Tensor, generator: torch.Generator) -> Tensor:
        return vision.loss(network, data.draw(chosen, generator), data.labels[chosen], data.teacher)

    trained: Any = PretrainLoop(student, data.weights, data.config.vision, folder).run(step)
    return trained  # type: ignore[no-any-return]


def train_answers(data: PretrainData, tower: nn.Module, processor: MllamaProcessor, folder: Path) -> nn.Module:
    """Second step, from the tower of the first. Returns the averaged model."""
    torch.manual_seed(data.config.language.seed)
    model = small.build(processor.tokenizer, "eager")
    model.model.vision_model.load_state_dict(tower.state_dict())
    drawn = language.QuestionSampler(processor)

    def step(network: nn.Module, chosen: Tensor, generator: torch.Generator) -> Tensor:
        images = data.draw(chosen, generator)
        batch = drawn.draw(data.labels[chosen], data.teacher(images)[0], generator)
        with torch.autocast("cpu", torch.bfloat16):
            return language.loss(network, vision.to_student(images), batch, drawn.yes_no)

    return PretrainLoop(model, data.weights, data.config.language, folder).run(step)


def train(config: BaseConfig, rows: list[table.Row], teacher: Path, folder: Path) -> tuple[Any, MllamaProcessor]:
    """Both steps; a killed run resumes. Returns (model, processor)."""
    data = PretrainData(config, rows, vision.ClassifierTeacher(teacher))
    processor = small.processor(questions.corpus())
    student = train_tower(data, folder / "vision")
    return train_answers(data, student.tower, processor, folder / "language"), processor
