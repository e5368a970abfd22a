"""Good enough to judge? The four faults, and none where there is none."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from scipy.ndimage import gaussian_filter1d

from models.classifier.data import table
from services.classifier import quality
from tests.pictures import lesion

GOOD = lesion(800, 600)


@pytest.mark.parametrize("size", [(64, 48), (200, 150), (256, 256), (800, 600), (900, 60)])
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


@pytest.mark.parametrize("contrast", [1.0, 0.5, 0.3])
@pytest.mark.parametrize("size", [(200, 150), (300, 225), (800, 600)])
def test_blur_is_found_whatever_the_contrast(size: tuple[int, int], contrast: float) -> None:
    """Rounding to 256 levels must not pass for detail: in a pale picture it is all there is."""
    sharp = ImageEnhance.Contrast(lesion(*size)).enhance(contrast)
    blurred = ImageEnhance.Contrast(lesion(*size).filter(ImageFilter.GaussianBlur(size[1] / 20))).enhance(contrast)
    assert quality.judge(sharp).problems == ()
    assert quality.judge(blurred).problems == ("blurred",)


def test_motion_along_either_side_is_blur() -> None:
    """Detail across the motion is as sharp as ever, and along it there is none."""
    texture = np.random.default_rng(0).integers(60, 200, (144, 144)).astype(float)
    for axis in (0, 1):
        smeared = 128 + 4 * (gaussian_filter1d(texture, 10, axis) - 130)
        picture = Image.fromarray(smeared.clip(0, 255).astype(np.uint8)).convert("RGB")
        assert quality.judge(picture).problems == ("blurred",)


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
