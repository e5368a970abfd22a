"""MODEL_CARD.md of the stack, from its manifest, so that both always agree."""

import math
import textwrap
from typing import Any

ON_BOUND = 1e-6
"""A weight below this is on its bound."""

TEMPLATE = """\
# {name} {version}: classifier and vision-language model weighed as one

Research software, not a medical device. It must not be used to decide on anybody's care.

**Use.** Both models see the same image, so their likelihood ratios must not be multiplied. On a dermoscopic image
Melalog's log-odds of melanoma change by

    {intercept:+.3f} {classifier:+.3f} x (classifier's calibrated log-odds - L) {vlm:+.3f} x (vlm's - L)

where L = {base:.3f} are the log-odds of melanoma in the fold ({prevalence:.1%}). It applies to this pair of files only:

| model | version | sha256 as in its finding's `model.sha256` |
|---|---|---|
| {classifier_name} | {classifier_version} | `{classifier_sha256}` |
| {vlm_name} | {vlm_version} | `{vlm_sha256}` |

**Fitted** by maximum likelihood on {fold} ({n} images), weights not below zero.
95 % intervals over resampled lesions: intercept {intercept_interval}, classifier {classifier_interval},
vlm {vlm_interval}.
The standard deviation of the log-odds is {sd:.2f}: {sd_fit:.2f} from resampling the fold (root mean square over its
images) and {sd_turning:.2f} from turning and mirroring an image, assuming that both models err alike.

## What it gains

{gain}

| figure | value | 95 % interval | data | images |
|---|---|---|---|---|
{figures}

`nested`: {folds} folds by lesion; in each, both calibrations and the stack were fitted anew without it. `test`:
HAM10000 test with the released calibrations and this stack; nothing was fitted or chosen on it. Differences are
paired: both sides on the same 1,000 resamples of lesions.

## Limits

- The vlm's vision tower had release 0.1.0 of the classifier as its teacher, and the fold chose its epoch. Much of its
  output repeats the classifier, so a second model adds little here. For a vlm of other origin fit the stack again:
  `melalog train stack`.
- This fold was used to select both models (the vlm's epoch; that the classifier averages two networks): only the
  figures on `test` are free of selection.
- Fitted on dermoscopy of two clinics (HAM10000). It does not apply to photographs.
"""


def text(manifest: dict[str, Any], folds: int) -> str:
    """The card of a finished manifest."""
    weights, sd, figures = manifest["weights"], manifest["sd"], manifest["metrics"]
    prevalence = manifest["fold"]["prevalence"]
    models = {
        f"{part}_{key}": manifest[part][key] for part in ("classifier", "vlm") for key in ("name", "version", "sha256")
    }
    spans = {f"{name}_interval": _span(interval) for name, interval in weights["intervals"].items()}
    return TEMPLATE.format(
        name=manifest["name"],
        version=manifest["version"],
        **{name: weights[name] for name in ("intercept", "classifier", "vlm")},
        base=math.log(prevalence / (1 - prevalence)),
        prevalence=prevalence,
        fold=manifest["fold"]["data"],
        n=manifest["fold"]["n"],
        folds=folds,
        sd=sd["together"],
        sd_fit=sd["fit"],
        sd_turning=sd["turning"],
        gain=textwrap.fill(_gain(manifest), 118),
        figures="\n".join(_line(name, figure) for name, figure in figures.items()),
        **models,
        **spans,
    )


def _gain(manifest: dict[str, Any]) -> str:
    """A sentence on the paired AUC difference."""
    figure = manifest["metrics"]["nested_stack_less_classifier_auc"]
    low, high = figure["interval"]
    text = (
        f"Against the classifier alone the AUC changes by {figure['value']:+.4f} ({low:+.4f} to {high:+.4f}), nested."
    )
    if low > 0:
        text += " The stack ranks better than the classifier alone."
    elif high < 0:
        text += " The stack ranks worse than the classifier alone: the second model adds noise."
    else:
        text += " No gain in ranking over the classifier alone was shown."
    vlm = manifest["weights"]["vlm"]
    if vlm < ON_BOUND:
        text += (
            " The vlm's weight is zero: given the classifier, it adds no information about these images, and the best "
            "weight without the bound would have been below zero. The stack is then a recalibration of the classifier."
        )
    return text


def _line(name: str, figure: dict[str, Any]) -> str:
    sign = "+" if "_less_" in name else ""
    low, high = figure["interval"]
    numbers = " | ".join((f"{figure['value']:{sign}.4f}", f"{low:{sign}.4f} to {high:{sign}.4f}"))
    return f"| {name.replace('_', ' ')} | {numbers} | {figure['data']} | {figure['n']} |"


def _span(interval: list[float]) -> str:
    return f"{interval[0]:.2f} to {interval[1]:.2f}"
