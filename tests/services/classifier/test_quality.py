"""Good enough to judge? The four faults, and none where there is none."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from models.classifier import table
from services.classifier import quality
from tests.pictures import lesion

GOOD = lesion(800, 600)


@pytest.mark.parametrize("size", [(64, 48), (200, 150), (256, 256), (1600, 1200), (900, 60)])
@pytest.mark.parametrize("seed", range(3))
def test_a_sharp_well_lit_picture_is_good_at_any_size(size: tuple[int, int], seed: int) -> None:
    found = quality.judge(lesion(*size, seed=seed))
    assert (found.quality, found.problems) == ("good", ())


@pytest.mark.parametrize(
    ("picture", "problem"),
    [
        (GOOD.filter(ImageFilter.GaussianBlur(60)), "blurred"),
        (ImageEnhance.Brightness(GOOD).enhance(0.1), "dark"),
        (ImageEnhance.Brightness(GOOD).enhance(3.0), "bright"),
        (Image.new("RGB", (400, 300), (200, 160, 140)), "flat"),
        (Image.new("RGB", (400, 300), "black"), "dark"),
        (Image.new("RGB", (400, 300), "white"), "bright"),
    ],
)
def test_faults_are_named(picture: Image.Image, problem: str) -> None:
    found = quality.judge(picture)
    assert found.quality == "poor"
    assert problem in found.problems


def grey(picture: Image.Image) -> NDArray[np.float32]:
    resized = picture.convert("F").resize((144, 144), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32) / 255


def test_contrast_is_not_taken_for_sharpness() -> None:
    pale = ImageEnhance.Contrast(GOOD).enhance(0.4)
    assert quality.sharpness(grey(GOOD)) == pytest.approx(quality.sharpness(grey(pale)), rel=0.1)
    assert quality.judge(pale).quality == "good"


def test_more_blur_is_never_sharper() -> None:
    found = [quality.sharpness(grey(GOOD.filter(ImageFilter.GaussianBlur(r)))) for r in (0, 2, 5, 10, 20, 40)]
    assert found == sorted(found, reverse=True)


@pytest.mark.data
@pytest.mark.parametrize("source", ["ham10000", "pad_ufes_20"])
def test_real_pictures_are_good_and_the_same_blurred_are_not(source: str) -> None:
    if not os.environ.get("MELALOG_DATA_DIR"):
        pytest.skip("needs the real pictures: set MELALOG_DATA_DIR")
    rows = [row for row in table.read(Path(os.environ["MELALOG_DATA_DIR"]), source) if row.split == "train"][::40][:60]
    sharp, blurred = [], []
    for row in rows:
        with Image.open(row.path) as image:
            picture = image.convert("RGB")
        sharp.append("blurred" in quality.judge(picture).problems)
        soft = picture.filter(ImageFilter.GaussianBlur(0.04 * min(picture.size)))
        blurred.append("blurred" in quality.judge(soft).problems)
    assert np.mean(sharp) < 0.05
    assert np.mean(blurred) > 0.85
