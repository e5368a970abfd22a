"""Grouped, stratified cross-validation: each picture is judged by a network that has not seen its lesion or patient."""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.model_selection import StratifiedGroupKFold
from torch import nn

from models.classifier.calibration import class_scores, out_of_fold
from models.classifier.data import image_pool, table
from models.classifier.data.labels import CLASSES, MALIGNANT, MELANOMA
from models.classifier.data.table import Row
from models.classifier.evaluation import statistics
from models.classifier.training import clean_start, folds
from models.classifier.training.config import TrainConfig
from models.classifier.training.loop import Trainer
from models.classifier.training.scores import raw_scores
from models.common.files import replacing, write_text

LEAK = 0.97
"""An AUC above this on a grouped split is a leak until shown otherwise."""
PLAN, CONFIG = "plan.json", "config.yaml"
Scores = NDArray[np.float64]
Train = Callable[[TrainConfig, list[Row], Path, list[Row]], nn.Module]
"""(configuration, rows to learn from, folder of the run, rows to choose the epoch by) to a network."""


@dataclass(frozen=True)
class Plan:
    """Which rows, and which fold judges each of them."""

    config: TrainConfig
    rows: list[Row]
    folds: NDArray[np.int64]

    @property
    def numbers(self) -> list[int]:
        """0 to the number of folds less one."""
        return sorted(set(self.folds.tolist()))

    def learned(self, fold: int) -> tuple[list[Row], list[Row]]:
        """(rows to learn from, rows to choose the epoch by) of a fold, without any that it judges."""
        rows = [row for row, of in zip(self.rows, self.folds, strict=True) if of != fold]
        return folds.split_validation(self.config, rows)


def plan(config: TrainConfig, rows: Sequence[Row], count: int) -> Plan:
    """Assign one of `count` folds by group and `fold_seed`, with the same mix of sources and labels in each.

    rows: `folds.learnable`. Raises ValueError for weights or a teacher that may know the rows, for a test row, too few
    groups, or a fold of one class alone.
    """
    clean_start.check(config)
    out_of_fold.refuse_tests(rows)
    groups = [row.group for row in rows]
    if len(set(groups)) < count:
        raise ValueError(f"{count} folds need as many groups, and there are {len(set(groups))} outside the test data")
    labels = [f"{row.source} {row.dx}" for row in rows]
    if max(Counter(labels).values()) < count:
        raise ValueError(f"no label has {count} pictures: use fewer folds")
    assigned = np.full(len(rows), -1)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=config.fold_seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # rare ones cannot be in every fold
        for number, (_, held) in enumerate(splitter.split(labels, labels, groups)):
            assigned[held] = number
    made = Plan(config, list(rows), assigned)
    for number in made.numbers:
        _check_fold(made, number)
    return made


def _check_fold(made: Plan, number: int) -> None:
    held = [row for row, of in zip(made.rows, made.folds, strict=True) if of == number]
    kinds = {row.melanoma for row in held} - {None}
    if kinds != {True, False}:
        lacks = "no melanoma" if True not in kinds else "nothing but melanoma"
        raise ValueError(
            f"fold {number} holds {lacks} ({len(held)} pictures in {len({row.group for row in held})} groups): "
            "use fewer folds or more data"
        )


def _fit(config: TrainConfig, rows: list[Row], folder: Path, validation: list[Row]) -> nn.Module:
    return Trainer(config, rows, folder, validation).run()


def run(made: Plan, out: Path, say: Callable[[str], None] = print, fit: Train = _fit) -> Scores:
    """Train and judge what is left of the folds, write OUT/out_of_fold.csv, return its scores [N, 7].

    A killed run goes on in the fold where it stopped. Raises ValueError when OUT was begun with another plan.
    """
    _begin(made, out)
    scores = np.full((len(made.rows), len(CLASSES)), np.nan)
    for number in made.numbers:
        scores[made.folds == number] = _judge(made, number, out, say, fit)
    out_of_fold.write(out / out_of_fold.FILE, made.rows, made.folds, scores)
    return scores


