"""From two released models and the held-out fold to stack.json, manifest.json and MODEL_CARD.md."""

import csv
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.classifier.calibration import class_scores, out_of_fold
from models.classifier.data import table
from models.classifier.data.labels import MELANOMA
from models.classifier.evaluation import statistics
from models.classifier.serving import artifact as classifiers
from models.common.artifact import sha256
from models.stack import log_odds, stack_card, stacking
from models.stack.stacking import Array, Weights
from models.vlm.serving import artifact as vlms

RELEASED = Path(__file__).parents[1] / "released" / "fusion"
STACK = "stack.json"
FIGURES = ("auc", "brier", "ece")
PARTS = ("classifier", "vlm", "stack")
TEST = "test"
SAME = 0.01
"""Log-odds: how far the graph may be from the calibrated scores of out_of_fold.csv (decoders differ a little)."""
Reporter = Callable[[str], None]


@dataclass(frozen=True)
class Pair:
    """The two models of a stack, and the calibration of their log-odds."""

    classifier: classifiers.ClassifierArtifact
    vlm: vlms.VlmArtifact

    @property
    def base(self) -> float:
        """Log-odds of melanoma in the fold that both were calibrated on. Raises ValueError when it is not one fold."""
        first, second = self.classifier.manifest.calibration, self.vlm.manifest.fold
        if (first.n, first.prevalence) != (second.n, second.prevalence):
            raise ValueError(
                "the models were calibrated on different images: "
                f"{first.n} of {first.data}, {second.n} of {second.data}"
            )
        return float(np.log(first.prevalence) - np.log1p(-first.prevalence))

    def calibrated(self, raw: Array) -> Array:
        """The vlm's calibrated log-odds."""
        return np.array([self.vlm.manifest.calibration.logit(value) for value in raw])


@dataclass(frozen=True)
class Predictions:
    """Labels, groups and both models' log-odds [N] of some images; the vlm's are raw."""

    labels: NDArray[np.int64]
    groups: list[str]
    classifier: Array
    raw: Array

    @property
    def truth(self) -> Array:
        """1 for melanoma."""
        return np.asarray(self.labels == MELANOMA, dtype=np.float64)


def write(pair: Pair, data: Path, out: Path, report: Reporter, draws: int = stacking.DRAWS) -> dict[str, Any]:
    """Fit, measure and write the stack. Raises ValueError or OSError naming missing or mismatched inputs."""
    held_out = out_of_fold.read(pair.classifier.folder / out_of_fold.FILE)
    base = pair.base
    report(f"running both models on {len(held_out.pictures)} held-out images")
    fold = _predict(pair, _paths(data, held_out), held_out.rows)
    _check_scores(pair.classifier, held_out.scores, fold.classifier)
    a, b = fold.classifier - base, pair.calibrated(fold.raw) - base
    prevalence = pair.classifier.manifest.calibration.prevalence
    fitted = stacking.fit(a, b, fold.truth, prevalence)
    report(f"weights: classifier {fitted.classifier:.3f}, vlm {fitted.vlm:.3f}; resampling {draws} times")
    drawn = stacking.bootstrap(a, b, fold.truth, prevalence, fold.groups, draws)
    nested = stacking.nested(
        held_out.scores, fold.raw, fold.labels, fold.groups, pair.vlm.manifest.calibration.null_logit
    )
    figures = _figures("nested_", asdict(nested), fold.truth, fold.groups, "the fold, nested", draws)
    tests = [row for row in table.read(data, "ham10000") if row.split == TEST]
    if tests:
        report(f"measuring on {len(tests)} test images that nothing was fitted on")
        figures |= _tested(pair, fitted, _predict(pair, [row.path for row in tests], tests), base, draws)
    return _release(pair, fitted, drawn, (a, b), figures, len(fold.groups), out)


def _predict(pair: Pair, images: Sequence[Path], rows: Sequence[table.Row]) -> Predictions:
    return Predictions(
        labels=np.array([row.label for row in rows], dtype=np.int64),
        groups=[row.group for row in rows],
        classifier=log_odds.of_classifier(pair.classifier, images),
        raw=log_odds.of_vlm(pair.vlm, images),
    )


def _paths(data: Path, held_out: out_of_fold.OutOfFold) -> list[Path]:
    """The files behind the SHA-256 of out_of_fold.csv. Raises ValueError when a set lacks one."""
    paths: dict[str, Path] = {}
    for source in sorted({row.source for row in held_out.rows}):
        listing = data / source / f"{source}.csv"
        if not listing.is_file():
            raise ValueError(f"no table {listing}: point MELALOG_DATA_DIR at the folder that holds {source}/")
        with listing.open(newline="") as file:
            for record in csv.DictReader(file):
                if record["file"]:
                    path = data / source / record["file"]
                    paths[record.get("sha256") or sha256(path)] = path
    missing = [digest for digest in held_out.pictures if digest not in paths]
    if missing:
        raise ValueError(f"{len(missing)} images of {out_of_fold.FILE} are not in {data}, the first is {missing[0]}")
    return [paths[digest] for digest in held_out.pictures]


