"""The question and its answers in token ids: the answer is found, and nothing is guessed."""

import copy
from typing import Any

import pytest

from models.vlm.data import conversation
from models.vlm.network import small
from models.vlm.training.finetune.finetune_config import QUESTION
from models.vlm.vlm_errors import TokenizerError
from tests.models.vlm import tiny


@pytest.fixture
def processor() -> Any:
    """A copy that a test may spoil."""
    return copy.deepcopy(tiny.processor())


def test_the_answer_is_one_token_and_the_end_of_turn(processor: Any) -> None:
    talk = conversation.encode(processor, QUESTION)
    ids = processor.tokenizer.convert_tokens_to_ids
    end = ids(small.TURN_END)
    assert talk.yes == (ids("Yes"), end)
    assert talk.no == (ids("No"), end)


def test_the_first_token_is_there_once_and_the_picture_before_the_question(processor: Any) -> None:
    talk = conversation.encode(processor, QUESTION)
    assert talk.prompt.count(processor.tokenizer.bos_token_id) == 1
    assert talk.prompt[0] == processor.tokenizer.bos_token_id
    place = talk.prompt.index(processor.image_token_id)
    assert QUESTION in processor.tokenizer.decode(talk.prompt[place:])


def test_answers_of_several_tokens_will_do(processor: Any) -> None:
    talk = conversation.encode(processor, QUESTION, "YES", "NO")
    assert len(talk.yes) > 2
    assert talk.yes[0] != talk.no[0]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("", "no chat template"),
        ("{{ bos_token }}" + small.CHAT_TEMPLATE, "first token twice"),
        (small.CHAT_TEMPLATE.replace("<|image|>", ""), "no place for one image"),
        (small.CHAT_TEMPLATE.replace("assistant<", "helper<"), "not the beginning of the conversation"),
        (small.CHAT_TEMPLATE.replace("{{ part['text'] }}", "The {{ part['text'] }}"), "begin with the same token"),
    ],
    ids=["none", "double", "no image", "another role", "same beginning"],
)
def test_a_template_that_is_not_the_model_s_is_refused(template: str, message: str, processor: Any) -> None:
    processor.chat_template = processor.tokenizer.chat_template = template
    with pytest.raises(TokenizerError, match=message):
        conversation.encode(processor, QUESTION)


def test_a_tokenizer_of_another_model_is_refused(processor: Any) -> None:
    right = tiny.config()
    conversation.check_tokenizer(processor, right)
    wrong = tiny.config()
    wrong.image_token_index = 128256
    wrong.text_config.vocab_size = 128256
    with pytest.raises(TokenizerError, match="use the tokenizer that belongs to this base"):
        conversation.check_tokenizer(processor, wrong)
