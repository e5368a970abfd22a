"""What a release is measured on, and what is left out where there is too little."""

import csv
from pathlib import Path

from models.classifier.release import release_figures
from models.classifier.serving.artifact import RELEASED, ClassifierArtifact
from tests.models.classifier import tiny


def all_for_the_test(data: Path) -> None:
    """Every picture a lesion of its own, and a test row."""
    for path in data.glob("*/*.csv"):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows({**row, "group": f"{path.stem}-{i}", "split": "test"} for i, row in enumerate(rows))


def test_a_probe_of_a_handful_of_lesions_is_left_out(tmp_path: Path) -> None:
    data, released = tiny.write_data(tmp_path), ClassifierArtifact.load(RELEASED)
    assert release_figures._shortcut(released, data) == {}  # noqa: SLF001
    all_for_the_test(data)
    figures = release_figures._shortcut(released, data)  # noqa: SLF001
    assert figures.keys() == {"probe_set_auc", "probe_melanoma_auc"}
    for figure in figures.values():
        low, high = figure["interval"]
        assert 0 < low <= figure["value"] <= high <= 1
        assert figure["n"] == 112
