"""The rows are the classifier's own folds, and their order is a matter of the seed alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.classifier.data import table
from models.classifier.training import folds
from models.common.views import VIEWS, turned
from models.vlm.data.answers import EpochOrder, Source, is_yes, make_folds
from models.vlm.serving.preprocess import View
from models.vlm.training.finetune import lora
from models.vlm.training.finetune.finetune_config import Labels, Lora
from tests.models.classifier import tiny as classifier_tiny
from tests.models.vlm import tiny


def test_folds_are_the_classifier_s(data: Path, base: Path) -> None:
    ours, theirs = make_folds(tiny.plan(base, seed=7), data), folds.make_folds(classifier_tiny.plan(), data)
    assert ours.train == theirs.train
    assert ours.held_out == theirs.calibration


def test_no_test_row_and_no_group_on_both_sides(data: Path, base: Path) -> None:
    folds = make_folds(tiny.plan(base), data)
    assert {row.split for row in (*folds.train, *folds.held_out)} == {"train"}
    assert not {row.group for row in folds.train} & {row.group for row in folds.held_out}


def test_a_fold_without_one_of_the_answers_is_refused(base: Path, tmp_path: Path) -> None:
    for source in ("ham10000", "isic2017"):
        (tmp_path / source).mkdir()
        text = "file,dx,group,split\n" + "".join(f"{i}.jpg,nv,{i},train\n" for i in range(20))
        (tmp_path / source / f"{source}.csv").write_text(text)
    with pytest.raises(ValueError, match="images of both answers"):
        make_folds(tiny.plan(base), tmp_path)


def test_what_counts_as_yes_is_the_plan_s(data: Path) -> None:
    rows = table.read(data, "ham10000")
    assert is_yes(rows, Labels()).sum() == 12
    assert is_yes(rows, Labels(positive=("mel", "bcc", "akiec"))).sum() == 36


def test_order_is_the_seed_s_and_differs_by_epoch(data: Path, base: Path) -> None:
    rows = make_folds(tiny.plan(base), data).train
    first, again, second = (EpochOrder.draw(rows, tiny.plan(base), epoch, 8) for epoch in (0, 0, 1))
    assert torch.equal(first.rows, again.rows)
    assert torch.equal(first.turns, again.turns)
    assert not torch.equal(first.rows, second.rows)
    assert first.rows.shape == (len(rows) // 8, 8)


def test_without_a_share_every_row_is_shown_at_most_once(data: Path, base: Path) -> None:
    rows = make_folds(tiny.plan(base), data).train
    order = EpochOrder.draw(rows, tiny.plan(base, melanoma_share=None, turns=False), 0, 8)
    assert len(order.rows.unique()) == order.rows.numel()
    assert not order.turns.any()


def test_melanoma_is_drawn_at_its_share(data: Path, base: Path) -> None:
    rows = make_folds(tiny.plan(base), data).train * 40
    drawn = EpochOrder.draw(rows, tiny.plan(base, melanoma_share=0.5), 0, 8).rows.flatten()
    assert is_yes([rows[i] for i in drawn], Labels()).mean() == pytest.approx(0.5, abs=0.05)


def test_more_pictures_a_step_than_there_are_is_refused(data: Path, base: Path) -> None:
    rows = make_folds(tiny.plan(base), data).train
    with pytest.raises(ValueError, match="lower batch_size"):
        EpochOrder.draw(rows, tiny.plan(base), 0, 1000)


def test_the_eight_turns_are_eight_and_lose_nothing() -> None:
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    views = [turned(image, view) for view in VIEWS]
    assert np.array_equal(views[0], image)
    assert len({view.tobytes() for view in views}) == 8
    assert all(sorted(view.flatten()) == sorted(image.flatten()) for view in views)


def test_kept_and_read_pictures_are_the_same_where_no_side_is_too_long(data: Path) -> None:
    rows = table.read(data, "ham10000")[:3]
    cached = Source(rows, View(size=48, geometry="squash"))
    read = Source(rows, View(size=48, geometry="keep"))
    assert np.asarray(cached.take([1])).shape == (1, 48, 48, 3)
    assert [image.size for image in read.take([0, 2])] == [(48, 36)] * 2
    assert read.take([0], [1])[0].size == (36, 48)


def test_a_broken_picture_is_named(data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    row = table.Row(broken, "akiec", "g", "train", "ham10000")
    with pytest.raises(ValueError, match=r"cannot read the image .*broken.jpg"):
        Source([row], View(size=48, geometry="keep")).take([0])


@pytest.mark.parametrize("vision", [False, True])
def test_the_vision_tower_is_adapted_only_when_asked_for(vision: bool) -> None:
    adapted = lora.adapt(tiny.model(), Lora(vision=vision, targets=("q_proj", "v_proj")), "base", None)
    names = {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert {name.split(".")[-4] for name in names if "language_model" in name} == {"q_proj", "v_proj"}
    assert any("cross_attn" in name for name in names)
    towers = {name for name in names if "vision_model" in name}
    assert bool(towers) == vision
    if vision:
        assert any("global_transformer" in name for name in towers)
        assert any("fc1" in name for name in towers)
    assert not [name for name in names if "lora_" not in name]
