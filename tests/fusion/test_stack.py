"""Two models on one picture: weighed together as fitted, for the pair it was fitted for, and never the wrong way."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fusion import picture
from fusion.picture import ImageEvidence, logit
from fusion.stack import Stack, StackError

RECORD = {
    "schema_version": 1, "classifier_sha256": "a", "vlm_sha256": "b", "intercept": -0.1, "classifier": 0.8, "vlm": 0.3,
    "sd": 0.3, "prevalence": 0.1, "fitted_on": "a test", "n": 100,
}  # fmt: skip
STACK = Stack.model_validate(RECORD)
probability = st.floats(0.001, 0.999)


def seen(p: float) -> ImageEvidence:
    return ImageEvidence(p, 0.1, logit_sd=0.4)


@given(probability, probability)
def test_the_stack_is_the_weighted_sum_and_not_the_product(p: float, q: float) -> None:
    found = picture.evaluate(seen(p), seen(q), "dermoscopy", STACK)
    wanted = -0.1 + 0.8 * (logit(p) - logit(0.1)) + 0.3 * (logit(q) - logit(0.1))
    assert found.stacked
    if max(abs(logit(p) - logit(0.1)), abs(logit(q) - logit(0.1)), abs(wanted)) < picture.LIMIT_DOWN:
        assert found.melanoma == pytest.approx(wanted)


@given(probability, probability, probability)
def test_a_more_suspicious_model_never_lowers(p: float, q: float, other: float) -> None:
    low, high = sorted((p, q))
    for below, above in (((low, other), (high, other)), ((other, low), (other, high))):
        assert (
            picture.evaluate(*map(seen, below), "dermoscopy", STACK).melanoma
            <= picture.evaluate(*map(seen, above), "dermoscopy", STACK).melanoma
        )


def test_losing_one_of_the_two_widens() -> None:
    both = picture.evaluate(seen(0.2), seen(0.2), "dermoscopy", STACK).sd
    alone = picture.evaluate(seen(0.2), None, "dermoscopy", STACK).sd
    blind = picture.evaluate(None, seen(0.2), "dermoscopy", STACK).sd
    assert both == 0.3
    assert alone == pytest.approx(math.hypot(0.4, picture.SD_ALONE))
    assert both < alone < blind


def test_it_is_for_dermoscopy_where_it_was_fitted() -> None:
    photo = picture.evaluate(seen(0.5), seen(0.9), "photograph", STACK)
    assert photo == picture.evaluate(seen(0.5), None, "photograph")


@pytest.mark.parametrize("weight", ["classifier", "vlm"])
def test_a_negative_weight_is_refused(weight: str) -> None:
    with pytest.raises(ValidationError):
        Stack.model_validate(RECORD | {weight: -0.1})


def test_it_is_for_one_pair_of_models() -> None:
    assert STACK.fits("a", "b")
    assert not STACK.fits("a", "c")
    assert STACK.fits("a", None), "the vlm has not answered"
    assert not STACK.fits(None, None)
    assert not STACK.fits("c", None)


@given(probability, probability)
def test_losing_a_vlm_that_counts_for_nothing_never_makes_the_answer_milder(p: float, q: float) -> None:
    mild = STACK.model_copy(update={"vlm": 0.0, "intercept": 0.16})
    both = picture.evaluate(seen(p), seen(q), "dermoscopy", mild)
    alone = picture.evaluate(seen(p), None, "dermoscopy", mild)
    assert alone.melanoma >= both.melanoma
    assert alone.melanoma >= picture.evaluate(seen(p), None, "dermoscopy").melanoma
    assert not alone.stacked


def test_a_file_is_read_missing_or_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    assert Stack.load(path) is None
    path.write_text(json.dumps(RECORD))
    assert Stack.load(path) == STACK
    path.write_text(json.dumps(RECORD | {"sd": "wide"}))
    with pytest.raises(StackError, match=r"stack\.json is not a stack of schema version 1"):
        Stack.load(path)
