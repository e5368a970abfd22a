"""What a release is worth, measured on the exported file, and the card that says so."""

import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from models.classifier import evaluate, metrics
from models.classifier.artifact import MODEL_FILE, Artifact
from models.classifier.labels import MELANOMA

CARD = """\
# {name} {version}: lesion classifier

Research software, not a medical device. It must not be used to decide on anybody's care.

**Use.** One part of Melalog's risk: seven diagnoses and a melanoma probability for a dermoscopic picture of one
lesion. Not for: photographs without a dermatoscope (see below), nails, mucosa, several lesions in one picture, or
on its own.

**Network.** {backbone}, from random weights, {size} px, whole frame squashed to a square. {parameters}
{note}

**Data.** HAM10000 `train` (Tschandl, Rosendahl, Kittler 2018; CC BY-NC 4.0) and ISIC 2017 `train` (Codella et al.
2017), split by lesion joined with near duplicates. Calibrated on {calibration}
({n_calibration} pictures, melanoma {prevalence:.1%}).

**Terms.** The weights are for non-commercial use (CC BY-NC 4.0), as the pictures are. The code is Apache-2.0.

## Figures

95 % intervals by bootstrap over lesions (1,000 draws), of the exported file.
HAM10000 test is 15 % of the lesions, never used for training, calibration or any choice.

| figure | value | 95 % interval | data | pictures |
|---|---|---|---|---|
{figures}

Threshold for 95 % sensitivity (fitted on the calibration fold): p >= {cut:.3f}, specificity there {specificity:.2f}.

## Limits

- On smartphone photographs (PAD-UFES-20) it is weaker and badly calibrated, see the table. Melalog therefore lets a
  photograph raise a risk but never lower one.
- HAM10000 comes from two clinics, mostly fair skin; nothing is known of darker skin. More than half of the
  benign lesions there were not proven by histology.
- The embedding tells the two training sets apart better (AUC {set_auc:.2f}) than melanoma from the rest
  (AUC {label_auc:.2f}, both by the same cross-validated linear probe): some of what it learned is the set, not the
  lesion.
- Rulers, ink and hair can raise false positives (Winkler 2019, 2021). `ood` is measured but has no threshold yet.
"""


BOTH = (evaluate.MELANOMA_ENDPOINT, evaluate.MALIGNANT_ENDPOINT)
SETS = (
    ("ham10000", "test", BOTH),
    ("isic2017", "test", (evaluate.MELANOMA_ENDPOINT,)),
    ("pad_ufes_20", "train", (evaluate.MALIGNANT_ENDPOINT,)),
)
"""(source, split, endpoints) that a release is measured on."""


def check_data(data_dir: Path) -> None:
    """Raise FileNotFoundError or ValueError now rather than after hours of training, if a set is missing."""
    for source, split, _ in SETS:
        evaluate.released_rows(data_dir, source, split)


def measure_release(folder: Path, data_dir: Path) -> dict[str, dict[str, Any]]:
    """Figures on HAM10000 test, ISIC 2017 test and PAD photographs, by endpoint."""
    artifact = Artifact.load(folder)
    figures: dict[str, dict[str, Any]] = {}
    for source, split, endpoints in SETS:
        rows = evaluate.released_rows(data_dir, source, split)
        found = evaluate.outputs(artifact, rows)
        for endpoint in endpoints:
            measured = evaluate.measure(found, rows, endpoint, f"{source} {split}")
            figures |= {f"{source}_{split}_{name}": figure for name, figure in measured.items()}
    return figures | _shortcut(artifact, data_dir)


def _shortcut(artifact: Artifact, data_dir: Path) -> dict[str, dict[str, Any]]:
    """How well a linear probe on the embedding tells the set, and melanoma: the first should not be the better."""
    rows = [row for source in ("ham10000", "isic2017") for row in evaluate.released_rows(data_dir, source, "test")]
    embedding = evaluate.outputs(artifact, rows)["embedding"]
    groups = [row.group for row in rows]
    targets = {
        "probe_set_auc": np.array([row.source == "isic2017" for row in rows]),
        "probe_melanoma_auc": np.array([row.label == MELANOMA for row in rows]),
    }
    figures = {}
    for name, target in targets.items():
        p = metrics.probe(embedding, target, groups)
        value, interval = metrics.bootstrap(metrics.METRICS["auc"], target.astype(np.float64), p, groups)
        figures[name] = {"value": value, "interval": interval, "data": "ham10000 and isic2017 test", "n": len(rows)}
    return figures


def write_card(folder: Path) -> None:
    """MODEL_CARD.md from manifest.json, so that the two cannot disagree."""
    manifest = json.loads((folder / "manifest.json").read_text())
    variant = manifest["files"][MODEL_FILE]
    figures = variant["metrics"]
    lines = [
        f"| {name.replace('_', ' ')} | {figure['value']:.3f} "
        f"| {figure['interval'][0]:.3f} to {figure['interval'][1]:.3f} | {figure['data']} | {figure['n']} |"
        for name, figure in figures.items()
    ]
    threshold, fold = variant["thresholds"]["sensitivity_95"], manifest["calibration"]
    size = (folder / MODEL_FILE).stat().st_size
    card = CARD.format(
        name=manifest["name"],
        version=manifest["version"],
        backbone=manifest["training"]["backbone"],
        note=textwrap.fill(manifest["training_note"] + " Nothing was chosen on the figures below.", 118),
        size=manifest["input"]["size"],
        parameters=f"{size / 1e6:.0f} MB as ONNX.",
        calibration=fold["data"],
        n_calibration=fold["n"],
        prevalence=fold["prevalence"],
        figures="\n".join(lines),
        cut=threshold["value"],
        specificity=threshold["specificity"],
        set_auc=figures["probe_set_auc"]["value"],
        label_auc=figures["probe_melanoma_auc"]["value"],
    )
    (folder / "MODEL_CARD.md").write_text(card)
