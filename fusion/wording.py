"""Every sentence a person reads, in one place and in plain words. Never "all clear" (EVIDENCE 4)."""

from collections.abc import Sequence

from fusion.person import Factor
from fusion.picture import PictureEvidence
from fusion.policy import Level

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
        "A picture cannot rule out melanoma. Look at the spot again every month, and see a doctor if it changes in "
        "size, shape or colour, bleeds, or looks unlike your other moles."
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
    "prior_melanoma": "You have had a melanoma before, so no spot is rated low.",
    "no_classifier": "The picture could not be judged by the main model, so the spot is not rated low.",
    "poor_picture": "The picture is not good enough to rate the spot low; a sharper, better lit one may help.",
    "out_of_distribution": (
        "The picture is unlike those the model learned from, so the spot is not rated low. "
        "Take another one that shows the spot large and in the middle."
    ),
}

FACTORS = {
    "prior_melanoma": "an earlier melanoma",
    "prior_skin_cancer": "an earlier skin cancer",
    "many_moles": "many moles",
    "family_skin_cancer": "skin cancer in the family",
    "fair_skin": "fair skin",
    "sunburns": "bad sunburns",
    "parkinsons": "Parkinson's disease",
    "weak_immune_system": "a weakened immune system",
}

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
    seen: PictureEvidence, age_sex: float, factors: Sequence[Factor], raised_by: Sequence[str], *, judged: bool
) -> tuple[str, ...]:
    """Why, floors first. `judged`: whether any model could judge the picture."""
    told = [RAISED_BY[name] for name in raised_by]
    told += _of_picture(seen) if judged else ["No calibrated model could judge the picture, so it does not count."]
    if age_sex > NOTABLE:
        told.append("Melanoma is more frequent than average at this age and sex.")
    yes = [FACTORS[factor.id] for factor in factors if factor.answer == "yes" and factor.likelihood_ratio > 1]
    if yes:
        told.append(f"These answers raise the risk: {', '.join(yes)}.")
    return tuple(told)


def _of_picture(seen: PictureEvidence) -> list[str]:
    told = []
    if seen.melanoma > NOTABLE:
        told.append("The picture looks more like melanoma than the average spot.")
    elif seen.melanoma < -NOTABLE:
        told.append("The picture looks less like melanoma than the average spot.")
    if seen.malignant > max(seen.melanoma, 0) + NOTABLE:
        told.append("The picture has features of another skin cancer, such as basal cell carcinoma.")
    if seen.held_back and not told:
        told.append("The picture shows no strong sign of melanoma; taken like this, it is not let to lower the risk.")
    return told or ["The picture says little either way."]


def explanation(melanoma: float, interval: tuple[float, float], malignant: float, told: Sequence[str]) -> str:
    """The explanation when no hosted model writes one."""
    low, high = (percent(bound) for bound in interval)
    return (
        f"Among people and spots like this, about {percent(melanoma)} are melanoma (likely between {low} and {high}), "
        f"and about {percent(malignant)} are some skin cancer. " + " ".join(told)
    )
