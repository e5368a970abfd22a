"""Training pictures: read as they are served, drawn so that no source gives the label away."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.classifier.data import image_pool
from models.classifier.data.labels import CLASSES, MELANOMA
from models.classifier.data.table import Row
from models.classifier.serving.preprocess import prepare
from tests.pictures import lesion


def row(path: Path, label: int = 0, source: str = "s") -> Row:
    return Row(path, CLASSES[label], "g", "train", source)


def test_pictures_are_read_upright_and_prepared(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    lesion(60, 40).save(tmp_path / "a.png")
    lesion(60, 40).save(tmp_path / "b.png", exif=turned)
    found = image_pool.load([row(tmp_path / "a.png"), row(tmp_path / "b.png")], 32, "squash", "bilinear")
    assert found.shape == (2, 32, 32, 3)
    assert found.dtype == np.uint8
    assert np.array_equal(found[0], prepare(lesion(60, 40), 32))
    assert np.array_equal(found[1], prepare(lesion(60, 40).transpose(Image.Transpose.ROTATE_270), 32))


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    for name in ("broken.jpg", "missing.jpg"):
        with pytest.raises(ValueError, match=name):
            image_pool.load([row(tmp_path / name)], 32, "squash", "bilinear")


labels = st.lists(st.sampled_from(range(len(CLASSES))), max_size=40).map(lambda some: [*some, MELANOMA, 5])


@given(st.lists(labels, min_size=1, max_size=3), st.floats(0.05, 0.95))
def test_melanoma_has_the_same_share_in_every_source(sources: list[list[int]], share: float) -> None:
    """Else the network learns to tell the source."""
    rows = [row(Path("x"), label, f"s{i}") for i, some in enumerate(sources) for label in some]
    weights = image_pool.sampling_weights(rows, share)
    assert weights.sum() == pytest.approx(1)
    assert np.all(weights > 0)
    for i, some in enumerate(sources):
        of_source = np.array([one.source == f"s{i}" for one in rows])
        melanoma = np.array([one.label == MELANOMA for one in rows])
        assert weights[of_source].sum() == pytest.approx(len(some) / len(rows))
        assert weights[of_source & melanoma].sum() / weights[of_source].sum() == pytest.approx(share)


def test_other_classes_are_balanced_by_the_square_root_of_their_count() -> None:
    rows = [row(Path("x"), label) for label in [MELANOMA] + [5] * 90 + [0] * 10]
    weights = image_pool.sampling_weights(rows, 0.3)
    common, rare = weights[1:91].sum(), weights[91:].sum()
    assert common / rare == pytest.approx(3)
    assert common + rare == pytest.approx(0.7)


@pytest.mark.parametrize("resample", ["bilinear", "bicubic", "lanczos"])
def test_squash_keeps_the_frame_and_crop_its_middle(resample: image_pool.Filter) -> None:
    wide = Image.new("RGB", (300, 100), "black")
    wide.paste("white", (100, 0, 200, 100))
    squashed, cropped = prepare(wide, 30, "squash", resample), prepare(wide, 30, "crop", resample)
    assert squashed.shape == cropped.shape == (30, 30, 3)
    assert (squashed[15, 2, 0], squashed[15, 15, 0], squashed[15, 27, 0]) == (0, 255, 0)
    assert cropped[:, 3:-3].min() >= 254


def test_prepare_is_pure() -> None:
    """Seed mistake 7: no random change of what is served."""
    picture = lesion(100, 80)
    assert np.array_equal(prepare(picture, 48), prepare(picture, 48))
    assert picture.size == (100, 80)
