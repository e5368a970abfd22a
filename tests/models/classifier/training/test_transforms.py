"""Changes to training pictures: whole batches at once, and torchvision's by name."""

from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from models.classifier.training.augmentation import augment, resized, vary
from models.classifier.training.config import Augmentation
from models.classifier.training.transforms import Chain, Name, Transform

ARGUMENTS: dict[str, dict[str, Any]] = {
    "GaussianBlur": {"kernel_size": 3},
    "RandomAdjustSharpness": {"sharpness_factor": 2},
    "RandomAffine": {"degrees": 20, "interpolation": "bilinear"},
    "RandomRotation": {"degrees": 180},
    "AutoAugment": {"policy": "cifar10"},
}
NOTHING = Augmentation(
    rotate=0, flip=False, zoom=1, aspect=1, shift=0, brightness=0, contrast=0, saturation=0, tint=0, erase=0
)


def pictures(n: int = 4) -> Tensor:
    return torch.randint(0, 256, (n, 3, 40, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", get_args(Name))
def test_every_name_works_and_only_a_crop_changes_the_size(name: str) -> None:
    chain = Chain((Transform.model_validate({"name": name, **ARGUMENTS.get(name, {})}),))
    before = torch.get_rng_state()
    one, again = chain(pictures(), 32, seeded(1)), chain(pictures(), 32, seeded(1))
    assert torch.equal(one, again)
    assert torch.equal(before, torch.get_rng_state())
    assert one.dtype == torch.uint8
    assert one.shape[-1] == (32 if "Crop" in name else 40)


def test_each_picture_has_draws_of_its_own() -> None:
    chain = Chain((Transform(name="RandomHorizontalFlip"),))
    same = pictures(1).expand(32, -1, -1, -1)
    flipped = (chain(same, 40, seeded(0)) != same).flatten(1).any(1)
    assert 5 < int(flipped.sum()) < 27


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"name": "RandomRotation", "degree": 3}, "degree"),
        ({"name": "RandomRotation"}, "degrees"),
        ({"name": "Rotate"}, "name"),
        ({"name": "AutoAugment", "policy": "skin"}, "skin"),
        ({"name": "RandomErasing", "p": 2}, "RandomErasing"),
    ],
)
def test_a_wrong_name_or_argument_is_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        Transform.model_validate(wrong)


def test_augmentation_changes_pictures_and_keeps_their_range() -> None:
    shown = pictures(8).permute(0, 2, 3, 1)
    one, same_seed, other = (augment(shown, 32, Augmentation(), seeded(seed)) for seed in (1, 1, 2))
    assert one.shape == (8, 3, 32, 32)
    assert torch.equal(one, same_seed)
    assert not torch.equal(one, other)
    assert 0 <= float(one.min()) <= float(one.max()) <= 1


def test_augmentation_of_nothing_is_the_picture() -> None:
    plain = pictures().float() / 255
    assert torch.allclose(vary(pictures(), 40, NOTHING, seeded(0)), plain, atol=1e-4)
    assert torch.equal(vary(pictures(), 40, None, seeded(0)), plain)
    assert resized(pictures(), 32).shape == (4, 3, 32, 32)


def test_the_angle_keeps_within_its_range() -> None:
    """A white bar upright stays nearly upright for small angles."""
    bar = torch.zeros(16, 3, 40, 40, dtype=torch.uint8)
    bar[:, :, :, 18:22] = 255
    turned = vary(bar, 40, NOTHING.model_copy(update={"rotate": 10}), seeded(0))
    assert float(turned[:, :, 20, 20].min()) > 0.9
    assert float(turned[:, :, :, :8].max()) < 0.05
    free = vary(bar, 40, NOTHING.model_copy(update={"rotate": 180}), seeded(0))
    assert float(free[:, :, 12:28, :8].max()) > 0.5
