"""Does fusion beat the image alone on real people? PAD-UFES-20: photographs and answers of the same patients.

MELALOG_DATA_DIR=… python -m benchmarks.pad [FOLDER]     writes report.html and pad.json (default runs/pad)
"""

import os
import sys
from pathlib import Path

import numpy as np

from benchmarks import pad_models, pad_page
from benchmarks.pad_measure import Part, measure, verdict
from benchmarks.pad_models import ACT_AT
from benchmarks.pad_people import read
from models.classifier.data import table
from models.classifier.evaluation import measurement
from models.classifier.release import release_figures
from models.classifier.serving.artifact import RELEASED, ClassifierArtifact
from services.common.settings import Settings


def parts(data: Path) -> list[Part]:
    """The headline first: biopsied lesions of patients that the classifier has not learned from."""
    artifact, prior = ClassifierArtifact.load(RELEASED), Settings().prior
    learned = release_figures.learned_groups(RELEASED, data)
    people = read(data)
    shown = [one for one in people if one.picture]
    rows = [table.Row(one.picture, "nv", one.group, "train", "pad_ufes_20") for one in shown if one.picture]
    outputs = measurement.outputs(artifact, rows)
    new = np.array([one.group not in learned for one in shown])
    biopsied = np.array([one.biopsied for one in shown])

    def some(name: str, says: str, chosen: np.ndarray) -> Part:
        found = {key: outputs[key][chosen].astype(float) for key in ("melanoma", "malignant")}
        return measure(name, says, [shown[i] for i in np.flatnonzero(chosen)], found, artifact, prior)

    return [
        some("headline", "biopsied, with a photograph, of patients the classifier never saw", new & biopsied),
        measure(
            "biopsied", "all biopsied, no picture used", [one for one in people if one.biopsied], None, artifact, prior
        ),
        some(
            "learned", "biopsied, of patients the classifier learned from: the image's figures flatter", ~new & biopsied
        ),
        some("trap", "patients the classifier never saw, biopsied or not: missing answers give the label away", new),
    ]


def main() -> None:
    """Measure, print and write the report."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/pad")
    found = parts(Path(os.environ["MELALOG_DATA_DIR"]))
    by_name = {part.name: part for part in found}
    told = verdict(by_name["headline"], by_name["trap"])
    pad_page.write(out, found, told)
    for part in found:
        print(f"\n{part.says}: {pad_page.size(part)}")
        for one, figures in part.figures.items():
            print(f"  {pad_models.NAMES[one]:32} " + "  ".join(f"{k} {v['value']:.3f}" for k, v in figures.items()))
    print("\n" + "\n".join(told) + f"\n\nacting at {ACT_AT:.0%}; report: {out / 'report.html'}")


if __name__ == "__main__":
    main()
