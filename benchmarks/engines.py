"""Which runtime serves the classifier fastest, and what it costs in accuracy: all in one run, on real pictures.

    python -m benchmarks.engines            # needs MELALOG_DATA_DIR

ISIC 2017 validation: pictures that no released model has learned from.
"""

import os
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from models.classifier import metrics, pictures, table
from models.classifier.artifact import RELEASED, Artifact
from services.classifier.engine.onnx_runtime import OnnxEngine
from services.classifier.engine.open_vino import OpenVinoEngine, has_bf16
from services.classifier.engine.port import Engine
from services.common.cores import usable_cores

ROUNDS = 30


def engines(artifact: Artifact, threads: int) -> dict[str, Engine]:
    """The reference first, then every file and runtime there is for this processor."""
    files = {variant.precision: artifact.folder / name for name, variant in artifact.manifest.files.items()}
    found: dict[str, Engine] = {"ONNX Runtime fp32": OnnxEngine(files["fp32"], threads)}
    if "int8" in files:
        found["ONNX Runtime INT8"] = OnnxEngine(files["int8"], threads)
    found["OpenVINO f32"] = OpenVinoEngine(files["fp32"], threads, "f32")
    if has_bf16():
        found["OpenVINO bf16"] = OpenVinoEngine(files["fp32"], threads, "bf16")
    return found


def speeds(found: dict[str, Engine], batch: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """Speed over the reference's (median, 2.5 and 97.5 % of rounds); every round runs all, in turn."""
    took: dict[str, list[float]] = {name: [] for name in found}
    for engine in found.values():
        engine.run(batch)
    for _ in range(ROUNDS):
        for name, engine in found.items():
            start = time.perf_counter()
            engine.run(batch)
            took[name].append(time.perf_counter() - start)
    reference = np.array(next(iter(took.values())))
    ratios = {name: reference / np.array(times) for name, times in took.items()}
    return {name: tuple(np.percentile(ratio, [50, 2.5, 97.5])) for name, ratio in ratios.items()}


def main() -> None:
    """Print one table."""
    data = Path(os.environ["MELALOG_DATA_DIR"])
    artifact = Artifact.load(RELEASED)
    wanted = artifact.manifest.input
    rows = [row for row in table.read(data, "isic2017") if row.split == "validation"]
    cache = pictures.load(rows, wanted.size, wanted.geometry, wanted.resample)
    truth = np.array([row.melanoma for row in rows], np.float64)
    found = engines(artifact, usable_cores())
    p = {
        name: np.array([one.melanoma for i in range(0, len(cache), 8) for one in engine.run(cache[i : i + 8])])
        for name, engine in found.items()
    }
    reference = next(iter(p.values()))
    by_batch = {n: speeds(found, cache[:n]) for n in (1, 8)}
    shown = Table(title=f"{artifact.manifest.name} {artifact.manifest.version}, {usable_cores()} threads")
    for column in ("engine", "speed, batch 1", "speed, batch 8", "AUC change", "largest change of P(melanoma)"):
        shown.add_column(column)
    for name, scores in p.items():
        change, (low, high) = metrics.paired(
            metrics.METRICS["auc"], truth, scores, reference, [row.group for row in rows]
        )
        told = ["{:.2f} ({:.2f} to {:.2f})".format(*by_batch[n][name]) for n in (1, 8)]
        moved = f"{np.abs(scores - reference).max():.4f}"
        shown.add_row(name, *told, f"{change:+.4f} ({low:+.4f} to {high:+.4f})", moved)
    Console(width=140).print(shown)


if __name__ == "__main__":
    main()
