import math

import torch

from models.classifier.data.labels import CLASSES, MELANOMA
from models.vlm.network import small
from models.vlm.training.finetune.finetune_config import QUESTION
from models.vlm.training.pretrain.language import QuestionSampler, loss
from models.vlm.training.pretrain.questions import NAMES, WHICH, closed, corpus

PROCESSOR = small.processor(corpus())
TOKENS = PROCESSOR.tokenizer


def drawn(n: int = 400) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(len(CLASSES), (n,), generator=generator)
    taught = torch.rand(n, len(CLASSES), generator=generator).softmax(1)
    return labels, QuestionSampler(PROCESSOR).draw(labels, taught, generator)


def test_the_served_question_is_left_to_the_adapter() -> None:
    assert QUESTION not in [question for question, _ in closed()]
    assert all(positives != (MELANOMA,) for _, positives in closed())


def test_the_tokenizer_is_lossless_and_knows_both_answers_as_one_token() -> None:
    for text in (QUESTION, WHICH, "Yes", "No", "naïve 不\n\n 12,5 mm"):
        assert TOKENS.decode(TOKENS(text, add_special_tokens=False)["input_ids"]) == text
    for answer in ("Yes", "No", "yes", "no", " Yes", " No"):
        assert len(TOKENS(answer, add_special_tokens=False)["input_ids"]) == 1


def test_only_the_answer_is_learned_and_it_is_true() -> None:
    labels, batch = drawn()
    for label, ids, learned, first in zip(labels, batch["input_ids"], batch["labels"], batch["first"], strict=True):
        text = TOKENS.decode(ids[ids != TOKENS.pad_token_id])
        answer = TOKENS.decode(learned[learned != -100])
        assert text.count(small.BEGIN) == 1
        assert text.count(small.IMAGE) == 1
        assert text.endswith(answer)
        assert answer.endswith(small.TURN_END)
        assert (learned[: int(first) + 1] == -100).all()
        assert learned[int(first) + 1] != -100
        word = answer.removesuffix(small.TURN_END)
        if WHICH in text:
            assert word == NAMES[CLASSES[int(label)]]
        else:
            (positives,) = [positives for question, positives in closed() if question in text]
            assert word == ("Yes" if int(label) in positives else "No")


def test_the_teachers_view_goes_with_closed_questions_only() -> None:
    _, batch = drawn()
    texts = TOKENS.batch_decode(batch["input_ids"])
    for text, soft in zip(texts, batch["soft"].tolist(), strict=True):
        assert math.isnan(soft) == (WHICH in text)
        assert math.isnan(soft) or 0 <= soft <= 1
    closed_answers = [text for text in texts if WHICH not in text]
    share = sum("Yes<|eot_id|>" in text for text in closed_answers) / len(closed_answers)
    assert 0.3 < share < 0.7, "neither answer may be learned by heart"


def test_one_step_lowers_the_loss_on_its_batch() -> None:
    torch.manual_seed(0)
    model = small.build(TOKENS)
    _, batch = drawn(8)
    images = torch.randn(8, 3, small.SIDE, small.SIDE, generator=torch.Generator().manual_seed(0))
    yes_no = QuestionSampler(PROCESSOR).yes_no
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    before = loss(model, images, batch, yes_no)
    before.backward()
    gradients = [name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert any("vision_model" in name for name in gradients), "the image is looked at"
    optimizer.step()
    assert loss(model, images, batch, yes_no) < before
