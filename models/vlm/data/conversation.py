"""One question and its two answers as token ids, by the model's own chat template."""

from dataclasses import dataclass
from typing import Any

from models.vlm.vlm_errors import TokenizerError


@dataclass(frozen=True)
class Conversation:
    """Ids of the prompt, up to where the answer begins, and of each answer with its end-of-turn."""

    prompt: tuple[int, ...]
    yes: tuple[int, ...]
    no: tuple[int, ...]


def messages(question: str, answer: str | None = None) -> list[dict[str, Any]]:
    """The conversation as chat templates take it: image first, as Llama 3.2 Vision was trained."""
    user: dict[str, Any] = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}
    if answer is None:
        return [user]
    return [user, {"role": "assistant", "content": [{"type": "text", "text": answer}]}]


def encode(processor: Any, question: str, yes: str = "Yes", no: str = "No") -> Conversation:
    """Tokenise the prompt and both conversations, and find the answers in them.

    Raises TokenizerError when the template is missing, doubles the first token, takes no image, or when the
    answers cannot be found or begin with the same token.
    """
    prompt = _ids(processor, messages(question), add_generation_prompt=True)
    bos = processor.tokenizer.bos_token_id
    if bos is not None and prompt.count(bos) > 1:
        raise TokenizerError("the chat template writes the first token twice: use the base model's own processor")
    if prompt.count(processor.image_token_id) != 1:
        raise TokenizerError("the chat template has no place for one image: use an instruction-tuned vision base")
    spans = []
    for answer in (yes, no):
        whole = _ids(processor, messages(question, answer), add_generation_prompt=False)
        if whole[: len(prompt)] != prompt or len(whole) == len(prompt):
            raise TokenizerError(
                f"the prompt is not the beginning of the conversation with {answer!r}: this tokenizer or chat "
                "template is not the base model's own"
            )
        spans.append(whole[len(prompt) :])
    if spans[0][0] == spans[1][0]:
        raise TokenizerError(f"{yes!r} and {no!r} begin with the same token: no engine can distinguish them")
    return Conversation(prompt, *spans)


def _ids(processor: Any, conversation: list[dict[str, Any]], *, add_generation_prompt: bool) -> tuple[int, ...]:
    if not processor.chat_template and not processor.tokenizer.chat_template:
        raise TokenizerError("the processor has no chat template: use an instruction-tuned base, or copy its template")
    text = processor.apply_chat_template(conversation, add_generation_prompt=add_generation_prompt, tokenize=False)
    # The template has written the first token already.
    return tuple(processor.tokenizer(text, add_special_tokens=False)["input_ids"])


def check_tokenizer(processor: Any, config: Any) -> None:
    """Raise TokenizerError unless the processor's token ids fit this model configuration."""
    size, vocabulary = len(processor.tokenizer), config.text_config.vocab_size
    image = config.image_token_index
    # Llama 3.2 Vision has one token more than logits: the image's, with an embedding and never an answer.
    if processor.image_token_id != image or not vocabulary // 2 < size <= vocabulary + 8:
        raise TokenizerError(
            f"the tokenizer has {size} tokens with the image's at {processor.image_token_id}; the model has "
            f"{vocabulary} with it at {image}: use the tokenizer that belongs to this base"
        )
