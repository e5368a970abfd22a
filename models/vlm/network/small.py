"""The small Llama 3.2 Vision: the same classes and processor as the 11B model, at a ten-thousandth of its size."""

from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    MllamaConfig,
    MllamaForConditionalGeneration,
    MllamaImageProcessor,
    MllamaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.mllama.configuration_mllama import MllamaTextConfig, MllamaVisionConfig

PATCH = 14
"""vLLM counts image tokens with this number, whatever the configuration says."""
SIDE = 8 * PATCH
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Llama 3.2 Vision's (and CLIP's); the processor class has another default."""
VISION_WIDTH, TEXT_WIDTH = 192, 128
SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|finetune_right_pad_id|>",
    "<|python_tag|>",
)
BEGIN, END, TURN_END, PAD = SPECIAL[0], SPECIAL[1], SPECIAL[4], SPECIAL[5]
IMAGE = "<|image|>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|image|>{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
"""Llama 3.2's, without tools and dates."""


def tokenizer(texts: list[str], vocabulary: int = 512) -> PreTrainedTokenizerFast:
    """A byte-level BPE of Llama 3's kind, trained on the few sentences this model reads.

    The image token gets the first id after the vocabulary, as in Llama 3.2 Vision: it has an embedding, never a logit.
    """
    bpe = Tokenizer(models.BPE())
    split = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+"
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(SPECIAL), initial_alphabet=alphabet, min_frequency=1, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    filler = [f"<|reserved_{n}|>" for n in range(vocabulary - len(SPECIAL) - bpe.get_vocab_size())]
    bpe.add_special_tokens([AddedToken(token, special=True) for token in (*filler, *SPECIAL, IMAGE)])
    assert bpe.token_to_id(IMAGE) == vocabulary  # noqa: S101
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BEGIN,
        eos_token=TURN_END,
        pad_token=PAD,
        padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def processor(texts: list[str]) -> MllamaProcessor:
    """Llama 3.2 Vision's own processor for images of one tile."""
    side = {"height": SIDE, "width": SIDE}
    image_processor = MllamaImageProcessor(size=side, max_image_tiles=1, image_mean=list(MEAN), image_std=list(STD))
    return MllamaProcessor(image_processor, tokenizer(texts), chat_template=CHAT_TEMPLATE)


def vision_config() -> MllamaVisionConfig:
    """Eight local layers and a global one over 65 patches of one tile."""
    return MllamaVisionConfig(
        hidden_size=VISION_WIDTH,
        intermediate_size=4 * VISION_WIDTH,
        num_hidden_layers=8,
        num_global_layers=1,
        attention_heads=3,
        image_size=SIDE,
        patch_size=PATCH,
        max_num_tiles=1,
        supported_aspect_ratios=[[1, 1]],
        intermediate_layers_indices=[3],  # never the last: vLLM refuses that
        vision_output_dim=2 * VISION_WIDTH,
    )


def config(tokens: PreTrainedTokenizerFast) -> MllamaConfig:
    """Four text layers, two of which attend to the image."""
    image: Any = tokens.convert_tokens_to_ids(IMAGE)
    text = MllamaTextConfig(
        vocab_size=image,
        hidden_size=TEXT_WIDTH,
        intermediate_size=3 * TEXT_WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        cross_attention_layers=[1, 3],
        max_position_embeddings=512,
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
    )
    return MllamaConfig(vision_config=vision_config(), text_config=text, image_token_index=image)


def build(tokens: PreTrainedTokenizerFast, attention: str = "sdpa") -> Any:
    """MllamaForConditionalGeneration with random weights.

    The cross-attention gates start open: closed ones keep a small model from using the image.
    """
    chosen = config(tokens)
    chosen._attn_implementation = attention  # noqa: SLF001
    model: Any = MllamaForConditionalGeneration(chosen)
    for name, parameter in model.named_parameters():
        if name.endswith(("cross_attn_attn_gate", "cross_attn_mlp_gate")):
            parameter.data.fill_(1.0)
    return model
