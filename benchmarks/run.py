"""`make bench`: the README's figures, from one run on this machine. Ratios hold on other machines; times do not."""

import argparse
import json
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import PIL
import psutil
from rich.progress import track

from benchmarks import load
from models.classifier.serving.artifact import MODEL_FILE, RELEASED, ClassifierArtifact
from models.classifier.serving.preprocess import prepare
from services.classifier import quality
from services.classifier.core import MAX_BATCH, OVERSAMPLING
from services.classifier.engine import factory
from services.classifier.engine.onnx_runtime import OnnxEngine
from services.classifier.engine.port import Engine
from services.common import images
from services.common.cores import usable_cores
from services.common.settings import load as load_settings
from services.contracts import FuseRequest, FusionInfo
from services.risk import decide
from tests.chaos.test_dependencies import CLASSIFIED, JUDGED
from tests.conftest import Running, running
from tests.fakes.node import FakeNode
from tests.pictures import encode, lesion

ANSWERS = '{"age": 61, "sex": "female", "fair_skin": "yes", "sunburns": "yes"}'
ROUNDS = 5
NODE_S = 0.02


def sample_images(n: int) -> tuple[str, list[bytes]]:
    """(description, files): real images if MELALOG_DATA_DIR is set, else generated ones."""
    folder = Path(os.environ.get("MELALOG_DATA_DIR", "")) / "ham10000" / "images"
    if folder.is_dir():
        return "HAM10000, 200x150 JPEG", [path.read_bytes() for path in sorted(folder.iterdir())[:n]]
    return "generated, 200x150 JPEG", [encode(lesion(200, 150, seed)) for seed in range(n)]


def large_images(n: int) -> list[bytes]:
    """12-megapixel JPEGs, as a phone makes them."""
    return [encode(lesion(4000, 3000, seed), quality=88) for seed in range(n)]


def bare(engine: Engine, artifact: ClassifierArtifact, data: list[bytes], batch: int) -> float:
    """Images a second of an engine with the service's own decoding, no HTTP: the reference."""
    geometry = artifact.manifest.input

    def ready(one: bytes) -> np.ndarray:
        decoded = images.decode(one, geometry.size * OVERSAMPLING)
        quality.judge(decoded)
        return prepare(decoded, geometry.size, geometry.geometry, geometry.resample)

    with ThreadPoolExecutor(usable_cores()) as pool:
        started = time.perf_counter()
        for start in range(0, len(data), batch):
            engine.run(np.stack(list(pool.map(ready, data[start : start + batch]))))
        return len(data) / (time.perf_counter() - started)


def throughput(system: Running, name: str, data: list[bytes], rounds: int) -> list[str]:
    """Service against bare engines, in turn, so that load on the machine affects all alike."""
    artifact, cores = ClassifierArtifact.load(RELEASED), usable_cores()
    engines: list[Engine] = [factory.make(load_settings(), artifact, cores)]
    if not isinstance(engines[0], OnnxEngine):
        engines.append(OnnxEngine(RELEASED / MODEL_FILE, cores))
    port = system.ports["classifier"]
    load.run(port, "/v1/classify", data, "image/jpeg", len(data) // 2, 16)
    served: list[float] = []
    references: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for _ in track(range(rounds), description=f"classifier, {name}"):
        for engine in engines:
            references[engine.name].append(max(bare(engine, artifact, data, batch) for batch in (1, MAX_BATCH)))
        served.append(load.run(port, "/v1/classify", data, "image/jpeg", len(data), 16).rate)
    lines = [f"| classifier service, images/s, {name} | {statistics.median(served):.0f} |"]
    for reference, rates in references.items():
        ratios = [rate / best for rate, best in zip(served, rates, strict=True)]
        what, value = (
            f"bare {reference}",
            f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})",
        )
        batch = f"better of batch 1 and {MAX_BATCH}"
        lines += [
            f"| {what}, same decoding, {batch}, images/s | {statistics.median(rates):.0f} |",
            f"| **service / {what}**, median of {rounds} rounds (min to max) | {value} |",
        ]
    return lines


