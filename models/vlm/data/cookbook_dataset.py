"""Our data for llama-cookbook's own trainer: `--dataset custom_dataset --custom_dataset.file PATH_TO_THIS_FILE`.

It needs `--batching_strategy padding` and MELALOG_DATA_DIR. Loaded by path, so nothing here may rely on the
module's name. Its trainer chooses the checkpoint on the split it calls `test` or `validation`, so both are groups held
out of our training rows; neither the official test images nor the calibration fold is used.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from models.classifier.data import table
from models.classifier.data.table import Row
from models.vlm.data import conversation
from models.vlm.data.answers import is_yes, make_folds
from models.vlm.data.tensors import collate
from models.vlm.serving.preprocess import prepare
from models.vlm.training.finetune.finetune_config import FinetuneConfig

Sample = dict[str, Any]
BUCKETS = 1000
HELD = ("validation", "val", "test", "eval")


def settings() -> FinetuneConfig:
    """Question, labels, view and folds: MELALOG_VLM_CONFIG if set, else the defaults."""
    path = os.environ.get("MELALOG_VLM_CONFIG")
    return FinetuneConfig.load(Path(path)) if path else FinetuneConfig()


def get_custom_dataset(dataset_config: Any, processor: Any, split: str, split_ratio: float = 0.9) -> list[Sample]:
    """Samples `{"messages", "image", "answer"}` of one split; the image is read when the sample is collated.

    `split_ratio` is the share of lesion groups in `train`. In `train` the Yes rows are repeated until they
    make up `melanoma_share`, and the order is shuffled, because the sampler used with padding does not shuffle. Raises
    ValueError for an unknown split, FileNotFoundError without the data.
    """
    del processor  # part of the interface
    learned = {"train", getattr(dataset_config, "train_split", "train")}
    held = {*HELD, getattr(dataset_config, "test_split", "validation")} - {"train"}
    if split not in learned | held:
        raise ValueError(f"no split {split!r}: there are {', '.join(sorted(learned | held))}")
    if "MELALOG_DATA_DIR" not in os.environ:
        raise FileNotFoundError("set MELALOG_DATA_DIR to the folder that holds ham10000/ and isic2017/")
    config = settings()
    rows = make_folds(config, Path(os.environ["MELALOG_DATA_DIR"])).train
    cut = round(split_ratio * BUCKETS)
    selected = [r for r in rows if (table.fold(r.group, BUCKETS, config.fold_seed + 1) < cut) == (split in learned)]
    return _samples(_balanced(selected, config) if split in learned else selected, config)


def _balanced(rows: list[Row], config: FinetuneConfig) -> list[Row]:
    """Every row at least once; in each source the Yes rows often enough for `melanoma_share`."""
    if config.melanoma_share is None:
        return rows
    odds = config.melanoma_share / (1 - config.melanoma_share)
    balanced: list[Row] = []
    for source in config.train_sources:
        part = [row for row in rows if row.source == source]
        answers = is_yes(part, config.labels)
        yes = [row for row, answer in zip(part, answers, strict=True) if answer]
        no = [row for row, answer in zip(part, answers, strict=True) if not answer]
        times = max(1, round(odds * len(no) / len(yes))) if yes else 0
        balanced += no + yes * times
    random.Random(config.seed).shuffle(balanced)  # noqa: S311  (an order, not a secret)
    return balanced


def _samples(rows: list[Row], config: FinetuneConfig) -> list[Sample]:
    words = {True: config.labels.yes, False: config.labels.no}
    answers = [words[bool(answer)] for answer in is_yes(rows, config.labels)]
    return [
        {"messages": conversation.messages(config.question, answer), "image": str(row.path), "answer": answer}
        for row, answer in zip(rows, answers, strict=True)
    ]


def get_data_collator(processor: Any) -> Callable[[list[Sample]], dict[str, Any]]:
    """A function from samples to tensors, with labels -100 everywhere but on the answer and its end-of-turn."""
    config = settings()
    processor.tokenizer.padding_side = "right"
    dialogue = conversation.encode(processor, config.question, config.labels.yes, config.labels.no)
    ids = {config.labels.yes: dialogue.yes, config.labels.no: dialogue.no}

    def collator(samples: list[Sample]) -> dict[str, Any]:
        images = []
        for sample in samples:
            with Image.open(sample["image"]) as image:
                images.append(prepare(ImageOps.exif_transpose(image).convert("RGB"), config.view))
        return collate(processor, images, [dialogue.prompt] * len(samples), [ids[s["answer"]] for s in samples])

    return collator
