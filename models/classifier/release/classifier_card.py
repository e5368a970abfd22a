"""MODEL_CARD.md, from the manifest alone, so that the two cannot disagree."""

import json
import textwrap
from itertools import groupby
from pathlib import Path
from typing import Any

from models.classifier.serving.artifact import MODEL_FILE

CARD = """\
# {name} {version}: lesion classifier

Research software, not a medical device. It must not be used to decide on anybody's care.

**Use.** One part of Melalog's risk: seven diagnoses and a melanoma probability for a dermoscopic picture of one
lesion. Not for: photographs without a dermatoscope (see below), nails, mucosa, several lesions in one picture, or
on its own.

**Network.** {networks}, {size} px, {geometry}. {parameters}
{note}

**Data.** {sources}.
Split by lesion or patient joined with near duplicates. Calibrated on {calibration}
({n_calibration} pictures, melanoma {prevalence:.1%}).

**Terms.** {terms} The code is Apache-2.0.

## Figures

{figures}

Threshold for 95 % sensitivity (fitted on {fitted_on}): p >= {cut:.3f}, specificity there {specificity:.2f}.
{subgroups}
## Limits

{limits}"""
FIGURES = """\
95 % intervals by bootstrap over lesions or patients (1,000 draws), of the exported file. No lesion or patient that the
training saw is among the pictures.{test}

| figure | value | 95 % interval | data | pictures |
|---|---|---|---|---|
"""
HAM_TEST = "\nHAM10000 test is 15 % of the lesions, never used for training, calibration or any choice."
SOURCES = {
    "ham10000": "HAM10000 `train` (Tschandl, Rosendahl, Kittler 2018; CC BY-NC 4.0)",
    "isic2017": "ISIC 2017 `train` (Codella et al. 2017)",
    "pad_ufes_20": "photographs of PAD-UFES-20 (Pacheco et al. 2020; CC BY 4.0), but for the patients held out",
}
GEOMETRIES = {"squash": "whole frame squashed to a square"}
TERMS = "The weights are for non-commercial use (CC BY-NC 4.0), as the pictures are."
OWN_TERMS = "The weights may be used as far as the terms of the pictures in the table allow: see there."
PHOTOGRAPHS = """\
- On smartphone photographs (PAD-UFES-20) it is not calibrated, and few were there to measure it, see the table.
  Melalog therefore lets a photograph raise a risk but never lower one.
"""
SKIN = """\
- HAM10000 comes from two clinics, mostly fair skin; nothing is known of darker skin. More than half of the
  benign lesions there were not proven by histology.
"""
PROBE = """\
- A linear probe on the embedding tells HAM10000 from ISIC 2017 with AUC {set_auc:.2f} and melanoma from the rest with
  {label_auc:.2f} (cross-validated){shortcut}.
"""
SHORTCUT = ": some of what it learned is the set, not the lesion"
MARKS = "- Rulers, ink and hair can raise false positives (Winkler 2019, 2021).\n"
NO_GATE = "- Nothing stops a picture that is no lesion: `ood` has no threshold.\n"
GATE = """\
- A picture that is no lesion: `ood` above {threshold:.3g} means unlike what was learned. Of held-out pictures pass:
  {rates}. What else may pass, nobody knows.
"""
CROSS_VALIDATED = """\
- The networks have learned every fold. Calibration and thresholds are those of out-of-fold predictions of other
  networks with the same plan; how well they fit these networks was not measured, nor was the gate's pass rate on
  pictures the networks have not seen.
"""
SUBGROUPS = """
### By subgroup

Sensitivity and specificity at the shipped threshold for 95 % sensitivity. At least ten positives and ten negatives
each; nothing was chosen on these figures, and with so many groups some look bad or good by chance. An interval of 1.000
to 1.000 means that none was missed among these few, not that none would be.
"""
COLUMNS = """\

| subgroup | pictures | {endpoint} | AUC | sensitivity | specificity |
|---|---|---|---|---|---|
"""


