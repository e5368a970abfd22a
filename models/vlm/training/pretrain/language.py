"""Second step of the small model: the whole of it learns to answer questions about the image."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import MllamaProcessor

from models.classifier.data.labels import CLASSES
from models.vlm.data.conversation import encode
from models.vlm.training.pretrain.questions import NAMES, WHICH, closed

WHICH_SHARE = 0.25
"""Share of the open question."""
TEACHER_WEIGHT = 1.0


class QuestionSampler:
    """Draws a question for each image and encodes them as a batch."""

    def __init__(self, processor: MllamaProcessor) -> None:
        self.pad = processor.tokenizer.pad_token_id
        self._closed = [(encode(processor, question), positives) for question, positives in closed()]
        self._which = [encode(processor, WHICH, yes=NAMES[name]) for name in CLASSES]
        first = self._closed[0][0]
        self.yes_no = (first.yes[0], first.no[0])

    def draw(self, labels: Tensor, taught: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Labels [N], the teacher's class probabilities [N, C] to a batch.

        `first`: where the answer's first token is predicted, [N]; `soft`: the teacher's probability of Yes, NaN
        for the open question, [N].
        """
        chosen = torch.rand(len(labels), 2, generator=generator)
        other = torch.randint(len(self._closed), (len(labels),), generator=generator)
        prompts, answers, soft = [], [], []
        for label, row, (which, hit), pick in zip(
            labels.tolist(), taught, chosen.tolist(), other.tolist(), strict=True
        ):
            if which < WHICH_SHARE:
                prompts.append(self._which[label].prompt)
                answers.append(self._which[label].yes)
                soft.append(float("nan"))
                continue
            yes = [i for i, (_, positives) in enumerate(self._closed) if label in positives]
            index = yes[pick % len(yes)] if yes and hit < 1 / 2 else pick
            dialogue, positives = self._closed[index]
            prompts.append(dialogue.prompt)
            answers.append(dialogue.yes if label in positives else dialogue.no)
            soft.append(float(row[list(positives)].sum()))
        return {**self._write(prompts, answers), "soft": torch.tensor(soft)}

    def _write(self, prompts: Sequence[tuple[int, ...]], answers: Sequence[tuple[int, ...]]) -> dict[str, Tensor]:
        length = max(len(ids) + len(answer) for ids, answer in zip(prompts, answers, strict=True))
        input_ids = torch.full((len(prompts), length), self.pad)
        labels = torch.full((len(prompts), length), -100)
        for row, (ids, answer) in enumerate(zip(prompts, answers, strict=True)):
            input_ids[row, : len(ids) + len(answer)] = torch.tensor([*ids, *answer])
            labels[row, len(ids) : len(ids) + len(answer)] = torch.tensor(answer)
        first = torch.tensor([len(ids) - 1 for ids in prompts])
        return {
            "input_ids": input_ids,
            "labels": labels,
            "first": first,
            "attention_mask": (input_ids != self.pad).long(),
        }


def logits(model: Any, images: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Next-token logits [N, T, V] for normalised images [N, 3, S, S].

    Every token attends to the image, those before the image token too, as in vLLM (the processor's mask does not).
    """
    ones = torch.ones(len(images), 1, dtype=torch.long)
    next_token_logits: Tensor = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        cross_attention_mask=torch.ones_like(batch["input_ids"])[:, :, None, None],
        pixel_values=images[:, None, None],
        aspect_ratio_ids=ones,
        aspect_ratio_mask=ones[:, :, None],
        use_cache=False,
    ).logits
    return next_token_logits


def loss(model: nn.Module, images: Tensor, batch: dict[str, Tensor], yes_no: tuple[int, int]) -> Tensor:
    """The answers' cross-entropy, and for closed questions that of Yes against No to the teacher's probability."""
    predicted = logits(model, images, batch).float()
    hard = functional.cross_entropy(
        predicted[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100
    )
    at_first = predicted[torch.arange(len(predicted)), batch["first"]]
    difference = at_first[:, yes_no[0]] - at_first[:, yes_no[1]]
    closed_ones = ~batch["soft"].isnan()
    soft = functional.binary_cross_entropy_with_logits(difference[closed_ones], batch["soft"][closed_ones].clamp(0, 1))
    return hard + TEACHER_WEIGHT * soft
