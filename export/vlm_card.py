"""MODEL_CARD.md of a released vision-language model, from its manifest, so that the two cannot disagree."""

import textwrap
from pathlib import Path

from models.vlm.serving.artifact import MODEL_FILE, Artifact

CARD = """\
# {name} {version}: vision-language model

Research software, not a medical device. It must not be used to decide on anybody's care.

**Use.** {purpose}

**Asked.** "{question}" The raw probability of Yes is no probability of melanoma; the calibrated one is.

**Made.** {made}

**Data.** HAM10000 `train` (Tschandl, Rosendahl, Kittler 2018; CC BY-NC 4.0) and ISIC 2017 `train` (Codella et al.
2017), split by lesion joined with near duplicates. Calibrated on {fold} ({n} pictures, melanoma {prevalence:.1%}),
which also chose the epoch.

**Terms.** {licence}

## Figures

95 % intervals by bootstrap over lesions (1,000 draws), of {measured}. HAM10000 test is 15 % of the lesions, never used
for training, calibration or any choice.

| figure | value | 95 % interval | data | pictures |
|---|---|---|---|---|
{figures}

Calibration: logit of melanoma = {slope:.3f} x (logit of Yes - {null:.3f}) + {intercept:.3f}, where {null:.3f} is the
answer to a grey picture. Threshold for 95 % sensitivity on the calibration fold: p >= {cut:.3f}, specificity there
{specificity:.2f}. Turning and mirroring a picture moves its calibrated logit by {sd:.2f} (standard deviation).

## Limits

- It learned from dermoscopy. On smartphone photographs (PAD-UFES-20, Yes compared with any skin cancer) its AUC is
  {photographs:.2f}, and one half is chance. Melalog gives it no weight there.
- HAM10000 comes from two clinics, mostly fair skin; nothing is known of darker skin. More than half of the benign
  lesions there were not proven by histology.
- It answers this one question. Other questions get an answer too, and nobody has measured what that is worth.
"""


def write(folder: Path) -> None:
    """Write the card of a finished folder."""
    told = Artifact.load(folder).manifest
    cut = told.thresholds["sensitivity_95"]
    lines = [
        f"| {name.replace('_', ' ')} | {figure.value:.3f} | {figure.interval[0]:.3f} to {figure.interval[1]:.3f} "
        f"| {figure.data} | {figure.n} |"
        for name, figure in told.metrics.items()
    ]
    card = CARD.format(
        name=told.name,
        version=told.version,
        purpose=_wrapped(told.purpose, "**Use.** "),
        question=told.question,
        made=_wrapped(told.made, "**Made.** "),
        fold=told.fold.data,
        n=told.fold.n,
        prevalence=told.fold.prevalence,
        licence=_wrapped(told.licence, "**Terms.** "),
        measured=f"the exported file {MODEL_FILE}" if MODEL_FILE in told.files else "the merged checkpoint",
        figures="\n".join(lines),
        photographs=told.metrics["pad_ufes_20_train_malignant_auc"].value,
        slope=told.calibration.slope,
        intercept=told.calibration.intercept,
        null=told.calibration.null_logit,
        cut=cut.value,
        specificity=cut.specificity,
        sd=told.fold.logit_sd,
    )
    (folder / "MODEL_CARD.md").write_text(card)


def _wrapped(text: str, before: str) -> str:
    return textwrap.fill(before + text, 118).removeprefix(before)
