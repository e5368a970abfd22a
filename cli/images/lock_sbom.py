"""The SBOM of an image that syft has not scanned: what its lock and its models say, as CycloneDX 1.6.

Only `sbom` imports this, when it is written: every other command starts without the CycloneDX library.
"""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from cli.images import lock
from cli.images.targets import Target


def document(target: Target, context: Path, reference: str) -> str:
    """A library for each package that the lock installs on Linux, a model for each manifest in the bento."""
    image = Component(
        type=ComponentType.CONTAINER,
        name=target.image,
        version=reference.rsplit("@", 1)[-1],
        bom_ref=reference,
    )
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, reference),
        metadata=BomMetaData(component=image),
        components=[*_libraries(context / target.locked), *_models(context)],
    )
    bom.register_dependency(image, bom.components)
    return str(JsonV1Dot6(bom).output_as_string(indent=1))


def _libraries(file: Path) -> Iterator[Component]:
    text = file.read_text()
    if file.suffix == ".txt":
        for name, version in lock.python_packages(text):
            yield _library(name, PackageURL("pypi", None, name, version))
        return
    for name, version in lock.npm_packages(json.loads(text)):
        scope, _, bare = name.rpartition("/")
        yield _library(name, PackageURL("npm", scope or None, bare, version))


def _library(name: str, purl: PackageURL) -> Component:
    return Component(name=name, version=purl.version, purl=purl, bom_ref=purl.to_string())


def _models(context: Path) -> Iterator[Component]:
    """Every model in the bento, with the hash that its manifest has of each of its files."""
    for file in sorted((context / "bento" / "models").glob("*/*/manifest.json")):
        manifest = json.loads(file.read_text())
        digests = {
            name: value if isinstance(value, str) else value["sha256"] for name, value in manifest["files"].items()
        }
        yield Component(
            type=ComponentType.MACHINE_LEARNING_MODEL,
            name=manifest["name"],
            version=manifest["version"],
            bom_ref=f"{file.parent.parent.name}:{file.parent.name}",
            components=[
                Component(
                    type=ComponentType.FILE,
                    name=name,
                    hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
                )
                for name, digest in digests.items()
            ],
        )
