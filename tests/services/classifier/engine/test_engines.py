"""Every engine behind the port answers alike, and says by name why it cannot."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from models.classifier.serving.artifact import MODEL_FILE, RELEASED, Bfloat16, ClassifierArtifact, Variant
from models.common.artifact import sha256
from services.classifier.core import Classifier
from services.classifier.engine import factory, open_vino, triton
from services.classifier.engine.onnx_runtime import OnnxEngine
from services.classifier.engine.open_vino import OpenVinoEngine
from services.classifier.engine.port import ProviderError
from services.classifier.engine.triton import TritonEngine
from services.common.deadline import Deadline
from services.common.errors import EngineDown
from services.common.settings import Settings
from tests.pictures import encode, lesion
from tests.services.classifier.engine.triton_server import Stub, serving
from tests.services.classifier.test_batcher import FakeEngine

NAME = "melalog_classifier"
WATCHED = """
import sys
REPORTING = {"os.fork", "os.posix_spawn", "subprocess.Popen", "socket.connect", "socket.getaddrinfo", "urllib.Request"}
def watch(event, _):
    if event in REPORTING:
        print(event, flush=True)
sys.addaudithook(watch)
import numpy as np
from pathlib import Path
from services.classifier.engine.open_vino import OpenVinoEngine
OpenVinoEngine(Path(sys.argv[1]), 1, "f32").run(np.zeros((1, 48, 48, 3), np.uint8))
print("answered")
"""


def batch(n: int = 3, size: int = 48) -> np.ndarray:
    return np.stack([np.full((size, size, 3), 20 + 60 * i, np.uint8) for i in range(n)])


def same(first: list, second: list, tolerance: float) -> None:
    for one, other in zip(first, second, strict=True):
        assert one.melanoma == pytest.approx(other.melanoma, abs=tolerance)
        assert one.classes == pytest.approx(other.classes, abs=tolerance)
        assert one.heatmap == pytest.approx(other.heatmap, abs=10 * tolerance)


def test_openvino_computes_what_onnx_runtime_does(folder: Path) -> None:
    model = folder / MODEL_FILE
    same(OpenVinoEngine(model, 1, "f32").run(batch()), OnnxEngine(model, 1).run(batch()), 1e-5)


def test_openvino_keeps_a_batch_when_the_next_one_comes(folder: Path) -> None:
    engine = OpenVinoEngine(folder / MODEL_FILE, 1, "f32")
    first = engine.run(batch(2))
    before = first[0].heatmap.copy()
    engine.run(batch(2)[::-1])
    assert np.array_equal(first[0].heatmap, before)


@pytest.mark.skipif(not open_vino.has_bf16(), reason="this processor has no bfloat16")
def test_the_released_model_answers_nearly_the_same_in_bf16_because_of_what_stays_in_float32() -> None:
    released = ClassifierArtifact.load(RELEASED).manifest
    assert released.bf16 is not None
    size, model = released.input.size, RELEASED / MODEL_FILE
    pictures = np.stack([np.asarray(lesion(size, size, seed=seed)) for seed in range(8)])

    def shift(before: Sequence[str]) -> float:
        found = OpenVinoEngine(model, 1, "bf16", before).run(pictures)
        return max(abs(one.logit - other.logit) for one, other in zip(found, exact, strict=True))

    exact = OnnxEngine(model, 1).run(pictures)
    same(OpenVinoEngine(model, 1, "bf16", released.bf16.float32_before).run(pictures), exact, 0.03)
    assert shift(released.bf16.float32_before) < 0.6 * shift(())


def test_what_auto_serves_on_this_processor_answers_as_onnx_runtime_in_float32() -> None:
    """Whatever instruction set it has: bfloat16 where there is one, else float32."""
    released = ClassifierArtifact.load(RELEASED)
    size = released.manifest.input.size
    pixels = np.stack([np.asarray(lesion(size, size, seed=seed)) for seed in range(3)])
    engine = factory.make(Settings(), released, 1)
    assert engine.name.endswith("-bf16" if open_vino.has_bf16() else "-cpu")
    same(engine.run(pixels), OnnxEngine(RELEASED / MODEL_FILE, 1).run(pixels), 0.03)


def test_openvino_never_reports_to_its_maker(folder: Path, tmp_path: Path) -> None:
    """In a process of its own, because it is the import that would report: no process, no address, no file at home."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "PATH": "", "PYTHONPATH": str(Path.cwd())}  # no CI=true, which silences it
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(folder / MODEL_FILE)],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["answered"]
    assert list(home.rglob("*")) == []


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_gpu_that_is_not_used_stops_the_process(folder: Path, device: str) -> None:
    with pytest.raises(ProviderError, match=rf"MELALOG_CLASSIFIER_ENGINE={device}.*onnxruntime-gpu instead of"):
        OnnxEngine(folder / MODEL_FILE, 1, device)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("processor", "measured", "auto", "asked"),
    [
        (True, True, "openvino-.*-bf16", "openvino-.*-bf16"),
        (True, False, "onnxruntime-", "openvino-.*-f32"),
        (False, True, "onnxruntime-", "openvino-.*-f32"),
    ],
)
def test_bf16_is_served_only_where_it_was_measured_and_the_processor_has_it(
    artifact: ClassifierArtifact,
    monkeypatch: pytest.MonkeyPatch,
    processor: bool,
    measured: bool,
    auto: str,
    asked: str,
) -> None:
    monkeypatch.setattr(open_vino, "has_bf16", lambda: processor)
    told = Bfloat16(auc_change=0, interval=(0, 0), largest_change=0, data="", n=1) if measured else None
    artifact = ClassifierArtifact(artifact.folder, artifact.manifest.model_copy(update={"bf16": told}))
    assert re.match(auto, factory.make(Settings(), artifact, 1).name)
    assert re.match(asked, factory.make(Settings(classifier_engine="openvino"), artifact, 1).name)
    assert factory.make(Settings(classifier_engine="onnxruntime"), artifact, 1).name.startswith("onnxruntime-")
    assert factory.make(Settings(classifier_engine="triton"), artifact, 1).name == "triton"


