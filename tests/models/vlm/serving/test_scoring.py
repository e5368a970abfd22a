import math
from collections.abc import Sequence

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from models.vlm.serving.scoring import MIN_MASS, UNSURE_BAND, UnusableDistribution, score

Top = list[tuple[str, float]]

FORMS = ["{}", " {}", "Ġ{}", "▁{}", "{}\n"]
OTHER = ["Yesterday", "Nothing", "know", "Not", "The", "I", "Eyes", "Noise", "", " ", "<|eot_id|>", "不"]
YES = [form.format(case) for form in FORMS[:2] for case in ("Yes", "yes", "YES")]
NO = [form.format(case) for form in FORMS[:2] for case in ("No", "no", "NO")]


def logs(masses: dict[str, float]) -> Top:
    return [(token, math.log(p)) for token, p in masses.items()]


@st.composite
def vocabularies(draw: st.DrawFn) -> Top:
    """A whole raw distribution over a small vocabulary with many spellings of both answers, likeliest first."""
    tokens = draw(st.lists(st.sampled_from([*YES, *NO, *OTHER]), min_size=1, max_size=20, unique=True))
    scores = [draw(st.floats(-20, 20)) for _ in tokens]
    top = max(scores)
    total = top + math.log(sum(math.exp(s - top) for s in scores))
    listed = [(token, s - total) for token, s in zip(tokens, scores, strict=True)]
    return sorted(listed, key=lambda entry: -entry[1])


def true_share(full: Top, words: Sequence[str]) -> float:
    return sum(math.exp(logprob) for token, logprob in full if token in words)


def swapped(top: Top) -> Top:
    other = dict(zip([*YES, *NO], [*NO, *YES], strict=True))
    return [(other.get(token, token), logprob) for token, logprob in top]


@given(vocabularies(), st.integers(1, 20))
def test_probabilities_are_probabilities(full: Top, listed: int) -> None:
    verdict = score(full[:listed])
    assert 0 <= verdict.answer_mass <= 1
    assert verdict.p_yes is None or 0 <= verdict.p_yes <= 1
    for logprob in (verdict.logprob_yes, verdict.logprob_no):
        assert logprob is None or logprob <= 0
    if verdict.confidence is None:
        assert verdict.answer == "Unsure"
    else:
        assert verdict.p_yes is not None
        assert 0.5 + UNSURE_BAND <= verdict.confidence <= 1
        assert verdict.answer == ("Yes" if verdict.p_yes > 0.5 else "No")
        assert verdict.confidence == max(verdict.p_yes, 1 - verdict.p_yes)


@given(vocabularies(), st.integers(1, 20))
@example([("Yes", math.log(0.9)), ("The", math.log(0.01)), *[(no, math.log(0.009)) for no in NO]], 2)
def test_confidence_is_never_overstated_when_one_side_is_missing(full: Top, listed: int) -> None:
    verdict = score(full[:listed])
    assume(verdict.confidence is not None)
    assume((verdict.logprob_yes is None) != (verdict.logprob_no is None))
    yes, no = true_share(full, YES), true_share(full, NO)
    true = (yes if verdict.answer == "Yes" else no) / (yes + no)
    assert verdict.confidence <= true + 1e-9  # type: ignore[operator]


@given(vocabularies(), st.integers(1, 20))
def test_yes_and_no_are_treated_alike(full: Top, listed: int) -> None:
    one, other = score(full[:listed]), score(swapped(full[:listed]))
    assert one.answer_mass == pytest.approx(other.answer_mass)
    if one.p_yes is None or other.p_yes is None:
        assert one == other
        return
    assert one.p_yes == pytest.approx(1 - other.p_yes)
    assert (one.logprob_yes, one.logprob_no) == pytest.approx((other.logprob_no, other.logprob_yes))
    assume(abs(abs(one.p_yes - 0.5) - UNSURE_BAND) > 1e-9)
    assume(abs(one.answer_mass - MIN_MASS) > 1e-9)
    assert one.answer == {"Yes": "No", "No": "Yes", "Unsure": "Unsure"}[other.answer]


@given(st.data(), vocabularies())
def test_order_does_not_matter(data: st.DataObject, full: Top) -> None:
    one, other = score(full), score(data.draw(st.permutations(full)))
    assert one.p_yes == pytest.approx(other.p_yes)
    assert one.answer_mass == pytest.approx(other.answer_mass)


@given(vocabularies())
def test_listing_more_of_the_same_distribution_never_lowers_the_mass(full: Top) -> None:
    masses = [score(full[:listed]).answer_mass for listed in range(1, len(full) + 1)]
    assert masses == sorted(masses)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("word", ["yes", "Yes", "YES"])
def test_every_spelling_of_yes_counts(form: str, word: str) -> None:
    verdict = score(logs({form.format(word): 0.8, "No": 0.1}))
    assert verdict.answer == "Yes"
    assert verdict.p_yes == pytest.approx(0.8 / 0.9)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("word", ["no", "No", "NO"])
