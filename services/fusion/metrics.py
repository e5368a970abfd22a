"""What the hosted model costs and how it fails, for `GET /metrics`. Labels are fixed words, never its text."""

from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from services.common.metrics import SECONDS
from services.common.settings import Settings
from services.contracts import Level
from services.fusion.engine.hosted import REASONS

MILLION = 1_000_000

_failures = Counter(
    "melalog_llm_failures",
    "Explanations that the hosted model failed to give; alarm on model_not_found, unauthorized, quota and budget",
    ["reason"],
)
_tokens = Counter("melalog_llm_tokens", "Tokens that the hosted model's server says it used", ["kind"])
_cost = Counter(
    "melalog_llm_cost", "Price of these tokens, in the currency of MELALOG_LLM_PRICE_PROMPT and _COMPLETION"
)
_cap = Gauge(
    "melalog_llm_tokens_per_day_cap",
    "MELALOG_LLM_TOKENS_PER_DAY, for each process; 0 is no cap",
    multiprocess_mode="max",
)
_refused = Counter(
    "melalog_llm_answers_refused", "Answers that were not shown, by rule; `refusal` is the hosted model's own", ["rule"]
)
_explanations = Counter(
    "melalog_llm_explanations", "Explanations by the hosted model that were shown", ["level_proposed"]
)
_duration = Histogram(
    "melalog_llm_duration_seconds", "Time that one explanation took, a retry or a repair included", buckets=SECONDS
)


def explained(level_proposed: str) -> None:
    """Count one that was shown."""
    _explanations.labels(level_proposed).inc()


def failed(reason: str) -> None:
    """Count one failure."""
    _failures.labels(reason).inc()


def took(seconds: float) -> None:
    """Of one explanation, however it ended."""
    _duration.observe(seconds)


class PrometheusMeter:
    """The engine's Meter on Prometheus counters, all at 0 from the start: an alarm sees the first as an increase."""

    def __init__(self, settings: Settings | None = None) -> None:
        """`settings` have the prices; without them the cost stays 0."""
        self._prompt = settings.llm_price_prompt / MILLION if settings else 0.0
        self._completion = settings.llm_price_completion / MILLION if settings else 0.0
        _cap.set(settings.llm_tokens_per_day if settings else 0)
        for reason in REASONS:
            _failures.labels(reason)
        _refused.labels("refusal")
        for kind in ("prompt", "completion"):
            _tokens.labels(kind)
        for level in get_args(Level):
            _explanations.labels(level)

    def spent(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Of one request."""
        _tokens.labels("prompt").inc(prompt_tokens)
        _tokens.labels("completion").inc(completion_tokens)
        _cost.inc(prompt_tokens * self._prompt + completion_tokens * self._completion)

    def refused(self, rule: str) -> None:
        """One answer was not used."""
        _refused.labels(rule).inc()
