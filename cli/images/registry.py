"""How images are named in a registry."""

import re
from dataclasses import dataclass
from typing import Self

import httpx2

from cli.images.image_error import ImageError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Docker's grammar of a repository's name: a host that has a dot, a port or is localhost, and a lower-case path.
_HOST = r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:))(?::[0-9]+)?"
_PATH = r"(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.manifest.v1",
        "oci.image.index.v1",
        "docker.distribution.manifest.v2",
        "docker.distribution.manifest.list.v2",
    )
)
_REGISTRY = re.compile(rf"(?:(?P<scheme>https?)://)?(?P<name>{_HOST}{_PATH})/?")


@dataclass(frozen=True)
class Registry:
    """Host, port and path of the images."""

    name: str
    plain_http: bool

    @classmethod
    def parse(cls, setting: str) -> Self:
        """`registry.example/team`; `http://` before one without TLS; localhost needs no prefix.

        Raises ImageError when it is empty or not a registry's name.
        """
        if not setting:
            raise ImageError("no registry: set MELALOG_REGISTRY or --registry, for example to registry.example/melalog")
        match = _REGISTRY.fullmatch(setting)
        if match is None:
            raise ImageError(
                f"{setting!r} is not a registry: write host[:port][/path], the path in lower case, such as "
                "registry.example/melalog; http:// before one without TLS"
            )
        name = match["name"]
        local = name.split("/")[0].split(":")[0] in ("localhost", "127.0.0.1")
        return cls(name, plain_http=match["scheme"] == "http" or (local and match["scheme"] is None))

    def repository(self, image: str) -> str:
        """The image's full name, without tag."""
        return f"{self.name}/{image}"

    def has(self, image: str, digest: str) -> bool | None:
        """Whether the registry has that image; None where it cannot be asked, for example without a password."""
        host, _, path = self.name.partition("/")
        address = f"{'http' if self.plain_http else 'https'}://{host}/v2/{f'{path}/' if path else ''}{image}"
        try:
            response = httpx2.head(f"{address}/manifests/{digest}", headers={"Accept": MANIFESTS}, timeout=10)
        except httpx2.HTTPError:
            return None
        known_statuses: dict[int, bool] = {httpx2.codes.OK: True, httpx2.codes.NOT_FOUND: False}
        return known_statuses.get(response.status_code)


def require_digest(digest: str) -> str:
    """Return the digest. Raises ImageError when it is malformed."""
    if not DIGEST.fullmatch(digest):
        raise ImageError(f"{digest!r} is not a digest: sha256: and 64 hexadecimal digits")
    return digest
