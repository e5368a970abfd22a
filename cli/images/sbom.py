"""What is in an image, as CycloneDX 1.6."""

import json
import os
import re
import shutil
import uuid
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

from cli.images.container_engine import run
from cli.images.registry import Registry
from cli.images.targets import Target

LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"}
"""The image's platform, whatever this machine is."""


def write(target: Target, context: Path, reference: str, registry: Registry, file: Path) -> str:
    """Write the list to `file` and return who made it.

    syft looks into the pushed image, Debian's packages included. Without it the list is the lock and the model: all
    that is installed over the base image, because pip installs from that lock alone.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if shutil.which("syft"):
        insecure = {"SYFT_REGISTRY_INSECURE_USE_HTTP": "true"} if registry.plain_http else {}
        made = file.with_suffix(".new")
        command = ["syft", "scan", f"registry:{reference}", "--output", f"cyclonedx-json={made}"]
        run(command, f"syft could not read {reference}", environment={**os.environ, **insecure})
        made.replace(file)
        return "syft"
    made = file.with_suffix(".new")
    made.write_text(json.dumps(of_lock(target, context, reference), indent=1))
    made.replace(file)
    return "lock and model; install syft to have the base image's packages listed too"


def of_lock(target: Target, context: Path, reference: str) -> dict[str, object]:
    """The document: a library for each line of the lock that holds on Linux, a model for each manifest."""
    digest = reference.rsplit("@", 1)[-1]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, reference)}",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": target.image, "version": digest, "bom-ref": reference}},
        "components": [*_locked(context / target.locked), *_models(context)],
    }


def _locked(lock: Path) -> list[dict[str, object]]:
    return packages(lock.read_text()) if lock.suffix == ".txt" else _npm(json.loads(lock.read_text()))


def _npm(lock: dict[str, dict[str, dict[str, object]]]) -> list[dict[str, object]]:
    """package-lock.json, version 3: what the app is bundled from, without the tools that only develop it."""
    found = {
        (path.rpartition("node_modules/")[2], str(entry["version"]))
        for path, entry in lock["packages"].items()
        if path and not entry.get("dev")
    }
    purls = {(name, version): f"pkg:npm/{name.replace('@', '%40')}@{version}" for name, version in sorted(found)}
    return [
        {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
        for (name, version), purl in purls.items()
    ]


def packages(lock: str) -> list[dict[str, object]]:
    """Of a lock as `uv pip compile --universal --generate-hashes` writes them."""
    environment = {key: str(value) for key, value in default_environment().items()} | LINUX
    found: list[dict[str, object]] = []
    for line in re.sub(r"\\\n\s*", "", re.sub(r"(?m)^\s*#.*$", "", lock)).splitlines():
        if not line.strip():
            continue
        requirement = Requirement(re.split(r"\s+--hash=", line)[0])
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        version = next(iter(requirement.specifier)).version
        purl = f"pkg:pypi/{requirement.name}@{version}"
        found.append({"type": "library", "name": requirement.name, "version": version, "purl": purl, "bom-ref": purl})
    return found


def _models(context: Path) -> list[dict[str, object]]:
    """Every model in the bento, with the hash of each of its files that the manifest has."""
    found: list[dict[str, object]] = []
    for file in sorted((context / "bento" / "models").glob("*/*/manifest.json")):
        manifest = json.loads(file.read_text())
        files = {
            name: value if isinstance(value, str) else value["sha256"] for name, value in manifest["files"].items()
        }
        found.append(
            {
                "type": "machine-learning-model",
                "name": manifest["name"],
                "version": manifest["version"],
                "bom-ref": f"{file.parent.parent.name}:{file.parent.name}",
                "components": [
                    {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": content}]}
                    for name, content in files.items()
                ],
            }
        )
    return found
