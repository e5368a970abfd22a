"""What is learned from and what is read are the processor's own tensors and the model's raw distribution."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.vlm.data import conversation, tensors
from models.vlm.evaluation import predict
from models.vlm.serving.scoring import score
from models.vlm.training.finetune.finetune_config import QUESTION
from tests.models.vlm import tiny

SHOWN = np.random.default_rng(0).integers(0, 256, (5, tiny.SIDE, tiny.SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny.model()


def test_a_batch_is_what_the_processor_makes_of_the_same_text() -> None:
    processor = tiny.processor()
    talk = conversation.encode(processor, QUESTION)
    ours = tensors.collate(processor, SHOWN, [talk.prompt] * 5, [talk.yes] * 5)
    text = processor.apply_chat_template(conversation.messages(QUESTION, "Yes"), tokenize=False)
    images = [[Image.fromarray(image)] for image in SHOWN]
    theirs = processor(images=images, text=[text] * 5, add_special_tokens=False, return_tensors="pt")
    assert set(ours) - {"labels"} == set(theirs)
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype
        assert ours[name].shape == tensor.shape
        if name != "cross_attention_mask":
            assert torch.equal(ours[name], tensor), name
    # The one thing done otherwise: as in vLLM, tokens before the image's see it too.
    place = talk.prompt.index(processor.image_token_id)
    assert torch.equal(ours["cross_attention_mask"][:, place:], theirs["cross_attention_mask"][:, place:])
    assert ours["cross_attention_mask"].all()


def test_only_the_answer_is_learned_and_padding_is_on_the_right() -> None:
    processor = tiny.processor()
    talk = conversation.encode(processor, QUESTION)
    long = (*talk.no, *talk.no)
    batch = tensors.collate(processor, SHOWN[:2], [talk.prompt] * 2, [talk.yes, long])
    n = len(talk.prompt)
    assert batch["labels"][0].tolist() == [-100] * n + [*talk.yes, -100, -100]
    assert batch["labels"][1].tolist() == [-100] * n + [*long]
    assert batch["input_ids"][0, -2:].tolist() == [processor.tokenizer.pad_token_id] * 2
    assert batch["attention_mask"][0].tolist() == [1] * (n + 2) + [0, 0]


def test_logprobs_are_the_raw_softmax_of_the_last_prompt_position(model: Any) -> None:
    processor = tiny.processor()
    found = predict.answer_logprobs(model, processor, SHOWN, QUESTION, batch_size=2)
    talk = conversation.encode(processor, QUESTION)
    batch = tensors.collate(processor, SHOWN, [talk.prompt] * 5, [()] * 5)
    del batch["labels"]
    with torch.inference_mode():
        expected = model(**batch).logits[:, -1].log_softmax(-1)
    vocabulary = processor.tokenizer.get_vocab()
    yes, no = ([i for t, i in vocabulary.items() if t.strip("\u0120").lower() == word] for word in ("yes", "no"))
    assert len(yes) > 1  # with and without a space before it
    for row, listed in zip(expected, found, strict=True):
        assert len(listed) >= predict.TOP
        assert score(listed).logprob_yes == pytest.approx(float(row[yes].logsumexp(0)), abs=1e-5)
        assert score(listed).logprob_no == pytest.approx(float(row[no].logsumexp(0)), abs=1e-5)
        assert max(p for _, p in listed) == pytest.approx(float(row.max()), abs=1e-5)


def test_pictures_may_come_one_by_one(model: Any) -> None:
    processor = tiny.processor()
    whole = predict.answer_logprobs(model, processor, SHOWN, QUESTION)
    single = predict.answer_logprobs(model, processor, [Image.fromarray(p) for p in SHOWN], QUESTION, batch_size=1)
    assert np.allclose(predict.log_odds(whole), predict.log_odds(single), atol=1e-5)


def test_log_odds_keep_the_order_where_p_yes_is_one() -> None:
    sure, surer = [("Yes", -1e-12), ("No", -40.0)], [("Yes", 0.0), ("No", -50.0)]
    assert score(sure).p_yes == score(surer).p_yes == 1.0
    assert predict.log_odds([surer, sure]).tolist() == pytest.approx([50, 40])


def test_an_answer_in_pieces_is_told_by_its_first(model: Any) -> None:
    talk = conversation.Conversation((1,), (70, 71), (80, 81))
    names = predict._spellings(tiny.processor(), talk)  # noqa: SLF001
    assert names[70] == "Yes"
    assert names[80] == "No"
