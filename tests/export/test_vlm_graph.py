from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from export import vlm_graph
from models.vlm.data import conversation
from models.vlm.evaluation.predict import answer_logprobs
from models.vlm.network import small
from models.vlm.training.finetune.finetune_config import QUESTION
from models.vlm.training.pretrain.questions import corpus


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, object, list[int], Path]:
    torch.manual_seed(0)
    processor = small.processor(corpus())
    model = small.build(processor.tokenizer).half().float().eval()  # a checkpoint's own rounding
    prompt = list(conversation.encode(processor, QUESTION).prompt)
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    vlm_graph.write(model, processor, prompt, path)
    return model, processor, prompt, path


def test_the_graph_answers_as_transformers_does_from_picture_to_token(
    exported: tuple[object, object, list[int], Path],
) -> None:
    model, processor, prompt, path = exported
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (small.SIDE, small.SIDE, 3)).astype(np.uint8)) for _ in range(5)]
    by_graph = vlm_graph.GraphPredictor(path, processor, prompt)(images)
    by_torch = answer_logprobs(model, processor, images, QUESTION)
    for graph, reference in zip(by_graph, by_torch, strict=True):
        listed = dict(graph)
        spelt = {token: logprob for token, logprob in reference if token in listed}
        assert len(spelt) >= 20
        for token, logprob in spelt.items():
            assert listed[token] == pytest.approx(logprob, abs=2e-3)


def test_the_file_is_half_the_weights(exported: tuple[object, object, list[int], Path]) -> None:
    model, _, _, path = exported
    parameters = sum(p.numel() for p in model.parameters())  # type: ignore[attr-defined]
    assert path.stat().st_size < 2.3 * parameters


def test_a_graph_that_computes_something_else_is_refused(
    exported: tuple[object, object, list[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor, prompt, _ = exported
    whole = vlm_graph.halve

    def spoilt(path: Path) -> None:
        whole(path)
        graph = onnx.load(path)
        weight = max(graph.graph.initializer, key=lambda w: len(w.raw_data))
        weight.raw_data = bytes(len(weight.raw_data))
        onnx.save(graph, path)

    monkeypatch.setattr(vlm_graph, "halve", spoilt)
    with pytest.raises(vlm_graph.GraphError, match="differ from torch"):
        vlm_graph.write(model, processor, prompt, tmp_path / "model.onnx")
