"""The small model's base: its tower taught by the classifier, then the whole taught to answer questions."""

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
from models.vlm.training.pretrain.pretrain_loop import Loop, Schedule

CACHE = 160
"""Pixels a side of the pictures held in memory: room for a random crop."""


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
class Lesson:
    """Pictures in memory, and what is done to a drawn batch of them."""

    config: BaseConfig
    rows: list[table.Row]
    teacher: vision.Teacher
    cache: Tensor = field(init=False)
    labels: Tensor = field(init=False)
    weights: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.cache = torch.from_numpy(image_pool.load(self.rows, CACHE, "squash", "bilinear"))
        self.labels = torch.tensor([row.label for row in self.rows])
        self.weights = torch.from_numpy(image_pool.sampling_weights(self.rows, self.config.melanoma_share))

    def draw(self, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented pictures [N, 3, S, S] in 0 to 1 at the teacher's size."""
        return augment(self.cache[chosen], self.teacher.size, self.config.augmentation, generator)


def teach_tower(lesson: Lesson, folder: Path) -> vision.Student:
    """First step. Returns the averaged student."""
    torch.manual_seed(lesson.config.vision.seed)
    student = vision.Student(lesson.teacher.width)

    def step(network: nn.Module, chosen: Tensor, generator: torch.Generator) -> Tensor:
        return vision.loss(network, lesson.draw(chosen, generator), lesson.labels[chosen], lesson.teacher)

    taught: Any = Loop(student, lesson.weights, lesson.config.vision, folder).run(step)
    return taught  # type: ignore[no-any-return]


def teach_answers(lesson: Lesson, tower: nn.Module, processor: MllamaProcessor, folder: Path) -> nn.Module:
    """Second step, from the tower of the first. Returns the averaged model."""
    torch.manual_seed(lesson.config.language.seed)
    model = small.build(processor.tokenizer, "eager")
    model.model.vision_model.load_state_dict(tower.state_dict())
    drawn = language.Lessons(processor)

    def step(network: nn.Module, chosen: Tensor, generator: torch.Generator) -> Tensor:
        seen = lesson.draw(chosen, generator)
        batch = drawn.draw(lesson.labels[chosen], lesson.teacher(seen)[0], generator)
        with torch.autocast("cpu", torch.bfloat16):
            return language.loss(network, vision.to_student(seen), batch, drawn.yes_no)

    return Loop(model, lesson.weights, lesson.config.language, folder).run(step)


def train(config: BaseConfig, rows: list[table.Row], teacher: Path, folder: Path) -> tuple[Any, MllamaProcessor]:
    """Both steps; a killed run goes on where it stopped. Returns (model, processor)."""
    lesson = Lesson(config, rows, vision.Teacher(teacher))
    processor = small.processor(questions.corpus())
    student = teach_tower(lesson, folder / "vision")
    return teach_answers(lesson, student.tower, processor, folder / "language"), processor
