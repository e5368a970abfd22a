"""Every sentence that a person reads. None says "all clear" (docs/evidence.md, section 8)."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from fusion.lesion import LesionEvidence
from fusion.person import PersonEvidence
from fusion.picture import ImageShift
from fusion.policy import Level


@dataclass(frozen=True)
class Reason:
    """One reason: floor.<name>, picture.<what>, age_sex or answer.<question>, and its sentence."""

    id: str
    text: str


DISCLAIMER = (
    "Melalog is research software, not a medical device. It does not diagnose and can miss a melanoma. "
    "If a spot worries you, changes or bleeds, show it to a doctor whatever this answer says."
)

HEADLINES: dict[Level, str] = {
    "low": "No strong warning sign was found",
    "moderate": "This spot should be looked at",
    "high": "Show this spot to a doctor soon",
}

ADVICE: dict[Level, str] = {
    "low": (
        "We looked for signs of melanoma and other skin cancer in the image and in your answers, and found no "
        "strong one. An image cannot rule out melanoma. Look at the spot again every month, and see a doctor if it "
        "changes in size, shape or colour, bleeds, keeps itching, or looks unlike your other moles."
    ),
    "moderate": (
        "Have a doctor look at this spot within the next few weeks. Go sooner if it changes, grows or bleeds."
    ),
    "high": (
        "Ask your doctor or a skin specialist for an appointment within two weeks, and say that a spot was "
        "rated as high risk. This is not a diagnosis: many spots rated high turn out to be harmless."
    ),
}

RAISED_BY = {
    "rapid_growth": "The spot is growing quickly; a doctor should see it soon, whatever the image shows.",
    "melanoma_before_and_change": "You have had a melanoma before, and this spot is new or has changed.",
    "prior_melanoma": "You have had a melanoma before, so no spot is rated low.",
    "bleeding": "The spot bleeds or crusts, so it is not rated low.",
    "change": "The spot has changed, so it is not rated low.",
    "classifier_threshold": "The image model finds the spot too suspicious to rate it low.",
    "vlm_threshold": "The second image model finds the spot too suspicious to rate it low.",
    "other_skin_cancer": "The image has too many features of another skin cancer to rate the spot low.",
    "no_classifier": "The main model could not judge the image, so the spot is not rated low.",
    "poor_picture": "The image is not good enough to rate the spot low; a sharper, better lit one may help.",
    "out_of_distribution": (
        "The image is unlike those the model was trained on, so the spot is not rated low. "
        "Take another one that shows the spot large and in the middle."
    ),
    "modality_doubted": "The image looks like a photograph, not dermoscopy, so the spot is not rated low.",
}

PICTURE = {
    "poor_picture": "The image is of poor quality, so what the models find in it is less reliable.",
    "out_of_distribution": "The image is unlike those the model was trained on, so it cannot lower the risk.",
    "modality_doubted": "The image looks like a photograph, not dermoscopy, so it cannot lower the risk.",
}
"""Sentence for a finding about the image whose floor did not raise the level."""

FACTORS = {
    "prior_melanoma": "An earlier melanoma raises the risk.",
    "prior_skin_cancer": "An earlier skin cancer raises the risk.",
    "many_moles": "Having many moles raises the risk a little.",
    "trunk_moles": "Having many moles on chest and belly raises the risk a little.",
    "atypical_moles": "Atypical moles raise the risk.",
    "family_skin_cancer": "Skin cancer in the family raises the risk.",
    "family_cancer": "Melanoma in the family raises the risk.",
    "fair_skin": "Fair skin raises the risk.",
    "skin_type": "Skin that burns easily raises the risk.",
    "hair_colour": "Your natural hair colour is linked to a higher risk.",
    "freckles": "Freckles are linked to a higher risk.",
    "sunburns": "Bad sunburns raise the risk.",
    "sunbed_before_35": "Using a sunbed when young raises the risk.",
    "parkinsons": "Parkinson's disease is linked to a somewhat higher risk.",
    "weak_immune_system": "A weakened immune system raises the risk.",
    "change": "The spot has changed.",
    "rapid_growth": "The spot is growing quickly.",
    "new_mole": "The spot is new.",
    "bleeding": "The spot bleeds or crusts.",
    "itch": "The spot itches, which says little by itself.",
    "diameter": "The spot is 7 mm wide or more.",
}
"""Sentence for each answer that raises the risk."""

QUESTIONS: dict[Level, tuple[str, ...]] = {
    "low": ("How often should I have my skin checked?",),
    "moderate": ("Does this spot need to be examined with a dermatoscope?", "When should it be checked again?"),
    "high": ("Should this spot be removed and examined?", "How soon can a specialist look at it?"),
}


def percent(p: float) -> str:
    """A probability as a person reads it: "less than 0.1 %", "0.4 %", "3.1 %", "38 %", "more than 99 %"."""
    if p < 0.001:  # noqa: PLR2004
        return "less than 0.1 %"
    if p > 0.99:  # noqa: PLR2004  (never "100 %": nothing here is that certain)
        return "more than 99 %"
    return f"{p * 100:.0f} %" if p >= 0.1 else f"{p * 100:.1f} %"  # noqa: PLR2004


NOTABLE = 0.1
"""Log-odds below this get no sentence."""


def reasons(
    image: ImageShift,
    person: PersonEvidence,
    lesion: LesionEvidence,
    raised_by: Sequence[str],
    floors: AbstractSet[str],
    *,
    judged: bool,
) -> tuple[Reason, ...]:
    """The reasons, those of floors that raised the level first. `judged`: whether a model could judge the image."""
    selected = [Reason(f"floor.{name}", RAISED_BY[name]) for name in raised_by]
    selected += [Reason(f"picture.{name}", text) for name, text in PICTURE.items() if name in floors - {*raised_by}]
    unjudged = Reason("picture.unjudged", "No calibrated model could judge the image, so the image does not count.")
    selected += _of_image(image) if judged else [unjudged]
    if person.age_sex > NOTABLE:
        selected.append(Reason("age_sex", "Melanoma is more frequent than average at this age and sex."))
    selected += [
        Reason(f"answer.{factor.id}", FACTORS[factor.id])
        for factor in (*lesion.factors, *person.factors)
        if factor.raises and factor.id not in raised_by
    ]
    return tuple(selected)


def _of_image(image: ImageShift) -> list[Reason]:
    selected = []
    if image.melanoma > NOTABLE:
        selected.append(Reason("picture.melanoma", "The image looks more like melanoma than the average spot."))
    elif image.melanoma < -NOTABLE:
        selected.append(Reason("picture.less_melanoma", "The image looks less like melanoma than the average spot."))
    if image.malignant > max(image.melanoma, 0) + NOTABLE:
        other = "The image has features of another skin cancer, such as basal cell carcinoma."
        selected.append(Reason("picture.other_skin_cancer", other))
    if image.held_back and not selected:
        held = "The image shows no strong sign of melanoma; in this case it cannot lower the risk."
        selected.append(Reason("picture.held_back", held))
    return selected or [Reason("picture.undecided", "The image says little either way.")]


def explanation(melanoma: float, interval: tuple[float, float], malignant: float, reasons: Sequence[Reason]) -> str:
    """The explanation when no hosted model writes one."""
    low, high = (percent(bound) for bound in interval)
    return (
        f"Of spots like this one, in people like you, {_about(melanoma)} are melanoma (likely between {low} and "
        f"{high}) and {_about(malignant)} are skin cancer of any kind. " + " ".join(reason.text for reason in reasons)
    )


def _about(p: float) -> str:
    share = percent(p)
    return share if share.startswith(("less", "more")) else f"about {share}"