def write(folder: Path) -> None:
    """Write MODEL_CARD.md beside the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    variant = manifest["files"][MODEL_FILE]
    threshold, fold, training = variant["thresholds"]["sensitivity_95"], manifest["calibration"], manifest["training"]
    geometry = manifest["input"]["geometry"]
    sources = [f"`{Path(training['table']).name}`"] if training.get("table") else training["train_sources"]
    crossed = (manifest.get("provenance") or {}).get("cross_validated")
    card = CARD.format(
        name=manifest["name"],
        version=manifest["version"],
        networks=" and ".join(manifest.get("networks", [training["backbone"]])),
        sources=_list([SOURCES.get(name, name) for name in sources]),
        note=textwrap.fill(manifest["training_note"] + " Nothing was chosen on the test figures below.", 118),
        size=manifest["input"]["size"],
        geometry=GEOMETRIES.get(geometry, geometry),
        parameters=f"{(folder / MODEL_FILE).stat().st_size / 1e6:.0f} MB as ONNX.",
        calibration=fold["data"],
        n_calibration=fold["n"],
        prevalence=fold["prevalence"],
        terms=OWN_TERMS if training.get("table") else TERMS,
        figures=_figures(variant["metrics"]) + _skipped(manifest.get("not_measured", [])),
        fitted_on="out-of-fold predictions" if crossed else "the calibration fold",
        cut=threshold["value"],
        specificity=threshold["specificity"],
        subgroups=_subgroups(manifest.get("subgroups", [])),
        limits=_limits(manifest),
    )
    (folder / "MODEL_CARD.md").write_text(card)


def _figures(figures: dict[str, Any]) -> str:
    if not figures:
        return "None: no picture was there to measure it on."
    lines = [
        f"| {name.replace('_', ' ')} | {figure['value']:.3f} | {_span(figure['interval'])} | {figure['data']} "
        f"| {figure['n']} |"
        for name, figure in figures.items()
    ]
    test = HAM_TEST if any(name.startswith("ham10000_test") for name in figures) else ""
    return FIGURES.format(test=test) + "\n".join(lines)


def _skipped(sentences: list[str]) -> str:
    return "\n\nNot measured:\n\n" + "\n".join(f"- {sentence}" for sentence in sentences) if sentences else ""


def _limits(manifest: dict[str, Any]) -> str:
    figures = manifest["files"][MODEL_FILE]["metrics"]
    training = manifest["training"]
    limits = PHOTOGRAPHS if any(name.startswith("pad_ufes_20") for name in figures) else ""
    if not training.get("table") and "ham10000" in training["train_sources"]:
        limits += SKIN
    if "probe_set_auc" in figures:
        of_set, of_label = figures["probe_set_auc"]["value"], figures["probe_melanoma_auc"]["value"]
        limits += PROBE.format(set_auc=of_set, label_auc=of_label, shortcut=SHORTCUT if of_set > of_label else "")
    if (manifest.get("provenance") or {}).get("cross_validated"):
        limits += CROSS_VALIDATED
    return limits + MARKS + _gate(manifest)


def _gate(manifest: dict[str, Any]) -> str:
    if manifest.get("ood_threshold") is None or not manifest.get("ood"):
        return NO_GATE
    rates = [f"{name} {rate:.1%}" for name, rate in manifest["ood"]["pass_rates"].items()]
    return GATE.format(
        threshold=manifest["ood_threshold"], rates=textwrap.fill(_list(rates), 110).replace("\n", "\n  ")
    )


def _subgroups(parts: list[dict[str, Any]]) -> str:
    """A table for every set; what is too small for a figure is named with its counts below it."""
    told = SUBGROUPS if parts else ""
    for (data, endpoint), found in groupby(parts, key=lambda part: (part["data"], part["endpoint"])):
        known = list(found)
        told += f"\n{data}, {endpoint} against the rest:\n"
        lines = [_row(part) for part in known if part["figures"]]
        told += COLUMNS.format(endpoint=endpoint) + "".join(lines) if lines else ""
        small = [
            f"{part['attribute']} {part['value']} ({part['n']}, {endpoint} {part['positives']})"
            for part in known
            if not part["figures"]
        ]
        if small:
            told += "\n" + textwrap.fill(f"Too few for a figure: {', '.join(small)}.", 118) + "\n"
    return told


def _row(part: dict[str, Any]) -> str:
    figures = part["figures"]
    cells = [
        f"{figures[name]['value']:.3f} ({_span(figures[name]['interval'])})" if name in figures else "not defined"
        for name in ("auc", "sensitivity", "specificity")
    ]
    return f"| {part['attribute']} {part['value']} | {part['n']} | {part['positives']} | {' | '.join(cells)} |\n"


def _span(interval: list[float]) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


def _list(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