def test_triton_answers_as_the_file_itself(folder: Path) -> None:
    stub = Stub(folder / MODEL_FILE)
    with serving(stub) as port:
        engine = TritonEngine(f"127.0.0.1:{port}", NAME, 5, sha256(folder / MODEL_FILE))
        same(engine.run(batch()), OnnxEngine(folder / MODEL_FILE, 1).run(batch()), 1e-6)
        engine.close()
    assert stub.seen == [3]


@pytest.mark.parametrize(
    ("misbehave", "model", "reason"),
    [
        ("slow", NAME, "timeout"),
        ("refuse", NAME, "refused"),
        ("short", NAME, "wrong_outputs"),
        ("flat", NAME, "wrong_outputs"),
        ("no_logit", NAME, "wrong_outputs"),
        ("other_model", NAME, "wrong_model"),
        ("nan", NAME, "garbage"),
        ("bytes", NAME, "garbage"),
        ("", "another", "no_such_model"),
    ],
)
def test_a_triton_that_misbehaves_is_named_and_not_quoted(
    folder: Path, misbehave: str, model: str, reason: str
) -> None:
    with serving(Stub(folder / MODEL_FILE, misbehave=misbehave)) as port, capture_logs() as logs:
        engine = TritonEngine(f"127.0.0.1:{port}", model, 0.5, sha256(folder / MODEL_FILE))
        with pytest.raises(EngineDown) as caught:
            engine.run(batch())
        engine.close()
    assert caught.value.reason == reason
    assert "patient" not in str(logs) + caught.value.detail


def test_a_dead_triton_is_unreachable_and_is_found_again(artifact: ClassifierArtifact) -> None:
    """The service starts without it, says so, and answers once it is there."""
    stub = Stub(artifact.folder / MODEL_FILE)
    digest = artifact.manifest.files[MODEL_FILE].sha256
    with serving(stub) as port:
        pass
    answering = Classifier(artifact, TritonEngine(f"127.0.0.1:{port}", NAME, 2, digest), decoders=1)
    with capture_logs() as logs:
        answering.warm_up()
    assert answering.ready
    assert {entry["reason"] for entry in logs} == {"unreachable"}

    async def ask() -> float | None:
        finding = await answering.classify(encode(lesion()), Deadline.after(20), with_heatmap=False)
        return finding.melanoma

    with pytest.raises(EngineDown):
        asyncio.run(ask())
    with serving(stub, port):
        found = None
        for _ in range(20):
            try:
                found = asyncio.run(ask())
                break
            except EngineDown:
                asyncio.run(asyncio.sleep(0.25))
    answering.close()
    assert found is not None


def test_a_server_that_is_given_another_model_while_it_runs_is_found_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = Stub(folder / MODEL_FILE)
    with serving(stub) as port:
        engine = TritonEngine(f"127.0.0.1:{port}", NAME, 5, sha256(folder / MODEL_FILE))
        engine.run(batch())
        stub.misbehave = "other_model"
        monkeypatch.setattr(triton, "RECHECK_S", 0.0)
        with pytest.raises(EngineDown) as caught:
            engine.run(batch())
        engine.close()
    assert caught.value.reason == "wrong_model"


@pytest.mark.parametrize(
    ("engine", "served"),
    [("auto", "int8"), ("onnxruntime", "int8"), ("openvino", "int8"), ("cuda", "fp16"), ("triton", "fp32")],
)
def test_each_engine_serves_its_file_with_that_files_thresholds(
    artifact: ClassifierArtifact, engine: str, served: str
) -> None:
    fp32 = artifact.manifest.files[MODEL_FILE]
    files = {MODEL_FILE: fp32}
    for precision in ("int8", "fp16"):
        files[precision] = Variant(sha256=precision, thresholds={}, metrics={}, precision=precision)  # type: ignore[arg-type]
    manifest = artifact.manifest.model_copy(update={"files": files, "default": "int8"})
    found = factory.file(Settings(classifier_engine=engine), ClassifierArtifact(artifact.folder, manifest))  # type: ignore[arg-type]
    assert files[found].precision == served
    answering = Classifier(ClassifierArtifact(artifact.folder, manifest), FakeEngine(), decoders=1, file=found)
    assert answering.model.sha256 == files[found].sha256
    assert answering.variant is files[found]
    answering.close()


@pytest.mark.parametrize("engine", ["cuda", "triton"])
def test_a_service_that_cannot_use_its_engine_ends_with_words(engine: str, tmp_path: Path) -> None:
    (tmp_path / "tritonclient.py").write_text("raise ModuleNotFoundError(name='tritonclient')")
    environment = os.environ | {"MELALOG_CLASSIFIER_ENGINE": engine, "PYTHONPATH": f"{tmp_path}:{Path.cwd()}"}
    done = subprocess.run(
        [sys.executable, "-c", "import services.classifier.service"],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    told = done.stderr.strip().splitlines()[-1]
    assert told.startswith(f"the classifier cannot start: MELALOG_CLASSIFIER_ENGINE={engine} needs ")
    assert "install" in told
    assert "Traceback" not in done.stderr
