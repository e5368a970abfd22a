"""Every sentence a person reads, in one place and in plain words. Never "all clear" (docs/evidence.md, section 8)."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from fusion.lesion import LesionEvidence
from fusion.person import PersonEvidence
from fusion.picture import PictureEvidence
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
        "We looked for signs of melanoma and other skin cancer in the picture and in what you told us, and found no "
        "strong one. A picture cannot rule out melanoma. Look at the spot again every month, and see a doctor if it "
        "changes in size, shape or colour, bleeds, itches for long, or looks unlike your other moles."
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
    "rapid_growth": "The spot grows quickly; a doctor should see it soon, whatever a picture shows.",
    "melanoma_before_and_change": "You have had a melanoma before, and this spot is new or has changed.",
    "prior_melanoma": "You have had a melanoma before, so no spot is rated low.",
    "bleeding": "The spot bleeds or crusts, so it is not rated low.",
    "change": "The spot has changed, so it is not rated low.",
    "classifier_threshold": "The picture model finds the spot suspicious enough not to rate it low.",
    "vlm_threshold": "The second picture model finds the spot suspicious enough not to rate it low.",
    "other_skin_cancer": "The picture has enough features of another skin cancer not to rate the spot low.",
    "no_classifier": "The picture could not be judged by the main model, so the spot is not rated low.",
    "poor_picture": "The picture is not good enough to rate the spot low; a sharper, better lit one may help.",
    "out_of_distribution": (
        "The picture is unlike those the model learned from, so the spot is not rated low. "
        "Take another one that shows the spot large and in the middle."
    ),
    "modality_doubted": "The picture looks like a photograph, not dermoscopy, so the spot is not rated low.",
}

PICTURE = {
    "poor_picture": "The picture is of poor quality, so it is a weak witness.",
    "out_of_distribution": "The picture is unlike those the model learned from, so it is not let to lower the risk.",
    "modality_doubted": "The picture looks like a photograph, not dermoscopy, so it is not let to lower the risk.",
}
"""What is said of a picture whose floor was not needed."""

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
    "hair_colour": "Your natural hair colour goes with skin that is at more risk.",
    "freckles": "Freckles go with skin that is at more risk.",
    "sunburns": "Bad sunburns raise the risk.",
    "sunbed_before_35": "Using a sunbed when young raises the risk.",
    "parkinsons": "Parkinson's disease goes with a somewhat higher risk.",
    "weak_immune_system": "A weakened immune system raises the risk.",
    "change": "The spot has changed.",
    "rapid_growth": "The spot grows quickly.",
    "new_mole": "The spot is new.",
    "bleeding": "The spot bleeds or crusts.",
    "itch": "The spot itches, which says little by itself.",
    "diameter": "The spot is 7 mm wide or more.",
}
"""Why an answer counts, when it raises the risk."""

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
"""Log-odds below this are not worth a sentence."""


def reasons(
    seen: PictureEvidence,
    who: PersonEvidence,
    spot: LesionEvidence,
    raised_by: Sequence[str],
    floors: AbstractSet[str],
    *,
    judged: bool,
) -> tuple[Reason, ...]:
    """Why, floors first: those that raised the level. `judged`: whether any model could judge the picture."""
    told = [Reason(f"floor.{name}", RAISED_BY[name]) for name in raised_by]
    told += [Reason(f"picture.{name}", text) for name, text in PICTURE.items() if name in floors - {*raised_by}]
    unjudged = Reason("picture.unjudged", "No calibrated model could judge the picture, so it does not count.")
    told += _of_picture(seen) if judged else [unjudged]
    if who.age_sex > NOTABLE:
        told.append(Reason("age_sex", "Melanoma is more frequent than average at this age and sex."))
    told += [
        Reason(f"answer.{factor.id}", FACTORS[factor.id])
        for factor in (*spot.factors, *who.factors)
        if factor.raises and factor.id not in raised_by
    ]
    return tuple(told)


def _of_picture(seen: PictureEvidence) -> list[Reason]:
    told = []
    if seen.melanoma > NOTABLE:
        told.append(Reason("picture.melanoma", "The picture looks more like melanoma than the average spot."))
    elif seen.melanoma < -NOTABLE:
        told.append(Reason("picture.less_melanoma", "The picture looks less like melanoma than the average spot."))
    if seen.malignant > max(seen.melanoma, 0) + NOTABLE:
        other = "The picture has features of another skin cancer, such as basal cell carcinoma."
        told.append(Reason("picture.other_skin_cancer", other))
    if seen.held_back and not told:
        held = "The picture shows no strong sign of melanoma; taken like this, it is not let to lower the risk."
        told.append(Reason("picture.held_back", held))
    return told or [Reason("picture.undecided", "The picture says little either way.")]


def explanation(melanoma: float, interval: tuple[float, float], malignant: float, told: Sequence[Reason]) -> str:
    """The explanation when no hosted model writes one."""
    low, high = (percent(bound) for bound in interval)
    return (
        f"Among people and spots like this, {_about(melanoma)} are melanoma (likely between {low} and {high}), "
        f"and {_about(malignant)} are some skin cancer. " + " ".join(reason.text for reason in told)
    )


def _about(p: float) -> str:
    told = percent(p)
    return told if told.startswith(("less", "more")) else f"about {told}"
