"""A Llama of a few hundred thousand weights that has learned one answer to one case by heart."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from fusion.briefing import Briefing
from fusion.prompt import messages
from models.vlm.network import small

CONTEXT = 4096
STEPS, ENOUGH = 400, 0.02


def llama(folder: Path, briefing: Briefing, answer: dict[str, Any]) -> None:
    """Write a checkpoint and its tokenizer as engines read them."""
    chat, said = messages(briefing), json.dumps(answer)
    tokens = small.tokenizer([*(message["content"] for message in chat), said, "system user assistant"], 1024)
    tokens.chat_template = small.CHAT_TEMPLATE
    asked: str = tokens.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)  # type: ignore[assignment]
    prompt = tokens(asked, add_special_tokens=False)["input_ids"]
    target = tokens(said + small.TURN_END, add_special_tokens=False)["input_ids"]
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokens), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, max_position_embeddings=CONTEXT, tie_word_embeddings=False,
            bos_token_id=tokens.bos_token_id, eos_token_id=tokens.eos_token_id, pad_token_id=tokens.pad_token_id,
        )
    )  # fmt: skip
    _learn(model, torch.tensor([[*prompt, *target]]), len(prompt))
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    told = folder / "tokenizer_config.json"  # the engine's transformers does not know the new class
    told.write_text(told.read_text().replace("TokenizersBackend", "PreTrainedTokenizerFast"))


def _learn(model: Any, ids: torch.Tensor, asked: int) -> None:
    """Until it says the answer, and nothing else, to this prompt."""
    labels = ids.clone()
    labels[:, :asked] = -100
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(STEPS):
        loss = model(input_ids=ids, labels=labels).loss
        if loss.item() < ENOUGH:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    raise AssertionError(f"it has not learned its answer: loss {loss.item():.2f}")
