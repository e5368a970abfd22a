"""Replicas for a load, from CPU seconds and what a pod requests."""

import pytest

from benchmarks import capacity


def test_replicas_follow_the_load_and_never_fall_below_two() -> None:
    assert capacity.replicas(0.06, 1, 1) == 2
    assert capacity.replicas(0.06, 1, 100) == 10  # 6 cores used, 0.6 of each pod's one
    assert capacity.replicas(0.06, 1, 101) == 11


@pytest.mark.parametrize("service", capacity.SERVICES)
def test_every_service_requests_cpu(service: str) -> None:
    assert 0 < capacity.requested(service) <= 4


def test_the_table_has_a_line_for_every_service() -> None:
    lines = capacity.table("pictures", dict.fromkeys(capacity.SERVICES, 0.02))
    assert [line.split(" | ")[0].strip("| ") for line in lines[3:]] == list(capacity.SERVICES)
    assert len({line.count("|") for line in lines[1:]}) == 1
