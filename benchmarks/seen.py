"""The released classifier's probabilities as fusion's image evidence, with the thresholds of the served file."""

from fusion.picture import ImageEvidence
from models.classifier.serving.artifact import ClassifierArtifact


def evidence(artifact: ClassifierArtifact, melanoma: float, malignant: float) -> ImageEvidence:
    """What the classifier's finding on one image would be."""
    fold, cuts = artifact.manifest.calibration, artifact.manifest.files[artifact.manifest.default].thresholds
    first, second = cuts.get("sensitivity_95"), cuts.get("malignant_sensitivity_95")
    return ImageEvidence(
        melanoma=melanoma,
        prevalence=fold.prevalence,
        malignant=malignant,
        malignant_prevalence=fold.malignant_prevalence,
        logit_sd=fold.logit_sd,
        threshold_95=first.value if first else None,
        specificity_95=first.specificity if first else None,
        malignant_threshold=second.value if second else None,
        malignant_specificity=second.specificity if second else None,
    )
