"""Random models of a few megabytes: these tests ask only whether the engine serves the model it was given."""

import warnings
from pathlib import Path
from typing import Any

import peft
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

from export.vlm_layout import write_layout
from models.vlm.data.conversation import messages
from models.vlm.network import small
from services.vlm.core import QUESTION
from tests.pictures import lesion

QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
VIDEO = "<|video_pad|>"
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] in ('image', 'image_url') %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT_TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"


def mllama(folder: Path) -> None:
    """The small model with random weights, loud enough that pictures move its answer; in the engine's layout."""
    torch.manual_seed(0)
    processor = small.processor([QUESTION, "Yes", "No", "user", "assistant"])
    model = small.build(processor.tokenizer).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
    _lean(model, processor)
    folder.mkdir(parents=True)
    write_layout(model, processor, folder, "float32")
    model.save_pretrained(folder.with_name(f"{folder.name}-5"))
    processor.save_pretrained(folder.with_name(f"{folder.name}-5"))


def qwen(folder: Path) -> None:
    """A Qwen2.5-VL, which current vLLM serves with adapters loaded at run time."""
    torch.manual_seed(0)
    tokens = _bytes((*QWEN, VIDEO, "Yes", "No"))
    tokens.chat_template = QWEN_TEMPLATE
    ids = {name: tokens.convert_tokens_to_ids(name) for name in (*QWEN, VIDEO)}
    text = {
        "vocab_size": len(tokens), "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 1024,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [8, 12, 12]},
        "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"],
        "tie_word_embeddings": False,
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "out_hidden_size": 128,
        "fullatt_block_indexes": [1], "window_size": 56, "patch_size": 14, "spatial_merge_size": 2,
    }  # fmt: skip
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids[VIDEO],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )
    model: Any = Qwen2_5_VLForConditionalGeneration(config).eval()
    size = {"shortest_edge": 4 * 28 * 28, "longest_edge": 16 * 28 * 28}
    pictures = Qwen2VLImageProcessor(patch_size=14, merge_size=2, size=size)
    processor = Qwen2VLProcessor(pictures, tokens, Qwen2VLVideoProcessor(size=size), chat_template=QWEN_TEMPLATE)
    _lean(model, processor)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def adapter(base: Path, folder: Path) -> None:
    """A LoRA on the language side that is not nothing."""
    torch.manual_seed(1)
    model: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(base)
    names = r".*language_model.*\.(q_proj|v_proj|o_proj|down_proj)"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)  # peft's
        adapted = peft.get_peft_model(model, peft.LoraConfig(r=8, lora_alpha=32, target_modules=names))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    adapted.save_pretrained(str(folder))


def llama(folder: Path) -> None:
    """A model that reads text only."""
    torch.manual_seed(0)
    tokens = _bytes(("<|endoftext|>", "<|im_end|>", "Yes", "No"))
    tokens.chat_template = TEXT_TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokens), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=1024,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokens.save_pretrained(folder)
    told = folder / "tokenizer_config.json"  # the engine's transformers does not know the new class
    told.write_text(told.read_text().replace("TokenizersBackend", "PreTrainedTokenizerFast"))


def _lean(model: Any, processor: Any) -> None:
    """Make Yes and No nearly all of the distribution whatever the picture.

    Else spellings such as " No" would weigh, and fall out of the 20 tokens that an engine lists.
    """
    text = processor.apply_chat_template(messages(QUESTION), add_generation_prompt=True, tokenize=False)
    inputs = processor(images=[lesion(112, 112)], text=[text], add_special_tokens=False, return_tensors="pt")
    seen: list[torch.Tensor] = []
    hook = model.lm_head.register_forward_pre_hook(lambda _, given: seen.append(given[0][0, -1]))
    with torch.no_grad():
        model(**inputs)
        hook.remove()
        towards = seen[0] / seen[0].norm() ** 2
        for word in ("Yes", "No"):
            token = processor.tokenizer.convert_tokens_to_ids(word)
            model.lm_head.weight[token] = 10 * towards + 0.03 * torch.randn_like(towards)


def _bytes(added: tuple[str, ...]) -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken(token, special=True) for token in added])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=added[0], pad_token=added[0])
