"""The contract of llama-cookbook's custom data sets, checked the way its trainer uses one."""

import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from models.classifier.data import table
from models.vlm.data.answers import make_folds
from tests.models.classifier import tiny as classifier_tiny
from tests.models.vlm import tiny

FILE = Path(__file__).parents[4] / "models" / "vlm" / "data" / "cookbook_dataset.py"
KEYS = {
    "input_ids", "attention_mask", "pixel_values", "aspect_ratio_ids", "aspect_ratio_mask", "cross_attention_mask",
    "labels",
}  # fmt: skip


def by_path() -> ModuleType:
    """Loaded by file name, and never registered among the modules."""
    loader = importlib.machinery.SourceFileLoader(FILE.name, str(FILE))
    spec = importlib.util.spec_from_loader(FILE.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifier_tiny.write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def module(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump({"view": {"size": tiny.SIDE, "geometry": "squash"}, "calibration_folds": 2}))
    monkeypatch.setenv("MELALOG_DATA_DIR", str(data))
    monkeypatch.setenv("MELALOG_VLM_CONFIG", str(plan))
    return by_path()


def config(**changes: str) -> SimpleNamespace:
    """What the trainer passes: split names are the user's."""
    names = {"dataset": "custom_dataset", "file": str(FILE), "train_split": "train", "test_split": "validation"}
    return SimpleNamespace(**{**names, **changes})


def files(samples: list[dict[str, Any]]) -> set[str]:
    return {sample["image"] for sample in samples}


def test_splits_share_no_group_and_hold_no_test_or_calibration_picture(module: ModuleType, data: Path) -> None:
    train = module.get_custom_dataset(config(), tiny.processor(), "train", 0.7)
    held = module.get_custom_dataset(config(), tiny.processor(), "validation", 0.7)
    rows = {str(row.path): row for source in ("ham10000", "isic2017") for row in table.read(data, source)}
    assert not {rows[f].group for f in files(train)} & {rows[f].group for f in files(held)}
    assert {rows[f].split for f in files(train) | files(held)} == {"train"}
    folds = make_folds(module.settings(), data)
    assert files(train) | files(held) == {str(row.path) for row in folds.train}
    assert not {rows[f].group for f in files(train) | files(held)} & {row.group for row in folds.held_out}


@pytest.mark.parametrize("name", ["validation", "test"])
def test_both_names_of_the_held_out_split_are_the_same_pictures(name: str, module: ModuleType) -> None:
    held = module.get_custom_dataset(config(test_split=name), tiny.processor(), name)
    assert files(held) == files(module.get_custom_dataset(config(), tiny.processor(), "validation", 0.9))


def test_split_names_are_the_user_s(module: ModuleType) -> None:
    named = config(train_split="learn", test_split="held")
    assert module.get_custom_dataset(named, tiny.processor(), "learn")
    assert module.get_custom_dataset(named, tiny.processor(), "held")
    with pytest.raises(ValueError, match="no split 'extra': there are"):
        module.get_custom_dataset(config(), tiny.processor(), "extra")


def test_yes_is_repeated_to_the_share_and_every_picture_is_there(module: ModuleType) -> None:
    train = module.get_custom_dataset(config(), tiny.processor(), "train", 0.9)
    yes = sum(sample["answer"] == "Yes" for sample in train)
    assert 0.2 < yes / len(train) < 0.4
    assert len(train) > len(files(train))


def test_samples_have_what_its_length_sampler_asks_for(module: ModuleType) -> None:
    train = module.get_custom_dataset(config(), tiny.processor(), "train")
    first = next(iter(train[0]))
    assert {len(sample[first]) for sample in train} == {2}
    assert [message["role"] for message in train[0]["messages"]] == ["user", "assistant"]


def test_the_collator_gives_every_tensor_and_masks_all_but_the_answer(module: ModuleType) -> None:
    processor = tiny.processor()
    train = module.get_custom_dataset(config(), processor, "train")
    samples = [next(s for s in train if s["answer"] == answer) for answer in ("Yes", "No")]
    batch = module.get_data_collator(processor)(samples)
    assert set(batch) == KEYS
    assert all(isinstance(tensor, torch.Tensor) and len(tensor) == 2 for tensor in batch.values())
    for sample, ids, labels in zip(samples, batch["input_ids"], batch["labels"], strict=True):
        learned = labels[labels != -100]
        assert processor.tokenizer.decode(learned) == sample["answer"] + "<|eot_id|>"
        assert torch.equal(ids[labels != -100], learned)
        assert (labels[ids == processor.image_token_id] == -100).all()
    loss = tiny.model()(**batch).loss
    assert torch.isfinite(loss)


def test_without_data_it_says_what_to_set(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MELALOG_DATA_DIR")
    with pytest.raises(FileNotFoundError, match="MELALOG_DATA_DIR"):
        module.get_custom_dataset(config(), tiny.processor(), "train")