def latency(system: Running, name: str, data: list[bytes], n: int) -> list[str]:
    """One assessment at a time, from multipart in to JSON out."""
    bodies = [load.multipart(one, ANSWERS) for one in data]
    port, content_type = system.ports["orchestrator"], bodies[0][1]
    load.run(port, "/v1/assessments", [body for body, _ in bodies], content_type, 20, 1)
    took = load.run(port, "/v1/assessments", [body for body, _ in bodies], content_type, n, 1)
    return [
        f"| one assessment, ms p50 / p99, {name}, n = {n} | {took.percentile(50):.1f} / {took.percentile(99):.1f} |"
    ]


def memory(system: Running) -> list[str]:
    """Resident memory by service, its supervisor process included (proportional share of shared pages)."""
    lines, total = [], 0.0
    for name, child in system.children.items():
        parent = psutil.Process(child.pid)
        used = sum(p.memory_full_info().pss for p in [parent, *parent.children(recursive=True)]) / 1e6
        total += used
        lines.append(f"{name} {used:.0f}")
    return [f"| memory after the load, MB: {', '.join(lines)} | {total:.0f} |"]


def overhead(n: int) -> list[str]:
    """What the orchestrator adds to its critical path, over nodes that take 20 ms each."""

    def slow(node: FakeNode) -> None:
        def behave(handler: BaseHTTPRequestHandler) -> None:
            time.sleep(NODE_S)
            node.healthy(handler)

        node.behave = behave

    fused = _fused_answer()
    nodes = FakeNode(CLASSIFIED), FakeNode(JUDGED), FakeNode(fused)
    for node in nodes:
        slow(node)
    names = ("CLASSIFIER", "VLM", "FUSION")
    urls = {f"MELALOG_{name}_URL": node.url for name, node in zip(names, nodes, strict=True)}
    body, content_type = load.multipart(encode(lesion()), ANSWERS)
    with tempfile.TemporaryDirectory() as folder, running(("orchestrator",), Path(folder), urls) as system:
        load.run(system.ports["orchestrator"], "/v1/assessments", [body], content_type, 20, 1)
        whole = load.run(system.ports["orchestrator"], "/v1/assessments", [body], content_type, n, 1)
        direct = [load.run(node.port, "/v1", [encode(lesion())], "image/jpeg", n, 1) for node in (nodes[0], nodes[2])]
    path = sum(one.percentile(50) for one in direct)
    added = f"{whole.percentile(50) - path:.1f} / {whole.percentile(99) - path:.1f}"
    return [f"| orchestrator overhead over image stage and fusion ({path:.1f} ms), ms p50 / p99, n = {n} | {added} |"]


def _fused_answer() -> dict[str, object]:
    """The answer of the fake fusion service, computed once."""
    decision = decide.decide(FuseRequest(), decide.Rules(prior=0.025))
    answer: dict[str, object] = json.loads(decide.respond(decision, None, FusionInfo(engine="rules")).model_dump_json())
    return answer


def installed() -> list[str]:
    """Size of the serving environment."""
    folder = Path(".venv-serve")
    if not folder.is_dir():
        return []
    size = sum(path.lstat().st_blocks * 512 for path in folder.rglob("*") if not path.is_symlink())
    return [f"| serving environment on disk, MB | {size / 1e6:.0f} |"]


def main() -> None:
    """Run everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=400, help="requests per measurement")
    n = parser.parse_args().n
    name, small = sample_images(n)
    big = large_images(16) * max(1, n // 64)
    lines = ["| figure | value |", "|---|---|", *installed()]
    names = ("classifier", "vlm", "fusion", "orchestrator")
    with tempfile.TemporaryDirectory() as folder, running(names, Path(folder), {}) as system:
        lines += latency(system, name, small, n)
        lines += latency(system, "12-megapixel JPEG", big, max(n // 4, 20))
        lines += throughput(system, name, small, ROUNDS)
        lines += throughput(system, "12-megapixel JPEG", big, ROUNDS)
        lines += memory(system)
    lines += overhead(n)
    version = ClassifierArtifact.load(RELEASED).manifest.version
    print(f"\n{usable_cores()} cores, classifier {version}, Pillow {PIL.__version__}\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
