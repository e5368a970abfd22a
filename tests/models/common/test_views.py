"""Eight views, and no ninth."""

import numpy as np

from models.common.views import VIEWS, turned


def test_the_views_are_eight_different_ones_and_the_first_is_the_image() -> None:
    image = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    seen = {turned(image, view).tobytes() for view in VIEWS}
    assert len(VIEWS) == len(seen) == 8
    assert np.array_equal(turned(image, VIEWS[0]), image)


def test_a_batch_is_turned_as_each_image_is() -> None:
    batch = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 3), np.uint8)
    for view in VIEWS:
        assert np.array_equal(turned(batch, view)[2], turned(batch[2], view))
        assert turned(batch, view).flags.c_contiguous
