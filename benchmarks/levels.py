"""How the whole rates real lesions: share at each level, no answers given, by the released files.

MELALOG_DATA_DIR=… python -m benchmarks.levels
"""

import os
from pathlib import Path

import numpy as np

from fusion import questionnaire, rules
from fusion.picture import ImageEvidence, Modality
from fusion.policy import LEVELS
from fusion.questionnaire import Answers
from models.classifier import evaluate, metrics, report, table
from models.classifier.artifact import RELEASED, Artifact
from models.classifier.labels import MALIGNANT, MELANOMA
from services.common.settings import Settings

SETS: tuple[tuple[str, str, Modality], ...] = (
    ("ham10000", "test", "dermoscopy"),
    ("pad_ufes_20", "train", "photograph"),
)


def levels(artifact: Artifact, rows: list[table.Row], modality: Modality) -> np.ndarray:
    """Index into LEVELS for each row."""
    found, fold = evaluate.outputs(artifact, rows), artifact.manifest.calibration
    asked, prior = questionnaire.load(), Settings().prior
    decided = []
    for melanoma, malignant in zip(found["melanoma"], found["malignant"], strict=True):
        seen = ImageEvidence(
            float(melanoma), fold.prevalence, float(malignant), fold.malignant_prevalence, fold.logit_sd
        )
        level = rules.decide(rules.Case(Answers(), modality, seen), asked, prior).level
        decided.append(LEVELS.index(level))
    return np.array(decided)


def main() -> None:
    """Print a table with 95 % intervals by lesion or patient."""
    data, artifact = Path(os.environ["MELALOG_DATA_DIR"]), Artifact.load(RELEASED)
    learned = report.learned_groups(RELEASED, data)
    print("| pictures | n | low | moderate | high |\n|---|---|---|---|---|")
    for source, split, modality in SETS:
        rows = [row for row in evaluate.released_rows(data, source, split) if row.group not in learned]
        found = levels(artifact, rows, modality)
        label = np.array([row.label for row in rows])
        kinds = {
            "melanoma": label == MELANOMA,
            "any skin cancer": np.isin(label, MALIGNANT),
            "benign": ~np.isin(label, MALIGNANT),
        }
        for name, chosen in kinds.items():
            groups = [row.group for row, mine in zip(rows, chosen, strict=True) if mine]
            shares = [metrics.share(found[chosen] == level, groups) for level in range(len(LEVELS))]
            cells = [f"{value:.1%} ({low:.1%} to {high:.1%})" for value, (low, high) in shares]
            print(f"| {source} {split}, {modality}, {name} | {chosen.sum()} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
