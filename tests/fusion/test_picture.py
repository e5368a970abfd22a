"""What one picture is worth: shift from the prevalence its model was calibrated at, bounded."""

import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import picture
from fusion.picture import ImageEvidence, logit

Modality = Literal["dermoscopy", "photograph"]
modalities = st.sampled_from(["dermoscopy", "photograph"])
probability = st.floats(0, 1)
prevalence = st.floats(0.001, 0.999)
deviation = st.none() | st.floats(0, 1e300)
evidence = st.builds(
    ImageEvidence,
    melanoma=probability,
    prevalence=prevalence,
    malignant=st.none() | probability,
    malignant_prevalence=st.none() | prevalence,
    logit_sd=deviation,
)


def shift(p: float, at: float, modality: Modality = "dermoscopy") -> float:
    return picture.evaluate(ImageEvidence(p, at), None, modality).melanoma


@pytest.mark.parametrize(("p", "at"), [(0.5, 0.5), (0.11, 0.11), (0.3, 0.11), (0.02, 0.11), (0.9, 0.5)])
def test_shift_is_logit_less_logit_of_the_prevalence(p: float, at: float) -> None:
    assert shift(p, at) == pytest.approx(math.log(p / (1 - p)) - math.log(at / (1 - at)))


@pytest.mark.parametrize(("p", "at_clinic"), [(0.50, 0.025), (0.90, 0.19), (0.98, 0.56)])
def test_prior_shift_as_in_the_evidence_table(p: float, at_clinic: float) -> None:
    """Seed mistake 9: a model's output at 50 % prevalence is not a risk at 2.5 %."""
    assert 1 / (1 + math.exp(-(logit(0.025) + shift(p, 0.5)))) == pytest.approx(at_clinic, abs=0.006)


def test_malignant_is_weighed_at_its_own_prevalence() -> None:
    shift = picture.evaluate(ImageEvidence(0.1, 0.1, malignant=0.6, malignant_prevalence=0.2), None, "dermoscopy")
    assert shift.melanoma == 0
    assert shift.malignant == pytest.approx(math.log(1.5) + math.log(4))


def test_without_a_malignant_value_melanoma_stands_for_it() -> None:
    shift = picture.evaluate(ImageEvidence(0.6, 0.2), None, "dermoscopy")
    assert shift.malignant == shift.melanoma > 0


@given(evidence, evidence, modalities)
def test_the_vlm_is_not_multiplied_with_the_classifier(
    classifier: ImageEvidence, vlm: ImageEvidence, kind: Modality
) -> None:
    assert picture.evaluate(classifier, vlm, kind) == picture.evaluate(classifier, None, kind)


@given(st.none() | evidence, st.none() | evidence, modalities)
def test_one_picture_is_bounded(classifier: ImageEvidence | None, vlm: ImageEvidence | None, kind: Modality) -> None:
    shift = picture.evaluate(classifier, vlm, kind)
    assert -3 <= shift.melanoma <= 4
    assert -3 <= shift.malignant <= 4
    assert 0 <= shift.sd <= picture.SD_UNKNOWN


@given(probability, probability, prevalence, modalities)
def test_a_more_suspicious_picture_never_lowers(p: float, q: float, at: float, kind: Modality) -> None:
    assert shift(min(p, q), at, kind) <= shift(max(p, q), at, kind)


@given(evidence)
def test_a_photograph_raises_by_half_and_never_lowers(classifier: ImageEvidence) -> None:
    sharp, photo = (picture.evaluate(classifier, None, kind) for kind in ("dermoscopy", "photograph"))
    assert photo.melanoma == pytest.approx(max(sharp.melanoma, 0) / 2)
    assert photo.malignant == pytest.approx(max(sharp.malignant, 0) / 2)
    assert photo.sd >= sharp.sd


@given(evidence, modalities)
def test_the_vlm_alone_never_lowers(vlm: ImageEvidence, kind: Modality) -> None:
    shift = picture.evaluate(None, vlm, kind)
    assert shift.melanoma >= 0
    assert shift.malignant >= 0


def test_without_a_model_the_picture_says_nothing_and_is_uncertain() -> None:
    assert picture.evaluate(None, None, "dermoscopy") == picture.ImageShift(0.0, 0.0, picture.SD_UNKNOWN)


@given(evidence, st.none() | evidence, modalities)
def test_losing_a_model_never_looks_surer(classifier: ImageEvidence, vlm: ImageEvidence | None, kind: Modality) -> None:
    whole = picture.evaluate(classifier, vlm, kind).sd
    without_classifier = picture.evaluate(None, vlm, kind).sd
    assert whole <= without_classifier <= picture.evaluate(None, None, kind).sd


def test_a_measured_deviation_is_used_and_a_photograph_adds_to_it() -> None:
    classifier = ImageEvidence(0.1, 0.1, logit_sd=0.4)
    alone = math.hypot(0.4, picture.SD_ALONE)
    assert picture.evaluate(classifier, None, "dermoscopy").sd == pytest.approx(alone)
    assert picture.evaluate(classifier, None, "photograph").sd == pytest.approx(
        math.hypot(alone, picture.SD_PHOTOGRAPH)
    )


@given(evidence, st.none() | evidence)
def test_a_picture_unlike_all_others_may_raise_but_not_lower_and_is_uncertain(
    classifier: ImageEvidence, vlm: ImageEvidence | None
) -> None:
    shift = picture.evaluate(classifier, vlm, "dermoscopy", out_of_distribution=True)
    assert shift.melanoma >= 0
    assert shift.malignant >= 0
    assert shift.sd == picture.SD_UNKNOWN


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_logit_of_certainty_is_finite(p: float) -> None:
    assert abs(logit(p)) == pytest.approx(math.log(1e6), abs=0.01)
