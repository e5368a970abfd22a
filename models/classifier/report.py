"""What a release is worth, measured on the exported file, and the card that says so."""

import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from models.classifier import evaluate, metrics
from models.classifier.artifact import MODEL_FILE, Artifact
from models.classifier.config import TrainConfig
from models.classifier.labels import MELANOMA
from models.classifier.train import make_folds

CARD = """\
# {name} {version}: lesion classifier

Research software, not a medical device. It must not be used to decide on anybody's care.

**Use.** One part of Melalog's risk: seven diagnoses and a melanoma probability for a dermoscopic picture of one
lesion. Not for: photographs without a dermatoscope (see below), nails, mucosa, several lesions in one picture, or
on its own.

**Network.** {networks}, {size} px, whole frame squashed to a square. {parameters}
{note}

**Data.** {sources}.
Split by lesion or patient joined with near duplicates. Calibrated on {calibration}
({n_calibration} pictures, melanoma {prevalence:.1%}).

**Terms.** The weights are for non-commercial use (CC BY-NC 4.0), as the pictures are. The code is Apache-2.0.

## Figures

95 % intervals by bootstrap over lesions or patients (1,000 draws), of the exported file. No lesion or patient that the
training saw is among the pictures.
HAM10000 test is 15 % of the lesions, never used for training, calibration or any choice.

| figure | value | 95 % interval | data | pictures |
|---|---|---|---|---|
{figures}

Threshold for 95 % sensitivity (fitted on the calibration fold): p >= {cut:.3f}, specificity there {specificity:.2f}.

## Limits

- On smartphone photographs (PAD-UFES-20) it is not calibrated, and few were there to measure it, see the table.
  Melalog therefore lets a photograph raise a risk but never lower one.
- HAM10000 comes from two clinics, mostly fair skin; nothing is known of darker skin. More than half of the
  benign lesions there were not proven by histology.
- A linear probe on the embedding tells HAM10000 from ISIC 2017 with AUC {set_auc:.2f} and melanoma from the rest with
  {label_auc:.2f} (cross-validated){shortcut}.
- Rulers, ink and hair can raise false positives (Winkler 2019, 2021).
{gate}"""


SOURCES = {
    "ham10000": "HAM10000 `train` (Tschandl, Rosendahl, Kittler 2018; CC BY-NC 4.0)",
    "isic2017": "ISIC 2017 `train` (Codella et al. 2017)",
    "pad_ufes_20": "photographs of PAD-UFES-20 (Pacheco et al. 2020; CC BY 4.0), but for the patients held out",
}
SHORTCUT = ": some of what it learned is the set, not the lesion"
NO_GATE = "- Nothing stops a picture that is no lesion: `ood` has no threshold.\n"
GATE = """\
- A picture that is no lesion: `ood` above {threshold:.3g} means unlike what was learned. Of held-out pictures pass:
  {rates}. What else may pass, nobody knows.
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
    learned = learned_groups(folder, data_dir)
    figures: dict[str, dict[str, Any]] = {}
    for source, split, endpoints in SETS:
        rows = [row for row in evaluate.released_rows(data_dir, source, split) if row.group not in learned]
        found = evaluate.outputs(artifact, rows)
        for endpoint in endpoints:
            measured = evaluate.measure(found, rows, endpoint, f"{source} {split}")
            figures |= {f"{source}_{split}_{name}": figure for name, figure in measured.items()}
    return figures | _shortcut(artifact, data_dir)


def learned_groups(folder: Path, data_dir: Path) -> set[str]:
    """Lesions and patients that the artifact's training has seen: none of them may count in a figure."""
    config = TrainConfig.model_validate(json.loads((folder / "manifest.json").read_text())["training"])
    return {row.group for row in make_folds(config, data_dir).train}


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
        networks=" and ".join(manifest.get("networks", [manifest["training"]["backbone"]])),
        sources=_list([SOURCES.get(name, name) for name in manifest["training"]["train_sources"]]),
        note=textwrap.fill(manifest["training_note"] + " Nothing was chosen on the test figures below.", 118),
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
        shortcut=SHORTCUT if figures["probe_set_auc"]["value"] > figures["probe_melanoma_auc"]["value"] else "",
        gate=_gate(manifest),
    )
    (folder / "MODEL_CARD.md").write_text(card)


def _gate(manifest: dict[str, Any]) -> str:
    if manifest.get("ood_threshold") is None or not manifest.get("ood"):
        return NO_GATE
    rates = [f"{name} {rate:.1%}" for name, rate in manifest["ood"]["pass_rates"].items()]
    return GATE.format(
        threshold=manifest["ood_threshold"], rates=textwrap.fill(_list(rates), 110).replace("\n", "\n  ")
    )


def _list(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