def folder_of(out: Path, fold: int) -> Path:
    """Where a fold's run is kept."""
    return out / f"fold-{fold}"


def network(made: Plan, out: Path, fold: int, fit: Train = _fit) -> nn.Module:
    """The finished network of a fold, from its checkpoint."""
    rows, validation = made.learned(fold)
    return fit(made.config, rows, folder_of(out, fold), validation)


def refit(made: Plan, out: Path, fit: Train = _fit) -> nn.Module:
    """Train on all that the folds were made of, in OUT/refit."""
    rows, validation = folds.split_validation(made.config, made.rows)
    return fit(made.config, rows, out / "refit", validation)


def _judge(made: Plan, number: int, out: Path, say: Callable[[str], None], fit: Train) -> Scores:
    kept = folder_of(out, number) / "scores.npy"
    held = [row for row, of in zip(made.rows, made.folds, strict=True) if of == number]
    which = f"fold {number + 1} of {len(made.numbers)}"
    if kept.is_file():
        say(f"{which}: finished before")
        found: Scores = np.load(kept, allow_pickle=False)
        return found
    rows, validation = made.learned(number)
    say(f"{which}: {len(rows)} pictures to learn from, {len(validation)} to choose by, {len(held)} to judge")
    trained = fit(made.config, rows, folder_of(out, number), validation)
    cache = image_pool.load(held, made.config.input_size, made.config.geometry, made.config.resample)
    scores = raw_scores(trained, cache)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with replacing(kept) as unfinished, unfinished.open("wb") as file:
        np.save(file, scores)
    return scores


def _begin(made: Plan, out: Path) -> None:
    """Note the plan, or compare with the one that was noted."""
    told = {
        "config": made.config.model_dump(mode="json"),
        "data_sha256": table.digest(made.rows),
        "folds": {f"{row.source}/{row.path.name}": int(of) for row, of in zip(made.rows, made.folds, strict=True)},
    }
    path = out / PLAN
    if path.is_file():
        if json.loads(path.read_text()) != json.loads(json.dumps(told)):
            raise ValueError(f"{path} was made with another configuration, other data or folds: choose another --out")
        return
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / CONFIG, yaml.safe_dump(told["config"], sort_keys=False))
    write_text(path, json.dumps(told, indent=1) + "\n")


def calibrated(made: Plan, scores: Scores) -> dict[str, NDArray[Any]]:
    """Probabilities of each fold, calibrated on the other folds: outputs as the graph names them."""
    known = np.array([row.dx in CLASSES for row in made.rows])
    labels = np.array([row.label if row.dx in CLASSES else 0 for row in made.rows])
    classes = np.empty_like(scores)
    for number in made.numbers:
        inside, fitted_on = made.folds == number, known & (made.folds != number)
        fitted = class_scores.fit(scores[fitted_on], labels[fitted_on])
        classes[inside] = softmax(fitted.apply(scores[inside]), axis=1)
    malignant = classes[:, list(MALIGNANT)].sum(1)
    return {"classes": classes, "melanoma": classes[:, MELANOMA], "malignant": malignant}


def by_fold(made: Plan, found: dict[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """Pictures, melanomas and melanoma AUC of each fold, the best first."""
    truth = np.array([np.nan if row.melanoma is None else float(row.melanoma) for row in made.rows])
    told = []
    for number in made.numbers:
        inside = (made.folds == number) & np.isfinite(truth)
        auc = statistics.METRICS["auc"](truth[inside], found["melanoma"][inside])
        told.append({"fold": number, "n": int(inside.sum()), "melanoma": int(truth[inside].sum()), "auc": auc})
    return sorted(told, key=lambda fold: -fold["auc"])


def leak_warnings(aucs: dict[str, float]) -> list[str]:
    """A sentence for each AUC that is too good to be true."""
    return [
        f"{name} has an AUC of {auc:.3f}. Above {LEAK} on a grouped split it is a leak until shown otherwise: "
        "look for pictures of one lesion or patient in two groups, and for marks that give the label away"
        for name, auc in aucs.items()
        if auc > LEAK
    ]
