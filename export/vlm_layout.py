"""The Llama 3.2 Vision checkpoint layout that vLLM 0.10.2 and transformers 4.5x read.

transformers 5 writes other names and another meaning of one number, and older readers do not complain: a scaled rope
is lost, and the vision features come from other layers. So the layout is checked when written and before serving.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import MllamaForConditionalGeneration, MllamaProcessor

PATCH = 14
"""vLLM counts image tokens with this number, whatever the configuration says."""
EXTRA_EMBEDDINGS = 8
"""Rows that the input embedding has beyond the vocabulary; the image token is the first of them."""
STYLE = "4.53.3"
"""The transformers version of this layout; written into the configuration, where the check reads it."""
ARCHITECTURE = "MllamaForConditionalGeneration"
IMAGE = "<|image|>"
NEEDED = ("config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json")
TEMPLATES = ("chat_template.jinja", "chat_template.json")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PREFIXES = ("language_model.model.", "language_model.lm_head.", "vision_model.", "multi_modal_projector.")
EMBEDDING, HEAD = "language_model.model.embed_tokens.weight", "language_model.lm_head.weight"
_MAX_HEADER = 100_000_000


class CheckpointLayoutError(ValueError):
    """The engine would not load this folder, or would misread it. The message lists every reason."""


def write_layout(
    model: "MllamaForConditionalGeneration", processor: "MllamaProcessor", folder: Path, dtype: str = "float16"
) -> None:
    """Save both in the layout of transformers 4.5x, and check it. Raises CheckpointLayoutError."""
    import torch  # noqa: PLC0415  (checking a folder needs no torch)

    cast = getattr(torch, dtype)
    weights = {name: v.to(cast) if v.is_floating_point() else v for name, v in model.state_dict().items()}
    if lost := [name for name, value in weights.items() if not value.isfinite().all()]:
        raise CheckpointLayoutError(f"{lost[0]} and {len(lost) - 1} more weights do not fit into {dtype}: use bfloat16")
    model.save_pretrained(folder, state_dict=weights)
    processor.save_pretrained(folder)
    # The values in use, which may differ from the configuration.
    taken = [int(i) for i in model.model.vision_model.intermediate_layers_indices]
    _rewrite(folder / "config.json", lambda config: _old_config(config, dtype, taken))
    _rewrite(folder / "tokenizer_config.json", _old_tokenizer)
    if (folder / "generation_config.json").is_file():
        _rewrite(folder / "generation_config.json", lambda config: {**config, "transformers_version": STYLE})
    image_processor = _read(folder / "processor_config.json")["image_processor"]
    _write(folder / "preprocessor_config.json", {**image_processor, "processor_class": "MllamaProcessor"})
    (folder / "processor_config.json").unlink()
    check_layout(folder)


def check_layout(folder: Path) -> None:
    """Check names, shapes and settings, without torch. Raises CheckpointLayoutError listing every deviation."""
    wrong = list(_missing(folder)) or list(_deviations(folder))
    if wrong:
        raise CheckpointLayoutError("\n  ".join([f"{folder} is not laid out for the engine:", *wrong]))


def _old_config(config: dict[str, Any], dtype: str, taken: list[int]) -> dict[str, Any]:
    parts = {name: dict(config[name]) for name in ("text_config", "vision_config")}
    for part in (*parts.values(), config):
        part.pop("dtype", None)
        part["torch_dtype"] = dtype
    rope = dict(parts["text_config"].pop("rope_parameters"))
    parts["text_config"]["rope_theta"] = rope.pop("rope_theta")
    parts["text_config"]["rope_scaling"] = rope  # a dictionary even without scaling: 4.53 cannot read null
    # [i] is the output of layer i in transformers 5, its input for vLLM, transformers 4 and Meta.
    parts["vision_config"]["intermediate_layers_indices"] = [i + 1 for i in taken]
    return {**config, **parts, "transformers_version": STYLE}


def _old_tokenizer(config: dict[str, Any]) -> dict[str, Any]:
    config = {key: value for key, value in config.items() if key != "backend"}
    return {**config, "tokenizer_class": "PreTrainedTokenizerFast"}


def _rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    _write(path, change(_read(path)))


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise CheckpointLayoutError(f"{path} is not a JSON object")
    return content


def _missing(folder: Path) -> Iterator[str]:
    if not folder.is_dir():
        yield "there is no such folder"
        return
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        yield "this is an adapter: merge it into its base first (`melalog export vlm`)"
        return
    if (folder / "config.json").is_file() and _read(folder / "config.json").get("model_type") != "mllama":
        yield "config.json: this is not a Llama 3.2 Vision (model_type is not mllama)"
        return
    for name in NEEDED:
        if not (folder / name).is_file():
            newer = name == "preprocessor_config.json" and (folder / "processor_config.json").is_file()
            yield f"{name} is missing" + (": processor_config.json is transformers 5's" if newer else "")
    if not (folder / WEIGHTS).is_file() and not (folder / INDEX).is_file():
        yield f"neither {WEIGHTS} nor {INDEX} is there"


def _deviations(folder: Path) -> Iterator[str]:
    config, tokenizer = _read(folder / "config.json"), _read(folder / "tokenizer_config.json")
    yield from _names(config, tokenizer)
    if not any((folder / name).is_file() for name in TEMPLATES) and not tokenizer.get("chat_template"):
        yield f"there is no chat template ({TEMPLATES[0]})"
    text, vision = config.get("text_config"), config.get("vision_config")
    if not isinstance(text, dict) or not isinstance(vision, dict):
        yield "config.json: text_config or vision_config is missing"
        return
    yield from _vision(vision, _read(folder / "preprocessor_config.json"))
    yield from _tokens(config, text, _read(folder / "tokenizer.json"))
    yield from _weights(folder, text)


def _names(config: dict[str, Any], tokenizer: dict[str, Any]) -> Iterator[str]:
    if "auto_map" in config or "auto_map" in tokenizer:
        yield "auto_map names code, which vLLM 0.10.2 runs whatever trust_remote_code says"
    if ARCHITECTURE not in config.get("architectures", ()):
        yield f"config.json: architectures does not name {ARCHITECTURE}"
    parts = {"": config, "text_config.": config.get("text_config"), "vision_config.": config.get("vision_config")}
    for where, part in parts.items():
        for old, new in (("torch_dtype", "dtype"), ("rope_theta and rope_scaling", "rope_parameters")):
            if isinstance(part, dict) and new in part:
                yield f"config.json: {where}{new} is transformers 5's name; the engine reads {old}"
    if not str(config.get("transformers_version", "4")).startswith("4"):
        yield "config.json: written by transformers 5, where intermediate_layers_indices counts from another layer"
    if str(tokenizer.get("tokenizer_class", "")).startswith("TokenizersBackend"):
        yield "tokenizer_config.json: tokenizer_class TokenizersBackend is transformers 5's"


def _vision(vision: dict[str, Any], image_processor: dict[str, Any]) -> Iterator[str]:
    side, layers = vision.get("image_size", 448), vision.get("num_hidden_layers", 32)
    taken = vision.get("intermediate_layers_indices", [3, 7, 15, 23, 30])
    if (patch := vision.get("patch_size", PATCH)) != PATCH:
        yield f"config.json: patch_size is {patch}; the engine counts with {PATCH}"
    if side % PATCH:
        yield f"config.json: image_size is {side}, not a multiple of {PATCH}"
    if not all(0 <= i < layers - 1 for i in taken):
        yield f"config.json: intermediate_layers_indices {taken}: the engine cannot give the last of {layers} layers"
    if (width := vision.get("vision_output_dim")) != (expected := vision.get("hidden_size", 1280) * (1 + len(taken))):
        yield f"config.json: vision_output_dim is {width}; {len(taken)} intermediate layers make it {expected}"
    if image_processor.get("size") != {"height": side, "width": side}:
        yield f"preprocessor_config.json: size is {image_processor.get('size')}, and the model's image_size {side}"
    if (tiles := image_processor.get("max_image_tiles")) != (most := vision.get("max_num_tiles", 4)):
        yield f"preprocessor_config.json: max_image_tiles is {tiles}, and the model's max_num_tiles {most}"


def _tokens(config: dict[str, Any], text: dict[str, Any], tokenizer: dict[str, Any]) -> Iterator[str]:
    if not isinstance(text.get("rope_scaling"), dict):
        yield "config.json: text_config.rope_scaling is not a dictionary; transformers 4.5x cannot read it"
    vocabulary = int(text.get("vocab_size", 0))
    ids = {**tokenizer.get("model", {}).get("vocab", {})}
    ids |= {added["content"]: added["id"] for added in tokenizer.get("added_tokens", [])}
    if (image := ids.get(IMAGE)) is None or image != config.get("image_token_index"):
        yield f"tokenizer.json: {IMAGE} has id {image}, and config.json says {config.get('image_token_index')}"
    if (most := max(ids.values(), default=0)) >= vocabulary + EXTRA_EMBEDDINGS:
        yield f"tokenizer.json: token id {most} is beyond the model's {vocabulary} + {EXTRA_EMBEDDINGS} embeddings"


def _weights(folder: Path, text: dict[str, Any]) -> Iterator[str]:
    names: list[str] = [WEIGHTS]
    if (folder / INDEX).is_file():
        names = sorted(set(_read(folder / INDEX).get("weight_map", {}).values()))
    shapes: dict[str, list[int]] = {}
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            yield f"{INDEX} names {name}, and there is no such file next to it"
            continue
        shapes |= _shapes(folder / name)
    if unknown := [name for name in shapes if not name.startswith(PREFIXES)]:
        yield f"{unknown[0]} and {len(unknown) - 1} more weights have names the engine does not know"
    rows = {EMBEDDING: int(text.get("vocab_size", 0)) + EXTRA_EMBEDDINGS, HEAD: int(text.get("vocab_size", 0))}
    for name, expected in rows.items():
        if (count := shapes.get(name, [0])[0]) != expected:
            yield f"{name} has {count} rows where the vocabulary makes it {expected}"


def _shapes(path: Path) -> dict[str, list[int]]:
    """Names and shapes in a safetensors file: eight bytes of length, then JSON."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header: dict[str, Any] = json.loads(file.read(min(length, _MAX_HEADER)))
            return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CheckpointLayoutError(f"{path} is not a safetensors file") from None
