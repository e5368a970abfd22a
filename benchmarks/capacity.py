"""`python -m benchmarks.capacity`: CPU seconds of each service for one assessment, and the replicas a load needs.

CPU seconds hardly depend on other load on the machine, a rate does. All four services run on this machine: the figures
cover their processors, not a network.
"""

import argparse
import math
import os
import tempfile
from pathlib import Path

import psutil
import yaml

from benchmarks import load
from benchmarks.run import ANSWERS, large_images, sample_images
from cli.processes import ROOT
from tests.conftest import Running, running

SERVICES = ("orchestrator", "classifier", "vlm", "fusion")
LOADS = (10, 50, 200)
"""Assessments a second for which replicas are shown."""
UTILISATION = 0.6
"""Of the requested CPU: the rest is for bursts and for a pod that is gone."""


def cpu_seconds(system: Running) -> dict[str, float]:
    """User and system time of each service's processes so far."""
    used = {}
    for name, child in system.children.items():
        parent = psutil.Process(child.pid)
        times = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
        used[name] = sum(one.user + one.system for one in times)
    return used


def per_assessment(system: Running, data: list[bytes], n: int, concurrency: int) -> dict[str, float]:
    """CPU seconds by service, of n assessments after twenty that warm up."""
    bodies = [load.multipart(one, ANSWERS) for one in data]
    port, content_type = system.ports["orchestrator"], bodies[0][1]
    load.run(port, "/v1/assessments", [body for body, _ in bodies], content_type, 20, concurrency)
    before = cpu_seconds(system)
    load.run(port, "/v1/assessments", [body for body, _ in bodies], content_type, n, concurrency)
    after = cpu_seconds(system)
    return {name: (after[name] - before[name]) / n for name in SERVICES}


def requested(service: str) -> float:
    """CPU request of its container in k8s/base, in cores."""
    for manifest in yaml.safe_load_all((ROOT / "k8s" / "base" / f"{service}.yaml").read_text()):
        if manifest["kind"] == "Deployment":
            cpu = str(manifest["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
            return float(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu)
    raise ValueError(f"k8s/base/{service}.yaml has no Deployment")


def replicas(seconds: float, cores: float, rate: float) -> int:
    """Pods for so many assessments a second, two at least: one may be gone."""
    return max(2, math.ceil(rate * seconds / (cores * UTILISATION)))


def table(name: str, seconds: dict[str, float]) -> list[str]:
    """A table row for each service."""
    lines = [f"\n{name}\n", f"| service | CPU ms an assessment | CPU request | {' | '.join(f'{r}/s' for r in LOADS)} |"]
    lines.append("|---" * (3 + len(LOADS)) + "|")
    for service in SERVICES:
        cores = requested(service)
        pods = " | ".join(str(replicas(seconds[service], cores, rate)) for rate in LOADS)
        lines.append(f"| {service} | {seconds[service] * 1000:.1f} | {cores:g} | {pods} |")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=400, help="assessments per kind of image")
    parser.add_argument("-c", "--concurrency", type=int, default=4, help="at a time")
    args = parser.parse_args()
    name, small = sample_images(args.n)
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder, running(SERVICES, Path(folder), {}) as system:
        lines += table(name, per_assessment(system, small, args.n, args.concurrency))
        big = large_images(16)
        lines += table("12-megapixel JPEG", per_assessment(system, big, max(args.n // 4, 20), args.concurrency))
    print(f"\n{os.cpu_count()} cores here; replicas at {UTILISATION:.0%} of the requested CPU, no hosted model")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
