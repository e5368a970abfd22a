"""What a lock installs in an image, by name and version."""

import re
from typing import Any, NamedTuple

from packaging.markers import default_environment
from packaging.requirements import Requirement

LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"}
"""The image's platform, whatever this machine is."""


class Package(NamedTuple):
    """One pinned package."""

    name: str
    version: str


def python_packages(lock: str) -> list[Package]:
    """Of a lock as `uv pip compile --universal --generate-hashes` writes it: what pip installs from it on Linux."""
    environment = {key: str(value) for key, value in default_environment().items()} | LINUX
    packages = []
    for line in re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*$", "", lock)).splitlines():
        if not line.strip():
            continue
        requirement = Requirement(re.split(r"\s+--hash=", line)[0])
        if requirement.marker is None or requirement.marker.evaluate(environment):
            packages.append(Package(requirement.name, next(iter(requirement.specifier)).version))
    return packages


def npm_packages(lock: dict[str, dict[str, dict[str, Any]]]) -> list[Package]:
    """Of a package-lock.json, version 3: what the app is bundled from, without the tools that only develop it."""
    packages = {
        Package(path.rpartition("node_modules/")[2], str(entry["version"]))
        for path, entry in lock["packages"].items()
        if path and not entry.get("dev")
    }
    return sorted(packages)