def _check_scores(released: classifiers.ClassifierArtifact, scores: Array, computed: Array) -> None:
    """Check that the scores for the nested folds are this classifier's."""
    stated = json.loads((released.folder / "manifest.json").read_text())["calibration"]
    fitted = class_scores.ScoreCalibration(
        stated["temperature"], tuple(stated["bias"]), stated["slope"], stated["offset"]
    )
    difference = float(np.abs(class_scores.melanoma_logit(fitted.apply(scores)) - computed).max())
    if difference > SAME:
        raise ValueError(
            f"{released.folder / out_of_fold.FILE} is not of this classifier: calibrated, its scores are up to "
            f"{difference:.2f} from what {released.manifest.default} says of the same images"
        )


def _figures(
    prefix: str, p: Mapping[str, Array], truth: Array, groups: Sequence[str], data: str, draws: int
) -> dict[str, dict[str, Any]]:
    """Figures of each part, and paired differences of the stack from each model."""
    figures: dict[str, tuple[float, statistics.Interval]] = {}
    for name in FIGURES:
        metric = statistics.METRICS[name]
        for part in PARTS:
            figures[f"{part}_{name}"] = statistics.bootstrap(metric, truth, p[part], groups, repeats=draws)
        for part in PARTS[:2]:
            figures[f"stack_less_{part}_{name}"] = statistics.paired(
                metric, truth, p["stack"], p[part], groups, repeats=draws
            )
    return {
        prefix + name: {"value": value, "interval": list(interval), "data": data, "n": len(truth)}
        for name, (value, interval) in figures.items()
    }


def _tested(pair: Pair, fitted: Weights, predicted: Predictions, base: float, draws: int) -> dict[str, dict[str, Any]]:
    second = pair.calibrated(predicted.raw)
    z = {
        "classifier": predicted.classifier,
        "vlm": second,
        "stack": base + fitted.shift(predicted.classifier - base, second - base),
    }
    p = {part: 1 / (1 + np.exp(-value)) for part, value in z.items()}
    return _figures("test_", p, predicted.truth, predicted.groups, "ham10000 test", draws)


def _release(
    pair: Pair,
    fitted: Weights,
    drawn: Sequence[Weights],
    images: tuple[Array, Array],
    figures: dict[str, dict[str, Any]],
    n: int,
    out: Path,
) -> dict[str, Any]:
    """Write three files atomically; the manifest last, because it has the digest of stack.json."""
    first, second = pair.classifier.manifest, pair.vlm.manifest
    shifts = np.stack([weights.shift(*images) for weights in drawn])
    of_fit = float(np.sqrt(shifts.var(axis=0).mean()))
    of_turning = fitted.classifier * first.calibration.logit_sd + fitted.vlm * second.fold.logit_sd
    stack = {
        "schema_version": 1,
        "classifier_sha256": first.files[first.default].sha256,
        "vlm_sha256": pair.vlm.sha256,
        **asdict(fitted),
        "sd": float(np.hypot(of_fit, of_turning)),
        "prevalence": first.calibration.prevalence,
        "fitted_on": first.calibration.data,
        "n": n,
        "metrics": figures,
    }
    columns = {name: [getattr(one, name) for one in drawn] for name in ("intercept", "classifier", "vlm")}
    intervals = {name: [float(edge) for edge in np.percentile(values, [2.5, 97.5])] for name, values in columns.items()}
    out.mkdir(parents=True, exist_ok=True)
    written = _replace(out / STACK, json.dumps(stack, indent=2, allow_nan=False) + "\n")
    manifest = {
        "schema_version": 1,
        "name": "stack",
        "version": "0.1.0",
        "purpose": "Weighs the classifier and the vision-language model, which see the same image, as one.",
        "classifier": {"name": first.name, "version": first.version, "sha256": stack["classifier_sha256"]},
        "vlm": {"name": second.name, "version": second.version, "sha256": stack["vlm_sha256"]},
        "weights": {**asdict(fitted), "intervals": intervals},
        "sd": {"fit": of_fit, "turning": of_turning, "together": stack["sd"]},
        "fold": {"data": first.calibration.data, "n": n, "prevalence": stack["prevalence"]},
        "metrics": figures,
        "files": {STACK: hashlib.sha256(written.encode()).hexdigest()},
        "licence": f"of the weights it was fitted to: {first.licence}",
    }
    _replace(out / "MODEL_CARD.md", stack_card.text(manifest, stacking.FOLDS))
    _replace(out / "manifest.json", json.dumps(manifest, indent=2, allow_nan=False) + "\n")
    return manifest


def _replace(path: Path, text: str) -> str:
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.rename(path)
    return text
