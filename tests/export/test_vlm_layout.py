"""A checkpoint for the engine is written in its layout, and whatever is not in it is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import MllamaForConditionalGeneration

from export.vlm_layout import CheckpointLayoutError, check_layout, write_layout
from models.vlm.network import small

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layout") / "merged"
    torch.manual_seed(0)
    processor = small.processor(["Yes", "No"])
    write_layout(small.build(processor.tokenizer), processor, folder, "float16")
    return folder


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "copy"))


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def change(path: Path, how: Change) -> None:
    content = read(path)
    how(content)
    path.write_text(json.dumps(content))


def test_it_is_what_transformers_4_would_have_written(written: Path) -> None:
    config = read(written / "config.json")
    text, vision = config["text_config"], config["vision_config"]
    assert config["torch_dtype"] == text["torch_dtype"] == "float16"
    assert text["rope_theta"] == 500_000
    assert text["rope_scaling"] == {"rope_type": "default"}
    assert vision["intermediate_layers_indices"] == [i + 1 for i in small.vision_config().intermediate_layers_indices]
    assert read(written / "tokenizer_config.json")["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert read(written / "preprocessor_config.json")["size"] == {"height": small.SIDE, "width": small.SIDE}
    assert not (written / "processor_config.json").exists()
    with safe_open(written / "model.safetensors", "pt") as file:
        assert {name.split(".")[0] for name in file.keys()} == {  # noqa: SIM118  (not a dictionary)
            "language_model",
            "vision_model",
            "multi_modal_projector",
        }
        assert file.get_tensor("vision_model.class_embedding").dtype == torch.float16


def test_a_scaled_rope_is_kept(tmp_path: Path) -> None:
    """Left under its new name it would be lost without a word."""
    processor = small.processor(["Yes", "No"])
    config = small.config(processor.tokenizer)
    scaled = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaled["original_max_position_embeddings"] = 8192
    config.text_config.rope_parameters = {"rope_theta": 500_000.0, **scaled}
    write_layout(MllamaForConditionalGeneration(config), processor, tmp_path / "out")
    text = read(tmp_path / "out" / "config.json")["text_config"]
    assert text["rope_scaling"] == scaled
    assert text["rope_theta"] == 500_000


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    processor = small.processor(["Yes", "No"])
    model = small.build(processor.tokenizer)
    model.lm_head.weight.data[0, 0] = 1e6
    with pytest.raises(CheckpointLayoutError, match=r"lm_head.*do not fit into float16: use bfloat16"):
        write_layout(model, processor, tmp_path / "out", "float16")


def test_what_transformers_5_writes_is_refused(tmp_path: Path) -> None:
    processor = small.processor(["Yes", "No"])
    small.build(processor.tokenizer).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    with pytest.raises(
        CheckpointLayoutError, match=r"preprocessor_config.json is missing: processor_config.json is trans"
    ):
        check_layout(tmp_path)
    (tmp_path / "processor_config.json").rename(tmp_path / "preprocessor_config.json")
    with pytest.raises(CheckpointLayoutError) as refused:
        check_layout(tmp_path)
    for named in ("rope_parameters", "torch_dtype", "TokenizersBackend", "written by transformers 5", "rope_scaling"):
        assert named in str(refused.value)


@pytest.mark.parametrize(
    ("file", "how", "named"),
    [
        ("config.json", lambda c: c["vision_config"].update(patch_size=16), "patch_size is 16"),
        ("config.json", lambda c: c["vision_config"].update(image_size=100), "not a multiple of 14"),
        ("config.json", lambda c: c["vision_config"].update(intermediate_layers_indices=[7]), "the last of 8 layers"),
        ("config.json", lambda c: c["vision_config"].update(vision_output_dim=9), "vision_output_dim is 9"),
        ("config.json", lambda c: c.update(model_type="qwen2_vl"), "not a Llama 3.2 Vision"),
        ("config.json", lambda c: c.update(architectures=["Other"]), "architectures"),
        ("config.json", lambda c: c.update(auto_map={"AutoModel": "x.Y"}), "auto_map names code"),
        ("config.json", lambda c: c.update(image_token_index=3), "has id 512, and config.json says 3"),
        (
            "config.json",
            lambda c: c["text_config"].update(vocab_size=500),
            "520 rows where the vocabulary makes it 508",
        ),
        ("config.json", lambda c: c["text_config"].update(rope_scaling=None), "rope_scaling is not a dictionary"),
        ("config.json", lambda c: c.pop("text_config"), "text_config or vision_config is missing"),
        ("preprocessor_config.json", lambda c: c.update(size={"height": 1, "width": 1}), "image_size 112"),
        ("preprocessor_config.json", lambda c: c.update(max_image_tiles=4), "max_num_tiles 1"),
        ("tokenizer.json", lambda c: c["added_tokens"].append({"id": 999, "content": "x"}), "token id 999 is beyond"),
    ],
)
def test_every_deviation_is_named(copy: Path, file: str, how: Change, named: str) -> None:
    change(copy / file, how)
    with pytest.raises(CheckpointLayoutError, match=named):
        check_layout(copy)


@pytest.mark.parametrize("name", ["preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"])
def test_missing_files_are_named_together(copy: Path, name: str) -> None:
    (copy / name).unlink()
    (copy / "model.safetensors").unlink()
    with pytest.raises(CheckpointLayoutError, match=rf"{name} is missing\n.*model.safetensors.index.json is there"):
        check_layout(copy)


def test_files_that_are_not_what_their_names_say(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointLayoutError, match="no such folder"):
        check_layout(tmp_path / "gone")
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointLayoutError, match="no chat template"):
        check_layout(copy)
    (copy / "model.safetensors").write_bytes(b"\x10" + b"\0" * 7 + b"not json at all!")
    with pytest.raises(CheckpointLayoutError, match="not a safetensors file"):
        check_layout(copy)
    (copy / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../away.safetensors"}}')
    with pytest.raises(CheckpointLayoutError, match="no such file next to it"):
        check_layout(copy)
    (copy / "config.json").write_text("[]")
    with pytest.raises(CheckpointLayoutError, match="not a JSON object"):
        check_layout(copy)


def test_an_adapter_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointLayoutError, match="melalog export vlm"):
        check_layout(tmp_path)
