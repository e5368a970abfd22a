"""From generated images to a served finding: train, calibrate, export, load, classify."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import softmax
from torch import nn

from export import classifier_folder as export
from export import fit_ood, graph
from models.classifier.calibration.class_scores import ScoreCalibration
from models.classifier.data import image_pool, table
from models.classifier.data.labels import CLASSES, MALIGNANT, MELANOMA
from models.classifier.evaluation import measurement, non_lesions
from models.classifier.network.networks import Ensemble, Served, build
from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact
from models.classifier.training.config import TrainConfig
from models.classifier.training.folds import Folds, make_folds
from models.classifier.training.loop import Trainer
from models.classifier.training.scores import raw_scores
from models.common.artifact import ArtifactError
from services.classifier.core import Classifier
from services.classifier.engine.onnx_runtime import OnnxEngine
from services.common.deadline import Deadline
from services.contracts import ClassifyResponse
from tests.models.classifier import tiny
from tests.pictures import encode, lesion

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's exporter warns of its own insides


@dataclass(frozen=True)
class Release:
    folder: Path
    data: Path
    config: TrainConfig
    folds: Folds
    network: nn.Module

    @property
    def artifact(self) -> ClassifierArtifact:
        return ClassifierArtifact.load(self.folder)


def photographs(folder: Path, n: int) -> list[table.Row]:
    """Lesions on another skin, in another light."""
    folder.mkdir(exist_ok=True)
    rows = []
    for i in range(n):
        pixels = np.asarray(lesion(48, 36, seed=900 + i), float) * 0.4 + np.random.default_rng(i).normal(
            60, 25, (36, 48, 3)
        )
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
        rows.append(table.Row(folder / f"{i}.png", CLASSES[i % 2], f"{folder.name}{i}", "train", "pad_ufes_20"))
    return rows


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Trained and exported once; tests must leave it as it is."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small a network is slower on two
    work = tmp_path_factory.mktemp("release")
    data, config = tiny.write_data(work / "data"), tiny.plan()
    folds = make_folds(config, data)
    network = Trainer(config, folds.train, work / "run").run()
    folder = work / "released"
    folder.mkdir()
    (folder / "stale.txt").touch()
    rows = fit_ood.Rows([*folds.train, *photographs(work / "photos", 80)], [*folds.calibration, *photographs(work, 40)])
    written = export.write(folder, network, config, folds, "1.0.0", views=2, ood_rows=rows)
    yield Release(written, data, config, folds, network)
    ClassifierArtifact.load(folder)
    torch.set_num_threads(threads)


def test_the_folder_holds_what_its_manifest_says(release: Release) -> None:
    manifest = release.artifact.manifest
    assert {file.name for file in release.folder.iterdir()} == {"manifest.json", MODEL_FILE}
    assert not list(release.folder.parent.glob("*.unfinished"))
    assert (manifest.name, manifest.version) == ("test_efficientnet", "1.0.0")
    assert (manifest.input.size, manifest.input.geometry) == (40, "squash")
    assert manifest.classes == CLASSES
    labels = [row.label for row in release.folds.calibration]
    assert manifest.calibration.n == len(labels)
    assert manifest.calibration.prevalence == pytest.approx(np.mean([label == MELANOMA for label in labels]))
    assert manifest.calibration.malignant_prevalence == pytest.approx(np.mean([label in MALIGNANT for label in labels]))
    assert manifest.training_data_sha256 == table.digest(release.folds.train)
    thresholds = manifest.files[MODEL_FILE].thresholds
    assert set(thresholds) == {"sensitivity_95", "malignant_sensitivity_95"}
    assert all(threshold.sensitivity >= 0.95 for threshold in thresholds.values())
    assert manifest.views == 2
    assert manifest.conformal is not None
    assert set(manifest.conformal.thresholds) == set(CLASSES)


def test_the_ood_detector_is_measured_on_pictures_it_was_not_fitted_on(release: Release) -> None:
    manifest = release.artifact.manifest
    assert manifest.ood is not None
    assert manifest.modality is not None
    assert manifest.modality.n == len(release.folds.calibration) + 40
    assert manifest.modality.balanced_accuracy > 0.9
    # The edge was set on one half of these few images, and what passes counted on the other.
    assert manifest.ood.pass_rates["held-out dermoscopy"] >= 0.8
    assert manifest.ood.pass_rates["held-out photograph"] >= 0.8
    assert manifest.ood.pass_rates["no lesion: noise"] <= 0.2
    assert sum("no lesion" in name for name in manifest.ood.pass_rates) == len(non_lesions.KINDS)


def test_the_service_tells_photographs_and_what_is_no_lesion(release: Release, tmp_path: Path) -> None:
    findings = [classify(release.artifact, row.path.read_bytes()) for row in release.folds.calibration[:3]]
    assert {found.modality for found in findings} <= {"dermoscopy", None}
    assert {found.in_distribution for found in findings} == {True}
    taken = [classify(release.artifact, row.path.read_bytes()) for row in photographs(tmp_path, 3)]
    assert {found.modality for found in taken} <= {"photograph", None}
    noise = non_lesions.pictures(1)["noise"][0]
    assert classify(release.artifact, encode(noise, "PNG")).in_distribution is False


def test_the_graph_keeps_the_contract(release: Release) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (5, 40, 40, 3), np.uint8)
    found = measurement.run(release.folder / MODEL_FILE, batch)
    assert set(found) == set(Served.OUTPUTS)
    assert found["classes"].shape == (5, 7)
    assert found["classes"].sum(1) == pytest.approx(np.ones(5), abs=1e-5)
    assert found["melanoma"] == pytest.approx(found["classes"][:, MELANOMA], abs=1e-6)
    assert found["malignant"] == pytest.approx(found["classes"][:, list(MALIGNANT)].sum(1), abs=1e-6)
    assert np.all(found["malignant"] >= found["melanoma"])
    p = found["melanoma"].astype(float)
    assert found["logit"] == pytest.approx(np.log(p / (1 - p)), abs=1e-3)
    assert found["heatmap"].ndim == 3
    assert 0 <= found["heatmap"].min() <= found["heatmap"].max() <= 1
    assert found["embedding"].shape[0] == found["ood"].shape[0] == 5


def test_the_graph_computes_what_torch_computes_calibration_included(release: Release) -> None:
    stored = json.loads((release.folder / "manifest.json").read_text())["calibration"]
    served = Served(release.network, ScoreCalibration(stored["temperature"], tuple(stored["bias"])), views=2).eval()
    batch = np.random.default_rng(1).integers(0, 256, (4, 40, 40, 3), np.uint8)
    with torch.inference_mode():
        expected = served(torch.from_numpy(batch))
    found = measurement.run(release.folder / MODEL_FILE, batch)
    for name, tensor in zip(served.outputs, expected, strict=True):
        if name != "ood":  # without the gate it is another
            assert found[name] == pytest.approx(tensor.numpy(), rel=1e-3, abs=1e-4), name


def test_the_graph_scores_a_picture_as_it_was_scored_for_calibration(release: Release) -> None:
    """Two paths from bytes to scores, one in torch for fitting and one in the graph: scaling and order must agree."""
    stored = json.loads((release.folder / "manifest.json").read_text())["calibration"]
    batch = np.random.default_rng(3).integers(0, 256, (4, 40, 40, 3), np.uint8)
    fitted = ScoreCalibration(stored["temperature"], tuple(stored["bias"]))
    views = [raw_scores(release.network, view) for view in (batch, np.ascontiguousarray(batch[:, :, ::-1]))]
    expected = softmax(fitted.apply(np.mean(views, axis=0)), axis=1)
    assert measurement.run(release.folder / MODEL_FILE, batch)["classes"] == pytest.approx(expected, abs=1e-5)


def test_a_picture_alone_or_in_a_batch_gives_the_same(release: Release) -> None:
    batch = np.random.default_rng(2).integers(0, 256, (9, 40, 40, 3), np.uint8)
    together = measurement.run(release.folder / MODEL_FILE, batch)["classes"]
    alone = [measurement.run(release.folder / MODEL_FILE, batch[i : i + 1])["classes"][0] for i in range(9)]
    assert together == pytest.approx(np.array(alone), abs=1e-5)


def classify(artifact: ClassifierArtifact, data: bytes) -> ClassifyResponse:
    answering = Classifier(artifact, OnnxEngine(artifact.folder / MODEL_FILE, 1), decoders=1)
    answering.warm_up()
    try:
        return asyncio.run(answering.classify(data, Deadline.after(30), with_heatmap=True))
    finally:
        answering.close()


def test_the_service_answers_with_it_as_calibration_saw_it(release: Release) -> None:
    """File bytes to probability, on both sides, through everything between."""
    for row in release.folds.calibration[:3]:
        found = classify(release.artifact, row.path.read_bytes())
        expected = measurement.outputs(release.artifact, [row])
        assert found.melanoma == pytest.approx(float(expected["melanoma"][0]), abs=1e-4)
        assert found.malignant == pytest.approx(float(expected["malignant"][0]), abs=1e-4)
        assert found.logit == pytest.approx(float(expected["logit"][0]), abs=1e-3)
        assert found.heatmap


def test_the_service_takes_what_a_phone_sends(release: Release) -> None:
    assert classify(release.artifact, encode(lesion(1200, 900), "HEIF")).status == "ok"


def test_figures_are_measured_on_the_file_and_stored(release: Release, tmp_path: Path) -> None:
    rows = measurement.released_rows(release.data, "ham10000", "test")
    assert {row.split for row in rows} == {"test"}
    found = measurement.outputs(release.artifact, rows)
    figures = measurement.measure(found, rows, measurement.MELANOMA_ENDPOINT, "ham10000 test")
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in release.folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    export.add_metrics(copy, figures)
    stored = ClassifierArtifact.load(copy).manifest.files[MODEL_FILE].metrics
    assert stored["melanoma_auc"].n == len(rows)
    assert stored["melanoma_auc"].data == "ham10000 test"
    assert stored["melanoma_auc"].value == pytest.approx(figures["melanoma_auc"]["value"])
    assert not list(copy.glob("*.unfinished"))


def test_a_split_without_rows_is_named(release: Release) -> None:
    with pytest.raises(ValueError, match="isic2017 has no rows with split = val"):
        measurement.released_rows(release.data, "isic2017", "val")


def test_the_deviation_of_the_logit_is_that_of_turning_the_picture(release: Release) -> None:
    """A network that cannot tell turns has none."""

    class Blind(nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return batch.mean((2, 3)).repeat(1, 3)[:, :7]

    rows = release.folds.calibration
    assert export.calibrate(Blind(), rows, release.config).logit_sd < 1e-4
    assert export.calibrate(release.network, rows, release.config).logit_sd > 1e-4


def test_a_graph_that_computes_something_else_is_not_released(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was released before stays."""
    run = measurement.run

    def drifted(model: Path, cache: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> dict[str, object]:
        return {name: value + 0.01 for name, value in run(model, cache).items()}

    folder = tmp_path / "released"
    folder.mkdir()
    (folder / "before.txt").touch()
    monkeypatch.setattr(measurement, "run", drifted)
    with pytest.raises(export.ParityError, match=r"output melanoma differs from torch by 1\.0e-02"):
        export.write(folder, build("test_efficientnet").eval(), release.config, release.folds, "2")
    assert [file.name for file in folder.iterdir()] == ["before.txt"]


@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_resnet", "test_convnext"])
def test_the_heat_map_is_grad_cam(backbone: str) -> None:
    torch.manual_seed(3)
    batch = np.random.default_rng(4).integers(0, 256, (3, 64, 64, 3), np.uint8)
    graph.check_heatmap(build(backbone).eval(), batch)


def test_a_network_whose_heat_map_would_not_be_grad_cam_is_refused() -> None:
    """MobileNetV3 has a layer between pooling and classifier: the classifier's weights are no gradient there."""
    torch.manual_seed(3)
    batch = np.random.default_rng(4).integers(0, 256, (2, 64, 64, 3), np.uint8)
    other = build("mobilenetv3_small_050").eval()
    with pytest.raises(export.HeatmapError, match="MobileNetV3"):
        graph.check_heatmap(other, batch)


def test_a_head_that_bends_the_scores_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    network: Any = build("test_efficientnet").eval()
    straight = network.forward_head
    bent = lambda features, pre_logits=False: straight(features**3, pre_logits=pre_logits)  # noqa: E731
    monkeypatch.setattr(network, "forward_head", bent)
    batch = np.random.default_rng(4).integers(0, 256, (2, 64, 64, 3), np.uint8)
    with pytest.raises(export.HeatmapError, match="differs from Grad-CAM"):
        graph.check_heatmap(network, batch)


def test_two_networks_that_normalise_each_their_own_way_are_one_graph(tmp_path: Path) -> None:
    torch.manual_seed(5)
    first, second = build("test_efficientnet"), build("test_efficientnet", pad_type="same", normalisation="half")
    both = Ensemble([first, second]).eval()
    fitted = ScoreCalibration(1.3, tuple(np.linspace(-1, 1, 7)), slope=1.2, offset=-0.3)
    batch = np.random.default_rng(6).integers(0, 256, (3, 40, 40, 3), np.uint8)
    export.write_graph(both, fitted, 40, tmp_path / MODEL_FILE, checked=batch)
    found = measurement.run(tmp_path / MODEL_FILE, batch)
    expected = softmax(fitted.apply(raw_scores(both, batch)), axis=1)
    assert found["classes"] == pytest.approx(expected, abs=1e-5)
    single = [raw_scores(one, batch) for one in (first, second)]
    assert raw_scores(both, batch) == pytest.approx(np.mean(single, axis=0), abs=1e-5)
    assert found["embedding"].shape[1] == 2 * first.num_features
    assert "photograph" not in found


def test_another_networks_file_under_this_manifest_is_refused(release: Release, tmp_path: Path) -> None:
    for file in release.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    model = bytearray((tmp_path / MODEL_FILE).read_bytes())
    model[len(model) // 2] ^= 1
    (tmp_path / MODEL_FILE).write_bytes(model)
    with pytest.raises(ArtifactError, match=MODEL_FILE):
        ClassifierArtifact.load(tmp_path)


def test_pictures_are_prepared_as_the_manifest_says(release: Release, tmp_path: Path) -> None:
    Image.new("RGB", (90, 60), (10, 20, 30)).save(tmp_path / "a.png")
    geometry = release.artifact.manifest.input
    row = table.Row(tmp_path / "a.png", "akiec", "g", "train", "s")
    assert image_pool.load([row], geometry.size, geometry.geometry, geometry.resample).shape == (1, 40, 40, 3)
