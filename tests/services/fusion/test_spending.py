"""What the hosted model may cost: counted as its server counts, capped by day, and said when it is spent."""

import asyncio
from datetime import date

import pytest

from services.common.deadline import Deadline
from services.fusion.core import Fuser, brief
from services.fusion.engine.hosted import HostedFailure, OpenAIExplainer
from services.fusion.spending import Capped, Spending
from services.risk import decide
from services.risk.decide import Rules
from tests.fakes import openai_server as fake
from tests.fakes.openai_server import OpenAIServer
from tests.services.fusion.test_core import LOW


class Calendar:
    """A day that can be turned."""

    def __init__(self) -> None:
        self.day = date(2026, 1, 1)

    def __call__(self) -> date:
        return self.day


class Ledger:
    """A Meter that remembers."""

    def __init__(self) -> None:
        self.tokens, self.rules = 0, list[str]()

    def spent(self, prompt_tokens: int, completion_tokens: int) -> None:
        self.tokens += prompt_tokens + completion_tokens

    def refused(self, rule: str) -> None:
        self.rules.append(rule)


def costing(tokens: int) -> fake.Behaviour:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "no JSON at all"}}
    usage = {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
    return fake.answer({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage})


def test_beyond_the_days_tokens_nothing_is_asked_and_the_next_day_it_is() -> None:
    calendar, ledger = Calendar(), Ledger()
    spending = Spending(ledger, 100, calendar)
    case = brief(LOW, decide.decide(LOW, Rules(0.025)))
    with OpenAIServer(costing(60)) as server:

        async def asked() -> list[str]:
            explainer = Capped(OpenAIExplainer(server.base_url, "k", "m", "none", spending), spending)
            reasons = []
            for day in (1, 1, 2):
                calendar.day = date(2026, 1, day)
                with pytest.raises(HostedFailure) as failure:
                    await explainer.explain(case, 5)
                reasons.append(failure.value.reason)
            await explainer.close()
            return reasons

        # The answer and its repair cost 60 each: over 100 after the first explanation, which is finished all the same.
        assert asyncio.run(asked()) == ["unusable_answer", "budget", "unusable_answer"]
        assert len(server.requests) == 4
    assert ledger.tokens == 240


def test_without_a_cap_nothing_is_held_back() -> None:
    spending = Spending(Ledger(), 0)
    spending.spent(10**9, 10**9)
    assert spending.left


def test_a_spent_budget_is_a_named_degradation() -> None:
    spending = Spending(Ledger(), 1)
    spending.spent(1, 0)
    with OpenAIServer(costing(60)) as server:
        fuser = Fuser(Rules(0.025), Capped(OpenAIExplainer(server.base_url, "k", "m", "none", spending), spending))
        answer = asyncio.run(fuser.fuse(LOW, Deadline.after(5)))
        assert server.requests == []
    assert answer.llm_failed
    assert answer.fusion.engine == "rules"
