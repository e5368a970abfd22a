"""How many cores this process may really use: affinity and the container's quota, not the machine's count."""

import os
from math import ceil
from pathlib import Path


def usable_cores(quota_file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """At least 1. More threads than this make ONNX Runtime slower, not faster (docs/architecture.md)."""
    # macOS has no affinity to ask for.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = quota_file.read_text().split()
        if quota != "max":
            allowed = min(allowed, ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        pass
    return max(1, allowed)
