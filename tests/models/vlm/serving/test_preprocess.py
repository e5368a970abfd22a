import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from models.classifier.serving import preprocess as classifier
from models.vlm.serving.preprocess import LLAMA, View, encode, null_image, prepare

TILE = View(size=112, geometry="squash", resample="bilinear")
SIDES = st.integers(32, 1500)


@settings(max_examples=25)
@given(SIDES, SIDES)
def test_a_canvas_keeps_proportions_and_never_enlarges(width: int, height: int) -> None:
    prepared = prepare(Image.new("RGB", (width, height)), LLAMA)
    assert max(prepared.size) == min(1120, max(width, height))
    scale = max(prepared.size) / max(width, height)
    assert prepared.size == pytest.approx((width * scale, height * scale), abs=1)


@settings(max_examples=25)
@given(SIDES, SIDES, st.sampled_from(["squash", "crop"]))
def test_a_tile_is_always_that_square(width: int, height: int, geometry: str) -> None:
    view = View.model_validate({"size": 112, "geometry": geometry})
    assert prepare(Image.new("RGB", (width, height)), view).size == (112, 112)


def test_a_tile_is_prepared_as_the_classifier_does() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 130, 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    assert (np.asarray(prepare(image, TILE)) == classifier.prepare(image, 112, "squash", "bilinear")).all()


@pytest.mark.parametrize(("view", "kind"), [(TILE, "PNG"), (LLAMA, "JPEG")])
def test_a_tile_is_sent_without_loss_and_a_canvas_as_jpeg(view: View, kind: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (112, 112, 3)).astype(np.uint8)
    source = Image.fromarray(pixels)
    source.info["comment"] = b"SECRET"
    data = encode(prepare(source, view), view)
    assert b"SECRET" not in data
    with Image.open(io.BytesIO(data)) as sent:
        assert (sent.format, sent.mode) == (kind, "RGB")
        if kind == "PNG":
            assert (np.asarray(sent) == pixels).all()


@pytest.mark.parametrize(("view", "side"), [(TILE, 112), (LLAMA, 560)])
def test_nothing_is_one_grey_tile(view: View, side: int) -> None:
    image = null_image(view)
    assert image.size == (side, side)
    assert image.getcolors() == [(side * side, (128, 128, 128))]


@pytest.mark.parametrize("wrong", [{"size": 0}, {"geometry": "stretch"}, {"resample": "magic"}])
def test_a_view_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        View.model_validate(wrong)
