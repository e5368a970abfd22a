"""What the hosted model costs and how it fails, for `GET /metrics`. Labels are fixed words, never its text."""

from functools import cache

from prometheus_client import Counter

from fusion.hosted import REASONS


@cache
def _failures() -> Counter:
    counter = Counter(
        "melalog_llm_failures",
        "Explanations that the hosted model failed to give; alarm on model_not_found, unauthorized and quota",
        ["reason"],
    )
    for reason in REASONS:
        counter.labels(reason)  # there from the start: an alarm sees the first one as an increase
    return counter


@cache
def _tokens() -> Counter:
    return Counter("melalog_llm_tokens", "Tokens that the hosted model's server says it used", ["kind"])


@cache
def _refused() -> Counter:
    return Counter(
        "melalog_llm_answers_refused",
        "Answers that were not shown, by rule; `refusal` is the hosted model's own",
        ["rule"],
    )


@cache
def _explanations() -> Counter:
    return Counter("melalog_llm_explanations", "Explanations by the hosted model that were shown", ["level_proposed"])


def explained(level_proposed: str) -> None:
    """Count one that was shown."""
    _explanations().labels(level_proposed).inc()


def failed(reason: str) -> None:
    """Count one failure."""
    _failures().labels(reason).inc()


class PrometheusMeter:
    """fusion.hosted.Meter on Prometheus counters."""

    def __init__(self) -> None:
        _failures()

    def spent(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Of one request."""
        _tokens().labels("prompt").inc(prompt_tokens)
        _tokens().labels("completion").inc(completion_tokens)

    def refused(self, rule: str) -> None:
        """One answer was not used."""
        _refused().labels(rule).inc()