def test_every_spelling_of_no_counts(form: str, word: str) -> None:
    verdict = score(logs({form.format(word): 0.8, "Yes": 0.1}))
    assert verdict.answer == "No"
    assert verdict.logprob_no == pytest.approx(math.log(0.8))


@pytest.mark.parametrize("token", ["Yesterday", "Yes,it", "Nothing", "know", "Not", "No-one", "Ġknow", "eyes", "nope"])
def test_words_that_contain_an_answer_are_none(token: str) -> None:
    """The first system looked for "no" inside the text: "I do not know" and "Nothing unusual" were both a No."""
    verdict = score(logs({token: 0.9}))
    assert verdict.answer == "Unsure"
    assert (verdict.p_yes, verdict.confidence, verdict.logprob_yes, verdict.logprob_no) == (None,) * 4
    assert verdict.answer_mass == 0


def test_spellings_are_summed() -> None:
    verdict = score(logs({"Yes": 0.3, " yes": 0.2, "YES": 0.1, "No": 0.1, "Ġno": 0.05, "The": 0.2}))
    assert verdict.logprob_yes == pytest.approx(math.log(0.6))
    assert verdict.logprob_no == pytest.approx(math.log(0.15))
    assert verdict.answer_mass == pytest.approx(0.75)
    assert verdict.p_yes == verdict.confidence == pytest.approx(0.8)


def test_two_ids_that_read_the_same_are_summed() -> None:
    assert score([("Yes", math.log(0.4)), ("Yes", math.log(0.4)), ("No", math.log(0.1))]).answer_mass == pytest.approx(
        0.9
    )


@pytest.mark.parametrize(
    ("masses", "answer"),
    [
        ({"Yes": 0.45, "No": 0.04, "The": 0.5}, "Unsure"),
        ({"Yes": 0.45, "No": 0.06, "The": 0.4}, "Yes"),
        ({"Yes": 0.59, "No": 0.41}, "Unsure"),
        ({"Yes": 0.61, "No": 0.39}, "Yes"),
        ({"Yes": 0.39, "No": 0.61}, "No"),
        ({"Yes": 0.5, "No": 0.5}, "Unsure"),
    ],
)
def test_unsure_when_little_was_an_answer_or_near_one_half(masses: dict[str, float], answer: str) -> None:
    verdict = score(logs(masses))
    assert verdict.answer == answer
    assert (verdict.confidence is None) == (answer == "Unsure")
    assert verdict.p_yes is not None, "the raw share is reported even when it is no answer"


def test_an_answer_cut_from_the_list_is_given_all_it_may_have() -> None:
    """A certain model still leaves something for the other side; what is left over is the most it can be."""
    verdict = score(logs({"Yes": 0.7}))
    assert verdict.p_yes == pytest.approx(0.7)
    assert verdict.logprob_no is None
    assert score(logs({"Yes": 0.51})).answer == "Unsure"


@pytest.mark.parametrize(
    "top",
    [
        [],
        [("Yes", math.nan), ("No", -1.0)],
        [("Yes", -math.inf), ("No", -0.1)],
        [("Yes", math.inf)],
        [("Yes", 0.9), ("No", 0.1)],
        [("Yes", 12.5), ("No", 11.0)],
        [("Yes", -0.1), ("No", -0.1)],
        [("Yes", 0.0), ("No", 0.0)],
    ],
    ids=["empty", "nan", "minus infinity", "infinity", "probabilities", "logits", "over one", "both certain"],
)
def test_what_cannot_be_a_distribution_is_refused(top: Top) -> None:
    with pytest.raises(UnusableDistribution):
        score(top)


@pytest.mark.parametrize("masked", [-9999.0, -1e9, -3.4e38])
def test_processed_scores_are_refused(masked: float) -> None:
    """Masked or top-k filtered scores make every answer certain: the first system's 1.0 confidences."""
    with pytest.raises(UnusableDistribution):
        score([("Yes", 0.0), ("No", masked), ("The", masked)])


def test_an_answer_that_was_not_listed_never_outweighs_one_that_was() -> None:
    verdict = score(logs({"The": 0.95, "Yes": 0.01}))
    assert verdict.answer == "Unsure"
    assert verdict.p_yes == pytest.approx(0.5)


def test_a_single_certain_token_is_not_quite_certain() -> None:
    """A server that lists fewer tokens than requested; a confidence of exactly 1 would have infinite log-odds."""
    verdict = score([("Yes", 0.0)])
    assert verdict.answer == "Yes"
    assert verdict.confidence == pytest.approx(0.999, abs=1e-4)


def test_rounding_of_a_float32_server_is_tolerated() -> None:
    verdict = score([("Yes", 5e-4), ("No", -12.0)])
    assert verdict.answer == "Yes"
    assert verdict.confidence is not None
    assert verdict.confidence <= 1
    assert verdict.logprob_yes is not None
    assert verdict.logprob_yes <= 0
    assert verdict.answer_mass <= 1
