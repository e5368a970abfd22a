"""The classifier's runtimes against each other, in one run, on real images.

MELALOG_DATA_DIR=… python -m benchmarks.engines

Every round gives the same images to every engine, in random order, so that load on the machine affects all engines
alike: the ratios hold on other machines, the images per second do not. Accuracy is that of ISIC 2017
validation, which no figure of a release uses.
"""

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from export.variants import ratio
from models.classifier.data.table import Row
from models.classifier.evaluation import measurement, statistics
from models.classifier.serving.artifact import MODEL_FILE, RELEASED, ClassifierArtifact
from services.classifier.engine.onnx_runtime import OnnxEngine
from services.classifier.engine.open_vino import OpenVinoEngine, has_bf16
from services.classifier.engine.port import Engine
from services.common.cores import usable_cores

DATA = ("isic2017", "validation")
BATCHES = (1, 8)
IMAGES = 16
"""Images per engine and round."""
REFERENCE = "ONNX Runtime fp32"


def engines(artifact: ClassifierArtifact, threads: int) -> dict[str, Engine]:
    """Every engine that can serve this artifact on this processor; the first is the reference."""
    model = artifact.folder / MODEL_FILE
    engines_by_name: dict[str, Engine] = {REFERENCE: OnnxEngine(model, threads)}
    for name, variant in artifact.manifest.files.items():
        if variant.precision == "int8":
            engines_by_name["ONNX Runtime INT8"] = OnnxEngine(artifact.folder / name, threads)
    engines_by_name["OpenVINO f32"] = OpenVinoEngine(model, threads, "f32")
    if has_bf16():
        engines_by_name["OpenVINO bf16"] = OpenVinoEngine(model, threads, "bf16")
        if measured := artifact.manifest.bf16:
            engines_by_name["OpenVINO bf16 as served"] = OpenVinoEngine(model, threads, "bf16", measured.float32_before)
    return engines_by_name


def in_batches(engine: Engine, cache: NDArray[np.uint8], size: int) -> NDArray[np.float64]:
    """Melanoma probability of each prepared image uint8 [N, S, S, 3]."""
    answers = [one for start in range(0, len(cache), size) for one in engine.run(cache[start : start + size])]
    return np.array([answer.melanoma for answer in answers])


def times(running: Mapping[str, Engine], cache: NDArray[np.uint8], size: int, rounds: int) -> dict[str, list[float]]:
    """Seconds that each engine took for IMAGES images, one entry per round."""
    rng = np.random.default_rng(0)
    taken: dict[str, list[float]] = {name: [] for name in running}
    for engine in running.values():
        in_batches(engine, cache[:IMAGES], size)
    for _ in track(range(rounds), description=f"batches of {size}"):
        shown = cache[rng.choice(len(cache), IMAGES, replace=False)]
        for name in rng.permutation(list(running)):
            started = time.perf_counter()
            in_batches(running[name], shown, size)
            taken[name].append(time.perf_counter() - started)
    return taken


def speed_lines(running: Mapping[str, Engine], cache: NDArray[np.uint8], rounds: int) -> list[str]:
    """Images per second, and the ratio to the reference, by engine and batch."""
    lines = ["| engine | batch | images/s | times ONNX Runtime fp32 (95 % interval) |", "|---|---|---|---|"]
    for size in BATCHES:
        taken = times(running, cache, size, rounds)
        for name, seconds in taken.items():
            faster, (low, high) = ratio(taken[REFERENCE], seconds)
            rate = IMAGES / float(np.median(seconds))
            lines.append(f"| {name} | {size} | {rate:.0f} | {faster:.2f} ({low:.2f} to {high:.2f}) |")
    return lines


def accuracy_lines(running: Mapping[str, Engine], cache: NDArray[np.uint8], rows: list[Row]) -> list[str]:
    """Melanoma AUC, its paired change against the reference, and the largest change of a probability."""
    lines = ["| engine | melanoma AUC | change (95 % interval) | largest change of p |", "|---|---|---|---|"]
    probabilities = {name: in_batches(engine, cache, max(BATCHES)) for name, engine in running.items()}
    old = measurement.decide({"melanoma": probabilities[REFERENCE]}, rows, measurement.MELANOMA_ENDPOINT)
    auc = statistics.METRICS["auc"]
    for name, p in probabilities.items():
        new = measurement.decide({"melanoma": p}, rows, measurement.MELANOMA_ENDPOINT)
        value, (low, high) = statistics.bootstrap(auc, new.truth, new.p, new.groups)
        change, (least, most) = statistics.paired(auc, new.truth, new.p, old.p, new.groups)
        largest = np.abs(new.p - old.p).max()
        changed = f"{change:+.4f} ({least:+.4f} to {most:+.4f})"
        lines.append(f"| {name} | {value:.4f} ({low:.3f} to {high:.3f}) | {changed} | {largest:.4f} |")
    return lines


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, default=RELEASED)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=usable_cores())
    args = parser.parse_args()
    if not os.environ.get("MELALOG_DATA_DIR"):
        raise SystemExit("set MELALOG_DATA_DIR to the folder of the real images")
    artifact = ClassifierArtifact.load(args.artifact)
    rows = measurement.released_rows(Path(os.environ["MELALOG_DATA_DIR"]), *DATA)
    cache = measurement.prepared(artifact, rows)
    running = engines(artifact, args.threads)
    about = f"{artifact.manifest.name} {artifact.manifest.version}, {len(rows)} images of {' '.join(DATA)}"
    lines = [f"{about}, {args.threads} threads, {args.rounds} rounds of {IMAGES} images", ""]
    lines += [*speed_lines(running, cache, args.rounds), "", *accuracy_lines(running, cache, rows)]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
