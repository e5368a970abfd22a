"""INT8, fp16 and Triton's repository of the released model, and the rules for shipping a file."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import text_format
from onnx import helper, numpy_helper
from tritonclient.grpc import model_config_pb2
from typer.testing import CliRunner

from cli.main import app
from export import fp16, int8, triton_repository, variants
from models.classifier.evaluation import measurement
from models.classifier.serving.artifact import MODEL_FILE, RELEASED, ClassifierArtifact
from models.common.artifact import ArtifactError
from tests.pictures import lesion

pytestmark = pytest.mark.filterwarnings("ignore")  # onnxruntime's quantiser warns of its own insides


@pytest.fixture(scope="module")
def cache() -> np.ndarray:
    size = ClassifierArtifact.load(RELEASED).manifest.input.size
    return np.stack([np.asarray(lesion(size, size, seed=seed)) for seed in range(8)])


@pytest.fixture
def artifact(tmp_path: Path) -> ClassifierArtifact:
    folder = tmp_path / "artifact"
    shutil.copytree(RELEASED, folder)
    return ClassifierArtifact.load(folder)


def test_int8_keeps_the_contract_and_about_the_answers(
    cache: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "MAX_SHIFT", 10)  # this network would keep all in float
    int8.write(RELEASED / MODEL_FILE, cache, tmp_path / int8.FILE)
    found, reference = measurement.run(tmp_path / int8.FILE, cache), measurement.run(RELEASED / MODEL_FILE, cache)
    assert found.keys() == reference.keys()
    assert found["classes"] == pytest.approx(reference["classes"], abs=0.2)
    assert (tmp_path / int8.FILE).stat().st_size < 0.7 * (RELEASED / MODEL_FILE).stat().st_size


def test_fp16_keeps_types_and_answers(cache: np.ndarray, tmp_path: Path) -> None:
    fp16.write(RELEASED / MODEL_FILE, tmp_path / fp16.FILE)
    session = onnxruntime.InferenceSession(tmp_path / fp16.FILE, providers=["CPUExecutionProvider"])
    assert [tensor.type for tensor in session.get_inputs()] == ["tensor(uint8)"]
    assert {tensor.type for tensor in session.get_outputs()} == {"tensor(float)"}
    found, reference = measurement.run(tmp_path / fp16.FILE, cache), measurement.run(RELEASED / MODEL_FILE, cache)
    assert found["classes"] == pytest.approx(reference["classes"], abs=0.01)


def test_a_variant_is_named_with_its_hash_and_a_failure_leaves_the_artifact_alone(artifact: ClassifierArtifact) -> None:
    entry = {"thresholds": {}, "metrics": {}}
    variants.add(artifact, "model.fp16.onnx", "fp16", lambda path: path.write_bytes(b"graph"), entry)
    added = ClassifierArtifact.load(artifact.folder)
    assert added.manifest.files["model.fp16.onnx"].precision == "fp16"

    def fails(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        variants.add(added, "model.int8.onnx", "int8", fails, entry)
    assert set(ClassifierArtifact.load(artifact.folder).manifest.files) == {MODEL_FILE, "model.fp16.onnx"}
    (artifact.folder / "model.fp16.onnx").write_bytes(b"tampered")
    with pytest.raises(ArtifactError, match=r"model\.fp16\.onnx is not the file that was released"):
        ClassifierArtifact.load(artifact.folder)


def decided(p: list[float], truth: list[int]) -> measurement.Decided:
    groups = [str(index) for index in range(len(p))]
    return measurement.Decided(np.array(truth, float), np.array(p), groups, np.arange(len(p)))


def test_only_what_is_surely_faster_and_no_worse_is_kept() -> None:
    good = variants.VariantComparison(-0.004, (-0.01, 0.01), 1.5, (1.2, 1.7), 0.008, decided([0.1, 0.9], [0, 1]))
    assert good.worth_shipping
    assert not replace(good, auc_change=-0.006).worth_shipping
    assert not replace(good, speed_interval=(0.9, 1.7)).worth_shipping
    assert good.same
    assert not replace(good, difference=0.02).same


def test_a_ratio_is_of_paired_rounds_so_that_a_busy_machine_does_not_show() -> None:
    busy = np.random.default_rng(1).uniform(1, 5, 40)
    value, (low, high) = variants.ratio(2 * busy, busy)
    assert (value, low, high) == pytest.approx((2, 2, 2))
    noise = np.random.default_rng(2).uniform(0.5, 1.5, 40)
    _, (low, high) = variants.ratio(busy * noise, busy)
    assert low < 1 < high


def test_a_variant_is_measured_on_what_it_says_itself() -> None:
    p = [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.35]
    entry = variants.measured(decided(p, [0, 0, 0, 0, 1, 1, 1, 1]), "some fold")
    assert entry["thresholds"]["sensitivity_95"] == {"value": 0.35, "sensitivity": 1.0, "specificity": 0.75}
    figure = entry["metrics"]["held_out_melanoma_auc"]
    assert (figure["value"], figure["data"], figure["n"]) == (15 / 16, "some fold", 8)


def test_a_variant_made_again_or_served_by_default_leaves_an_artifact_that_loads(artifact: ClassifierArtifact) -> None:
    entry = {"thresholds": {}, "metrics": {}}
    variants.add(artifact, "model.int8.onnx", "int8", lambda path: path.write_bytes(b"one"), entry, default=True)
    assert ClassifierArtifact.load(artifact.folder).manifest.default == "model.int8.onnx"

    def killed(path: Path) -> None:
        path.write_bytes(b"two")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        variants.add(artifact, "model.int8.onnx", "int8", killed, entry)
    assert (artifact.folder / "model.int8.onnx").read_bytes() == b"one"
    variants.add(artifact, "model.int8.onnx", "int8", lambda path: path.write_bytes(b"two"), entry)
    again = ClassifierArtifact.load(artifact.folder)
    assert (again.folder / again.manifest.default).read_bytes() == b"two"
    assert not list(artifact.folder.glob("*.unfinished"))


@pytest.mark.parametrize(("device", "kind"), [("cpu", "KIND_CPU"), ("gpu", "KIND_GPU")])
def test_the_triton_repository_is_what_triton_reads(tmp_path: Path, device: str, kind: str) -> None:
    done = CliRunner().invoke(app, ["export", "triton", str(RELEASED), "--out", str(tmp_path), "--device", device])
    assert done.exit_code == 0, done.output
    folder = tmp_path / triton_repository.NAME
    config = text_format.Parse((folder / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    model = folder / "1" / "model.onnx"
    assert model.read_bytes() == (RELEASED / MODEL_FILE).read_bytes()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert (config.name, config.backend, config.max_batch_size) == ("melalog_classifier", "onnxruntime", 8)
    assert [tensor.name for tensor in config.input] == [tensor.name for tensor in session.get_inputs()]
    assert config.input[0].data_type == model_config_pb2.TYPE_UINT8
    answers = session.run(None, {"image": np.zeros((2, *config.input[0].dims), np.uint8)})
    for declared, real, answer in zip(config.output, session.get_outputs(), answers, strict=True):
        assert declared.name == real.name
        assert declared.data_type == model_config_pb2.TYPE_FP32
        # A scalar per image is declared as [1] reshaped to [].
        shape = list(declared.reshape.shape) if declared.HasField("reshape") else list(declared.dims)
        assert shape == list(answer.shape[1:])
    assert config.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.Kind.Value(kind)
    assert config.dynamic_batching.max_queue_delay_microseconds > 0
    assert [warm.batch_size for warm in config.model_warmup] == [1, 8]


def test_a_tampered_artifact_is_not_exported(artifact: ClassifierArtifact, tmp_path: Path) -> None:
    manifest = json.loads((artifact.folder / "manifest.json").read_text())
    manifest["files"][MODEL_FILE]["sha256"] = "0" * 64
    (artifact.folder / "manifest.json").write_text(json.dumps(manifest))
    done = CliRunner().invoke(app, ["export", "triton", str(artifact.folder), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "differs from" in " ".join(done.output.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def refused(folder: Path, data: Path, *options: str) -> str:
    done = CliRunner().invoke(app, ["export", "fp16", str(folder), "--data", str(data), *options])
    assert done.exit_code == 2, done.output
    return " ".join(done.output.replace("│", " ").split())


def test_held_out_pictures_are_those_of_the_artifacts_own_plan_or_nothing_is_made(
    artifact: ClassifierArtifact, tmp_path: Path
) -> None:
    """A plan that cannot be read is named; one that gives other training rows is refused, whoever names it."""
    path = artifact.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"training": {"backbone": "resnet18", "no_such_key": 1}}))
    assert "of another version of Melalog" in refused(artifact.folder, tmp_path)
    lesion(24, 24).save(tmp_path / "a.png")
    rows = "".join(f"a.png,{dx},{dx}{i},train,made\n" for dx in ("mel", "nv") for i in range(16))
    (tmp_path / "table.csv").write_text("path,dx,group,split,source\n" + rows)
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        f"backbone: resnet18\ntable: {tmp_path / 'table.csv'}\ntrain_sources: [made]\ncalibration_source: made\n"
        "calibration_folds: 4\nstages: [{epochs: 1, size: 32}]\nbatch_size: 4\n"
    )
    assert "are not those that" in refused(artifact.folder, tmp_path, "--config", str(plan))
    assert {file.name for file in artifact.folder.iterdir()} == {file.name for file in RELEASED.iterdir()}


def write_network(path: Path) -> None:
    """Four convolutions; the second hands on one channel a thousand times as large as those that the third reads."""
    kernels = {"calm": [1, 1, 1], "wild": [1000, 1, 1], "reader": [0, 1, 1], "last": [1, 1, 1]}
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Div", ["float", "c255"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["x0"], perm=[0, 3, 1, 2]),
        *(helper.make_node("Conv", [f"x{i}", name], [f"x{i + 1}"], name=name) for i, name in enumerate(kernels)),
        helper.make_node("ReduceMean", [f"x{len(kernels)}", "axes"], ["logit"], keepdims=0),
    ]
    weights = [
        numpy_helper.from_array(np.diag(scale).astype(np.float32)[..., None, None], name)
        for name, scale in kernels.items()
    ]
    constants = [
        numpy_helper.from_array(np.array(255, np.float32), "c255"),
        numpy_helper.from_array(np.array([1, 2, 3], np.int64), "axes"),
    ]
    graph = helper.make_graph(
        nodes,
        "wild",
        [helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", 16, 16, 3])],
        [helper.make_tensor_value_info("logit", onnx.TensorProto.FLOAT, ["N"])],
        weights + constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def test_int8_leaves_in_float_what_rounding_would_ruin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "MAX_SHIFT", 0.02)
    write_network(tmp_path / MODEL_FILE)
    shown = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)
    in_float = int8.write(tmp_path / MODEL_FILE, shown, tmp_path / int8.FILE)
    assert {"wild", "reader"} <= set(in_float)
    assert len(in_float) < 4
    found, reference = (measurement.run(tmp_path / name, shown)["logit"] for name in (int8.FILE, MODEL_FILE))
    assert found == pytest.approx(reference, abs=0.02)
    everything = tmp_path / "everything.onnx"
    int8._quantise(tmp_path / MODEL_FILE, shown, everything, [])  # noqa: SLF001
    assert np.abs(measurement.run(everything, shown)["logit"] - reference).max() > 0.1
