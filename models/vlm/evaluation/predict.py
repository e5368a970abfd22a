"""Raw next-token logprobs of the first answer position, for evaluation, calibration and export parity."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.vlm.data import conversation
from models.vlm.data.tensors import Pictures, collate
from models.vlm.serving.scoring import LEAST_LOGPROB, score

TOP = 20
"""As many of the likeliest tokens as an engine returns."""

Logprobs = list[tuple[str, float]]
"""(token, raw logprob) pairs: what models.vlm.serving.scoring.score takes."""


def answer_logprobs(
    model: Any, processor: Any, pictures: Pictures, question: str, batch_size: int = 32
) -> list[Logprobs]:
    """Ask `question` about every prepared picture: a sequence of RGB pictures, or uint8 [N, H, W, 3].

    For each, the likeliest tokens and *every* spelling of Yes and No, from the untouched softmax over the whole
    vocabulary at the last prompt position. Raises TokenizerError.
    """
    talk = conversation.encode(processor, question)
    names = _spellings(processor, talk)
    spelt = torch.tensor(sorted(names))
    found: list[Logprobs] = []
    device = next(model.parameters()).device
    model.eval()
    for start in range(0, len(pictures), batch_size):
        part = pictures[start : start + batch_size]
        batch = collate(processor, part, [talk.prompt] * len(part), [()] * len(part))
        del batch["labels"]
        with torch.no_grad():  # not inference_mode: FSDP shards cannot take part in that
            inputs = {name: tensor.to(device) for name, tensor in batch.items()}
            logits = model(**inputs, logits_to_keep=1, use_cache=False).logits[:, -1].float().cpu()
        logprobs = logits.log_softmax(-1)
        likeliest = logprobs.topk(min(TOP, logprobs.shape[-1])).indices
        for row, top in zip(logprobs, likeliest, strict=True):
            ids = sorted({*top.tolist(), *spelt.tolist()})
            tokens = processor.tokenizer.convert_ids_to_tokens(ids)
            texts = [names.get(i, token) for i, token in zip(ids, tokens, strict=True)]
            found.append(list(zip(texts, row[ids].tolist(), strict=True)))
    return found


def _spellings(processor: Any, talk: conversation.Conversation) -> dict[int, str]:
    """Ids of Yes and No in every case, with and without a space, and what scoring is to read them as.

    Where a tokenizer cuts an answer in pieces, its first piece stands for it.
    """
    vocabulary: dict[str, int] = processor.tokenizer.get_vocab()
    known = {i: token for token, i in vocabulary.items() if token.strip(" \u0120\u2581").casefold() in ("yes", "no")}
    return {talk.yes[0]: "Yes", talk.no[0]: "No"} | known


def log_odds(found: Sequence[Logprobs]) -> NDArray[np.float64]:
    """Log-odds of Yes against No of each picture [N], by the scoring that serves: what AUC and calibration take.

    Not `p_yes`: near 0 and 1 that one loses the order in rounding. Raises UnusableDistribution.
    """
    verdicts = [score(one) for one in found]
    pairs = np.array([(v.logprob_yes, v.logprob_no) for v in verdicts], dtype=np.float64)  # None becomes NaN
    pairs = np.nan_to_num(pairs, nan=LEAST_LOGPROB)
    return pairs[:, 0] - pairs[:, 1]
