"""What the graph is made of, in torch: views, members, normalisation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from models.classifier.network.networks import VIEWS, Ensemble, Perception, build, normalise

PICTURES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8))
TURNS: dict[str, Callable[[Tensor], Tensor]] = {
    "turned": lambda image: torch.rot90(image, 1, (1, 2)),
    "mirrored": lambda image: image.flip(2),
}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(1)


@torch.inference_mode()
def perceive(network: torch.nn.Module, views: int, image: Tensor = PICTURES) -> tuple[Tensor, ...]:
    return tuple(Perception(network, views).eval()(image))


def test_normalisation_is_carried_and_done() -> None:
    assert build("test_efficientnet").normalisation == "imagenet"
    assert build("test_efficientnet", normalisation="half").normalisation == "half"
    picture = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3).expand(1, 3, 1, 3)
    assert normalise(picture, "half")[0, 0, 0].tolist() == [-1, 0, 1]
    assert normalise(picture, "none").equal(picture)
    assert normalise(picture)[0, :, 0, 2].tolist() == pytest.approx([2.2489, 2.4286, 2.64], abs=1e-3)


@pytest.mark.parametrize("how", TURNS)
def test_eight_views_see_a_turned_picture_as_the_same(how: str) -> None:
    network = build("test_efficientnet").eval()
    scores, embedding, heatmap, signature = perceive(network, 8)
    again = perceive(network, 8, TURNS[how](PICTURES))
    for before, after in zip((scores, embedding, signature), (again[0], again[1], again[3]), strict=True):
        assert after.numpy() == pytest.approx(before.numpy(), abs=1e-4)
    assert again[2].numpy() == pytest.approx(TURNS[how](heatmap).numpy(), abs=1e-3)
    assert perceive(network, 1, TURNS[how](PICTURES))[0].numpy() != pytest.approx(
        perceive(network, 1)[0].numpy(), abs=1e-4
    )


@pytest.mark.parametrize("views", VIEWS)
def test_views_average_the_scores(views: int) -> None:
    network = build("test_efficientnet").eval()
    each = []
    for turns, mirrored in VIEWS[views]:
        image = PICTURES.flip(2) if mirrored else PICTURES
        each.append(perceive(network, 1, torch.rot90(image, turns, (1, 2)))[0])
    assert perceive(network, views)[0].numpy() == pytest.approx(torch.stack(each).mean(0).numpy(), abs=1e-5)


def test_a_number_of_views_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="1, 2, 4, 8, not 3"):
        Perception(build("test_efficientnet"), 3)


def test_an_ensemble_averages_what_its_members_say() -> None:
    members = [build("test_efficientnet", normalisation="half").eval(), build("test_resnet").eval()]
    whole = perceive(Ensemble(members), 2)
    parts = [perceive(member, 2) for member in members]
    assert whole[0].numpy() == pytest.approx(((parts[0][0] + parts[1][0]) / 2).numpy(), abs=1e-5)
    assert whole[1].equal(torch.cat([parts[0][1], parts[1][1]], 1))
    assert whole[2].amax((1, 2)).tolist() == pytest.approx([1, 1, 1])
    with torch.inference_mode():
        pictures = PICTURES.permute(0, 3, 1, 2) / 255
        assert Ensemble(members).eval()(pictures).numpy() == pytest.approx(
            perceive(Ensemble(members), 1)[0].numpy(), abs=1e-5
        )


def test_an_empty_ensemble_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Ensemble([])
