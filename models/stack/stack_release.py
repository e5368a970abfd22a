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
from models.stack import stack_card, stacking, verdicts
from models.stack.stacking import Array, Weights
from models.vlm.serving import artifact as vlms

RELEASED = Path(__file__).parents[1] / "released" / "fusion"
STACK = "stack.json"
FIGURES = ("auc", "brier", "ece")
PARTS = ("classifier", "vlm", "stack")
TEST = "test"
SAME = 0.01
"""Log-odds: how far the graph may be from the calibrated scores of out_of_fold.csv (decoders differ a little)."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Pair:
    """The two models that are weighed together, and how each one's log-odds are calibrated."""

    classifier: classifiers.Artifact
    vlm: vlms.Artifact

    @property
    def base(self) -> float:
        """Log-odds of melanoma in the fold that both were calibrated on. Raises ValueError when it is not one fold."""
        mine, other = self.classifier.manifest.calibration, self.vlm.manifest.fold
        if (mine.n, mine.prevalence) != (other.n, other.prevalence):
            raise ValueError(
                f"the models were calibrated on different pictures: {mine.n} of {mine.data}, {other.n} of {other.data}"
            )
        return float(np.log(mine.prevalence) - np.log1p(-mine.prevalence))

    def calibrated(self, raw: Array) -> Array:
        """The vlm's calibrated log-odds."""
        return np.array([self.vlm.manifest.calibration.logit(value) for value in raw])


@dataclass(frozen=True)
class Seen:
    """Pictures with what both models say of them: log-odds [N], the vlm's raw."""

    labels: NDArray[np.int64]
    groups: list[str]
    classifier: Array
    raw: Array

    @property
    def truth(self) -> Array:
        """1 where it is melanoma."""
        return np.asarray(self.labels == MELANOMA, dtype=np.float64)


def write(pair: Pair, data: Path, out: Path, say: Say, draws: int = stacking.DRAWS) -> dict[str, Any]:
    """Fit, measure and write. Raises ValueError or OSError naming what is missing or does not belong together."""
    kept = out_of_fold.read(pair.classifier.folder / out_of_fold.FILE)
    base = pair.base
    say(f"asking both models about {len(kept.pictures)} held-out pictures")
    fold = _look(pair, _paths(data, kept), kept.rows)
    _check_scores(pair.classifier, kept.scores, fold.classifier)
    a, b = fold.classifier - base, pair.calibrated(fold.raw) - base
    prevalence = pair.classifier.manifest.calibration.prevalence
    fitted = stacking.fit(a, b, fold.truth, prevalence)
    say(f"weights: classifier {fitted.classifier:.3f}, vlm {fitted.vlm:.3f}; resampling {draws} times")
    drawn = stacking.bootstrap(a, b, fold.truth, prevalence, fold.groups, draws)
    nested = stacking.nested(kept.scores, fold.raw, fold.labels, fold.groups, pair.vlm.manifest.calibration.null_logit)
    figures = _figures("nested_", asdict(nested), fold.truth, fold.groups, "the fold, nested", draws)
    tests = [row for row in table.read(data, "ham10000") if row.split == TEST]
    if tests:
        say(f"measuring on {len(tests)} test pictures that nothing was fitted on")
        figures |= _tested(pair, fitted, _look(pair, [row.path for row in tests], tests), base, draws)
    return _release(pair, fitted, drawn, (a, b), figures, len(fold.groups), out)


def _look(pair: Pair, pictures: Sequence[Path], rows: Sequence[table.Row]) -> Seen:
    return Seen(
        labels=np.array([row.label for row in rows], dtype=np.int64),
        groups=[row.group for row in rows],
        classifier=verdicts.of_classifier(pair.classifier, pictures),
        raw=verdicts.of_vlm(pair.vlm, pictures),
    )


def _paths(data: Path, kept: out_of_fold.OutOfFold) -> list[Path]:
    """The files behind the SHA-256 of out_of_fold.csv. Raises ValueError when a set lacks one."""
    found: dict[str, Path] = {}
    for source in sorted({row.source for row in kept.rows}):
        listing = data / source / f"{source}.csv"
        if not listing.is_file():
            raise ValueError(f"no table {listing}: point MELALOG_DATA_DIR at the folder that holds {source}/")
        with listing.open(newline="") as file:
            for record in csv.DictReader(file):
                if record["file"]:
                    path = data / source / record["file"]
                    found[record.get("sha256") or classifiers.sha256(path)] = path
    missing = [digest for digest in kept.pictures if digest not in found]
    if missing:
        raise ValueError(f"{len(missing)} pictures of {out_of_fold.FILE} are not in {data}, the first is {missing[0]}")
    return [found[digest] for digest in kept.pictures]


def _check_scores(released: classifiers.Artifact, scores: Array, found: Array) -> None:
    """The scores that the nested folds start from must be this classifier's."""
    told = json.loads((released.folder / "manifest.json").read_text())["calibration"]
    fitted = class_scores.Calibration(told["temperature"], tuple(told["bias"]), told["slope"], told["offset"])
    apart = float(np.abs(class_scores.melanoma_logit(fitted.apply(scores)) - found).max())
    if apart > SAME:
        raise ValueError(
            f"{released.folder / out_of_fold.FILE} is not of this classifier: calibrated, its scores are up to "
            f"{apart:.2f} from what {released.manifest.default} says of the same pictures"
        )


def _figures(
    prefix: str, p: Mapping[str, Array], truth: Array, groups: Sequence[str], data: str, draws: int
) -> dict[str, dict[str, Any]]:
    """Each part's figures, and the stack's less each part's on the same resamples."""
    found: dict[str, tuple[float, statistics.Interval]] = {}
    for name in FIGURES:
        metric = statistics.METRICS[name]
        for part in PARTS:
            found[f"{part}_{name}"] = statistics.bootstrap(metric, truth, p[part], groups, repeats=draws)
        for part in PARTS[:2]:
            found[f"stack_less_{part}_{name}"] = statistics.paired(
                metric, truth, p["stack"], p[part], groups, repeats=draws
            )
    return {
        prefix + name: {"value": value, "interval": list(interval), "data": data, "n": len(truth)}
        for name, (value, interval) in found.items()
    }


def _tested(pair: Pair, fitted: Weights, seen: Seen, base: float, draws: int) -> dict[str, dict[str, Any]]:
    second = pair.calibrated(seen.raw)
    z = {
        "classifier": seen.classifier,
        "vlm": second,
        "stack": base + fitted.shift(seen.classifier - base, second - base),
    }
    p = {part: 1 / (1 + np.exp(-value)) for part, value in z.items()}
    return _figures("test_", p, seen.truth, seen.groups, "ham10000 test", draws)


def _release(
    pair: Pair,
    fitted: Weights,
    drawn: Sequence[Weights],
    pictures: tuple[Array, Array],
    figures: dict[str, dict[str, Any]],
    n: int,
    out: Path,
) -> dict[str, Any]:
    """Three files, each under another name first; the manifest last, because it names the digest of stack.json."""
    first, second = pair.classifier.manifest, pair.vlm.manifest
    shifts = np.stack([weights.shift(*pictures) for weights in drawn])
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
        "purpose": "Weighs the classifier and the vision-language model, which see the same picture, as one.",
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
