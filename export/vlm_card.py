"""MODEL_CARD.md of a released vision-language model, from its manifest, so that both always agree."""

import textwrap
from pathlib import Path

from models.vlm.serving.artifact import MODEL_FILE, VlmArtifact

CARD = """\
# {name} {version}: vision-language model

Research software, not a medical device. It must not be used to decide on anybody's care.

**Use.** {purpose}

**Question.** "{question}" The raw probability of Yes is not a probability of melanoma; the calibrated one is.

**Training.** {made}

**Data.** HAM10000 `train` (Tschandl, Rosendahl, Kittler 2018; CC BY-NC 4.0) and ISIC 2017 `train` (Codella et al.
2017), split by lesion joined with near duplicates. Calibrated on {fold} ({n} images, melanoma {prevalence:.1%}),
which also chose the epoch.

**Terms.** {licence}

## Figures

95 % intervals by bootstrap over lesions (1,000 draws), of {measured}. HAM10000 test is 15 % of the lesions, never used
for training, calibration or model selection.

| figure | value | 95 % interval | data | images |
|---|---|---|---|---|
{figures}

Calibration: logit of melanoma = {slope:.3f} x (logit of Yes - {null:.3f}) + {intercept:.3f}, where {null:.3f} is the
answer to a uniform grey image. Threshold for 95 % sensitivity on the calibration fold: p >= {cut:.3f}, specificity
there {specificity:.2f}. Turning and mirroring an image moves its calibrated logit by {sd:.2f} (standard deviation).

## Limits

- It learned from dermoscopy. On smartphone photographs (PAD-UFES-20, Yes compared with any skin cancer) its AUC is
  {photographs:.2f}, where 0.5 is chance. Melalog gives it no weight there.
- HAM10000 comes from two clinics, with mostly fair skin; accuracy on darker skin is unknown. More than half of its
  benign lesions were not confirmed by histology.
- It was trained and measured on this question only. Answers to other questions have not been evaluated.
"""


def write(folder: Path) -> None:
    """Write the card of a folder from its manifest."""
    manifest = VlmArtifact.load(folder).manifest
    cut = manifest.thresholds["sensitivity_95"]
    lines = [
        f"| {name.replace('_', ' ')} | {figure.value:.3f} | {figure.interval[0]:.3f} to {figure.interval[1]:.3f} "
        f"| {figure.data} | {figure.n} |"
        for name, figure in manifest.metrics.items()
    ]
    card = CARD.format(
        name=manifest.name,
        version=manifest.version,
        purpose=_wrapped(manifest.purpose, "**Use.** "),
        question=manifest.question,
        made=_wrapped(manifest.made, "**Training.** "),
        fold=manifest.fold.data,
        n=manifest.fold.n,
        prevalence=manifest.fold.prevalence,
        licence=_wrapped(manifest.licence, "**Terms.** "),
        measured=f"the exported file {MODEL_FILE}" if MODEL_FILE in manifest.files else "the merged checkpoint",
        figures="\n".join(lines),
        photographs=manifest.metrics["pad_ufes_20_train_malignant_auc"].value,
        slope=manifest.calibration.slope,
        intercept=manifest.calibration.intercept,
        null=manifest.calibration.null_logit,
        cut=cut.value,
        specificity=cut.specificity,
        sd=manifest.fold.logit_sd,
    )
    (folder / "MODEL_CARD.md").write_text(card)


def _wrapped(text: str, before: str) -> str:
    return textwrap.fill(before + text, 118).removeprefix(before)
