"""Sign a pushed image, and attach its SBOM under the same key, with cosign."""

import shutil
from pathlib import Path

from cli.images.container_engine import run
from cli.images.registry import Registry


def sign(reference: str, key: str, sbom: Path, registry: Registry) -> str:
    """Sign the image and attest the SBOM; returns what was done or why not. Raises ImageError with cosign's words."""
    if not key:
        return "not signed: no key (--key or COSIGN_KEY)"
    insecure = ["--allow-http-registry"] if registry.plain_http else []
    signing = ["cosign", "sign", "--yes", *insecure, "--key", key, reference]
    attesting = [
        "cosign", "attest", "--yes", *insecure, "--key", key,
        "--type", "cyclonedx", "--predicate", str(sbom), reference,
    ]  # fmt: skip
    if shutil.which("cosign") is None:
        return (
            "NOT SIGNED: there is a key, but cosign is not installed. Install it "
            f"(https://docs.sigstore.dev/cosign/system_config/installation), then:\n  {' '.join(signing)}\n"
            f"  {' '.join(attesting)}"
        )
    run(signing, f"cosign could not sign {reference}")
    run(attesting, f"cosign could not attach {sbom} to {reference}")
    return f"signed, and its contents attested, with {key}"
