"""The list of what is in an image (SBOM), as CycloneDX JSON."""

import os
import shutil
from pathlib import Path

from cli.images.container_engine import run
from cli.images.registry import Registry
from cli.images.targets import Target


def write(target: Target, context: Path, reference: str, registry: Registry, file: Path) -> str:
    """Write the list to `file`; the result names its source.

    syft scans the pushed image, Debian's packages included. Without syft the list is the lock and the model: all that
    is installed on top of the base image, because pip installs from that lock alone.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    if shutil.which("syft"):
        insecure = {"SYFT_REGISTRY_INSECURE_USE_HTTP": "true"} if registry.plain_http else {}
        command = ["syft", "scan", f"registry:{reference}", "--output", f"cyclonedx-json={new}"]
        run(command, f"syft could not read {reference}", environment={**os.environ, **insecure})
        source = "syft"
    else:
        from cli.images import lock_sbom

        new.write_text(lock_sbom.document(target, context, reference))
        source = "lock and model; install syft to list the base image's packages too"
    new.replace(file)
    return source
