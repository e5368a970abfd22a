"""Four ways to tell malignant lesions of PAD-UFES-20 from others, each judged on patients that it was not fitted on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.pad_people import Person
from benchmarks.seen import evidence as evidence_of
from fusion import questionnaire, rules
from fusion.picture import logit
from fusion.policy import LEVELS
from models.classifier.evaluation import statistics
from models.classifier.evaluation.statistics import Array, Metric, Samples
from models.classifier.serving.artifact import ClassifierArtifact

FOLDS, SPLITS = 5, 20
ACT_AT = 0.03
PREVALENCE = 0.05
"""Malignant among lesions shown to a doctor: the prior of 2.5 % melanoma, and as many other skin cancers."""
NAMES = {
    "image": "image alone",
    "answers": "answers alone",
    "both": "both, as fusion weighs them",
    "both_refitted": "both, weights fitted here",
    "missing": "only which answers are missing",
}


def evidence(
    people: Sequence[Person], found: Mapping[str, Array] | None, artifact: ClassifierArtifact, prior: float
) -> dict[str, Array]:
    """Features [N, k] of each model; without pictures, of those that need none.

    `found`: the classifier's probabilities [N], `melanoma` and `malignant`.
    """
    asked = questionnaire.load()
    parsed = [asked.parse(one.answers) for one in people]
    without = [rules.decide(rules.Case(answers, "photograph"), asked, prior).contributions for answers in parsed]
    answers = np.array([sum(v for name, v in one.items() if name not in ("prior", "picture")) for one in without])
    features = {"answers": answers[:, None], "missing": np.array([one.unanswered for one in people], float)}
    if found is None:
        return features
    seen = [
        evidence_of(artifact, float(mel), float(mal))
        for mel, mal in zip(found["melanoma"], found["malignant"], strict=True)
    ]
    image = np.array([logit(float(p)) for p in found["malignant"]])
    fused = [
        logit(rules.decide(rules.Case(given, "photograph", one), asked, prior).malignant)
        for given, one in zip(parsed, seen, strict=True)
    ]
    return features | {
        "image": image[:, None],
        "both": np.array(fused)[:, None],
        "both_refitted": np.stack([image, answers], axis=1),
    }


def levels(
    people: Sequence[Person], found: Mapping[str, Array], artifact: ClassifierArtifact, prior: float
) -> dict[str, NDArray[np.int64]]:
    """Index into LEVELS [N] as Melalog would have answered: with the picture alone, and with the answers too."""
    asked = questionnaire.load()
    told: dict[str, list[int]] = {"image alone": [], "image and answers": []}
    for one, mel, mal in zip(people, found["melanoma"], found["malignant"], strict=True):
        seen = evidence_of(artifact, float(mel), float(mal))
        for known, answers in zip(told, ({}, one.answers), strict=True):
            case = rules.Case(asked.parse(answers), "photograph", seen)
            told[known].append(LEVELS.index(rules.decide(case, asked, prior).level))
    return {known: np.array(found) for known, found in told.items()}


@dataclass(frozen=True)
class Judged:
    """Probabilities [N], and how malignant and benign lesions judged by one fit compare: wins and pairs [P, Q]."""

    p: Array
    wins: Array
    pairs: Array


def out_of_fold(features: Array, truth: Array, groups: Sequence[str], splits: int = SPLITS) -> Judged:
    """A logistic (re)calibration fitted without the patient it judges: mean log-odds over several splits.

    Ranks are compared among lesions judged by the same fit only: what a fit says depends on who was left out, and in
    pooled folds that works against every model, most against one that knows next to nothing (Airola 2011).
    """
    told, positive, negative = np.zeros(len(truth)), np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)
    wins, pairs = np.zeros((2, len(positive), len(negative)))
    for seed in range(splits):
        z, fold = np.zeros(len(truth)), np.zeros(len(truth), int)
        parts = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(features, truth, groups)
        for number, (kept, left) in enumerate(parts):
            centre, scale = features[kept].mean(0), features[kept].std(0) + 1e-9
            model = LogisticRegression(C=10.0, max_iter=1000).fit((features[kept] - centre) / scale, truth[kept])
            z[left], fold[left] = model.decision_function((features[left] - centre) / scale), number
        together = fold[positive][:, None] == fold[negative]
        pairs += together
        wins += together * (np.sign(z[positive][:, None] - z[negative]) + 1) / 2
        told += z / splits
    # Every pair counts once, however often it met: lesions of one patient always do.
    return Judged(np.asarray(1 / (1 + np.exp(-told))), wins / np.maximum(pairs, 1), (pairs > 0).astype(float))


def auc(judged: Judged, truth: Array, weights: Array) -> Array:
    """AUC of each resample, weights [B, N]; NaN where no pair was drawn."""
    positive, negative = weights[:, truth == 1], weights[:, truth == 0]
    with np.errstate(invalid="ignore"):
        return np.asarray(((positive @ judged.wins) * negative).sum(1) / ((positive @ judged.pairs) * negative).sum(1))


def sensitivity_at(specificity: float) -> Metric:
    """Sensitivity at the lowest threshold that still leaves this share of the others alone."""

    def of(samples: Samples) -> Array:
        few = samples.alarms <= (1 - specificity) * samples.alarms[:, -1:] + 1e-9
        last = few.sum(1, keepdims=True) - 1
        return np.take_along_axis(samples.found, last, axis=1)[:, 0] / samples.found[:, -1]

    return Metric(of)


def net_benefit(prevalence: float | None = None) -> Metric:
    """Of acting at 3 % (Vickers 2019), per lesion; `prevalence` other than these people's reweighs the two kinds."""
    at = statistics.at_threshold(ACT_AT)

    def of(samples: Samples) -> Array:
        share = samples.found[:, -1] / samples.weights.sum(1) if prevalence is None else prevalence
        hit, left_alone = at["sensitivity"].of(samples), at["specificity"].of(samples)
        return share * hit - (1 - share) * (1 - left_alone) * ACT_AT / (1 - ACT_AT)

    return Metric(of)


def calibration_slope(truth: Array, p: Array) -> float:
    """1 is right; below it the probabilities are too far apart (Cox 1958)."""
    z = np.log(p) - np.log1p(-p)
    return float(LogisticRegression(C=1e6, max_iter=1000).fit(z[:, None], truth).coef_[0, 0])


def shifted(p: Array, truth: Array, prevalence: float = PREVALENCE) -> Array:
    """The same evidence where fewer are malignant: log-odds moved by the difference of the priors'."""
    z = np.log(p) - np.log1p(-p) + logit(prevalence) - logit(float(truth.mean()))
    return np.asarray(1 / (1 + np.exp(-z)))
