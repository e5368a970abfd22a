"""What every bento's decorator says."""

from typing import Any

TIMEOUT_S = 150
"""BentoML's own limit, to the first byte only: longer than any deadline, which is ours to keep."""


def options(name: str) -> dict[str, Any]:
    """Arguments of `bentoml.service` for one of the four services."""
    return {
        "name": f"melalog-{name}",
        "traffic": {"timeout": TIMEOUT_S},
        # We log one line per request ourselves, with the request id.
        "logging": {"access": {"enabled": False}},
        # BentoML's metrics keep every path that was ever asked for as a label; `metrics.py` counts by route.
        "metrics": {"enabled": False},
    }
