"""A data set and a training plan that take seconds. Each diagnosis has its own colour: there is something to learn."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from models.classifier.data.labels import CLASSES
from models.classifier.training.config import TrainConfig
from tests.pictures import lesion

PLAN: dict[str, Any] = {
    "backbone": "test_efficientnet",
    "train_sources": ("ham10000", "isic2017"),
    "calibration_folds": 2,
    "cache_size": 40,
    "stages": ({"epochs": 1, "size": 32}, {"epochs": 1, "size": 40}),
    "batch_size": 16,
    "ema_decay": 0.5,
    "precision": "fp32",
    "optimiser": {"lr": 2e-3},
    "selection": None,
}
COLOURS = np.linspace(0.5, 1.5, 7)[:, None] * np.array([1.0, 0.8, 0.6])


def plan(**changes: Any) -> TrainConfig:
    """The plan, changed."""
    return TrainConfig.model_validate({**PLAN, **changes})


def write_data(data: Path, times: int = 1) -> Path:
    """84 and 28 pictures of 7 diagnoses, two of each lesion; the last lesion of each diagnosis is for the test.

    `times` as many, where figures are to mean something.
    """
    for source, per_class in (("ham10000", 12 * times), ("isic2017", 4 * times)):
        folder = data / source / "images"
        folder.mkdir(parents=True)
        rows = []
        for label, name in enumerate(CLASSES):
            for i in range(per_class):
                pixels = np.asarray(lesion(48, 36, seed=100 * label + i), float) * COLOURS[label]
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{name}{i}.jpg")
                split = "test" if i >= per_class - 2 else "train"
                rows.append((f"images/{name}{i}.jpg", name, f"{source}-{name}-{i // 2}", split))
        with (data / source / f"{source}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("file", "dx", "group", "split"), *rows])
    return data
