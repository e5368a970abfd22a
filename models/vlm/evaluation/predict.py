"""Raw next-token logprobs of the first answer position, for evaluation, calibration and export parity."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.vlm.data import conversation
from models.vlm.data.tensors import ImageBatch, collate
from models.vlm.serving.scoring import LEAST_LOGPROB, score

TOP = 20
"""Number of likeliest tokens, as an engine returns."""

Logprobs = list[tuple[str, float]]
"""(token, raw logprob) pairs: what models.vlm.serving.scoring.score takes."""


def answer_logprobs(
    model: Any, processor: Any, images: ImageBatch, question: str, batch_size: int = 32
) -> list[Logprobs]:
    """Predict the answer to `question` for every prepared image: a sequence of RGB images, or uint8 [N, H, W, 3].

    For each, the likeliest tokens and *every* spelling of Yes and No, from the untouched softmax over the whole
    vocabulary at the last prompt position. Raises TokenizerError.
    """
    dialogue = conversation.encode(processor, question)
    names = _spellings(processor, dialogue)
    answer_ids = torch.tensor(sorted(names))
    predictions: list[Logprobs] = []
    device = next(model.parameters()).device
    model.eval()
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size]
        batch = collate(processor, part, [dialogue.prompt] * len(part), [()] * len(part))
        del batch["labels"]
        with torch.no_grad():  # not inference_mode, which FSDP shards do not support
            inputs = {name: tensor.to(device) for name, tensor in batch.items()}
            logits = model(**inputs, logits_to_keep=1, use_cache=False).logits[:, -1].float().cpu()
        logprobs = logits.log_softmax(-1)
        likeliest = logprobs.topk(min(TOP, logprobs.shape[-1])).indices
        for row, top in zip(logprobs, likeliest, strict=True):
            ids = sorted({*top.tolist(), *answer_ids.tolist()})
            tokens = processor.tokenizer.convert_ids_to_tokens(ids)
            texts = [names.get(i, token) for i, token in zip(ids, tokens, strict=True)]
            predictions.append(list(zip(texts, row[ids].tolist(), strict=True)))
    return predictions


def _spellings(processor: Any, dialogue: conversation.Conversation) -> dict[int, str]:
    """Ids of Yes and No in every case, with and without a space, and their spelling for scoring.

    When a tokenizer splits an answer, its first token counts.
    """
    vocabulary: dict[str, int] = processor.tokenizer.get_vocab()
    spellings = {
        i: token for token, i in vocabulary.items() if token.strip(" \u0120\u2581").casefold() in ("yes", "no")
    }
    return {dialogue.yes[0]: "Yes", dialogue.no[0]: "No"} | spellings


def log_odds(predictions: Sequence[Logprobs]) -> NDArray[np.float64]:
    """Log-odds of Yes against No of each image [N], by the scoring used in serving, for AUC and calibration.

    Not `p_yes`, whose rounding near 0 and 1 loses the order. Raises UnusableDistribution.
    """
    verdicts = [score(one) for one in predictions]
    pairs = np.array([(v.logprob_yes, v.logprob_no) for v in verdicts], dtype=np.float64)  # None becomes NaN
    pairs = np.nan_to_num(pairs, nan=LEAST_LOGPROB)
    return pairs[:, 0] - pairs[:, 1]
