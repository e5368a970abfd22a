"""Risk levels of real lesions: the share at each level without questionnaire answers, by the released files.

MELALOG_DATA_DIR=… python -m benchmarks.levels

The cores of the services run here as they are deployed (classifier, vlm, fusion's rules), without HTTP between them.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import Progress

from fusion.policy import LEVELS
from models.classifier.data import table
from models.classifier.data.labels import MALIGNANT, MELANOMA
from models.classifier.evaluation import measurement, statistics
from models.classifier.release import release_figures
from models.classifier.serving.artifact import RELEASED, ClassifierArtifact
from services.classifier.core import Classifier
from services.classifier.engine import factory as classifier_choice
from services.common.cores import usable_cores
from services.common.deadline import Deadline
from services.common.settings import Settings
from services.contracts import (
    Assessment,
    ClassifyResponse,
    FuseRequest,
    FuseResponse,
    FusionInfo,
    Modality,
    VerdictResponse,
)
from services.orchestrator.core import Assessor
from services.orchestrator.submission import Submission
from services.risk import decide
from services.vlm.core import Verdicts
from services.vlm.engine import factory as vlm_choice

SETS: tuple[tuple[str, str, Modality], ...] = (
    ("ham10000", "test", "dermoscopy"),
    ("isic2017", "test", "dermoscopy"),
    ("pad_ufes_20", "train", "photograph"),
)
AT_ONCE = 8
DEADLINE_S = 60.0


class Local:
    """The three services' cores in this process."""

    def __init__(self, artifact: ClassifierArtifact, settings: Settings) -> None:
        threads, released = usable_cores(), vlm_choice.release(settings)
        self.rules = decide.Rules.of(settings)
        self.classifier = Classifier(artifact, classifier_choice.make(settings, artifact, threads), threads)
        self.verdicts = Verdicts(vlm_choice.engine(settings, released, threads), threads, released)

    async def classify(self, image: bytes, deadline: Deadline, *, heatmap: bool) -> ClassifyResponse:
        """As the classifier service."""
        return await self.classifier.classify(image, deadline, with_heatmap=heatmap)

    async def judge(self, image: bytes, deadline: Deadline) -> VerdictResponse:
        """As the vlm service."""
        return await self.verdicts.judge(image, deadline)

    async def fuse(self, request: FuseRequest, *_: object) -> FuseResponse:
        """As the fusion service without a hosted model."""
        return decide.respond(decide.decide(request, self.rules), None, FusionInfo(engine="rules"))


async def assess(local: Local, rows: Sequence[table.Row], modality: Modality) -> list[Assessment]:
    """One assessment per row, without any answers."""
    assessor, slots = Assessor(local, local.rules, DEADLINE_S), asyncio.Semaphore(AT_ONCE)

    async def one(row: table.Row) -> Assessment:
        async with slots:
            answer = await assessor.assess(Submission(row.path.read_bytes(), {}, modality), heatmap=False)
        if answer.degraded:
            raise RuntimeError(f"{row.path.name}: {', '.join(answer.degraded)} did not answer")
        progress.advance(task)
        return answer

    with Progress() as progress:
        task = progress.add_task("assessing", total=len(rows))
        return list(await asyncio.gather(*map(one, rows)))


def kinds(rows: Sequence[table.Row]) -> dict[str, np.ndarray]:
    """A mask of rows for each diagnosis group."""
    label = np.array([row.label for row in rows])
    malignant = np.isin(label, MALIGNANT)
    return {"melanoma": label == MELANOMA, "any skin cancer": malignant, "benign": ~malignant}


async def run(data: Path) -> None:
    """Print a table with 95 % intervals by lesion or patient, and how often each floor raised a benign one."""
    artifact = ClassifierArtifact.load(RELEASED)
    local, learned = Local(artifact, Settings()), release_figures.learned_groups(RELEASED, data)
    lines, raised = ["| images | n | low | moderate | high |", "|---|---|---|---|---|"], []
    for source, split, modality in SETS:
        rows = [row for row in measurement.released_rows(data, source, split) if row.group not in learned]
        answers = await assess(local, rows, modality)
        levels = np.array([LEVELS.index(answer.risk.level) for answer in answers])
        for name, chosen in kinds(rows).items():
            groups = [row.group for row, selected in zip(rows, chosen, strict=True) if selected]
            shares = [statistics.share(levels[chosen] == level, groups) for level in range(len(LEVELS))]
            cells = [f"{value:.1%} ({low:.1%} to {high:.1%})" for value, (low, high) in shares]
            lines.append(f"| {source} {split}, {modality}, {name} | {chosen.sum()} | {' | '.join(cells)} |")
        benign = kinds(rows)["benign"]
        names = Counter(
            name for answer, selected in zip(answers, benign, strict=True) if selected for name in answer.risk.raised_by
        )
        shares_raised = ", ".join(f"{name} {count / benign.sum():.1%}" for name, count in names.most_common())
        raised.append(f"{source} {split}, benign images that a floor raised: {shares_raised or 'none'}")
    print("\n".join([*lines, "", *raised]))


if __name__ == "__main__":
    asyncio.run(run(Path(os.environ["MELALOG_DATA_DIR"])))
