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
    """Host, port and path under which the images stand."""

    name: str
    plain_http: bool

    @classmethod
    def parse(cls, setting: str) -> Self:
        """`registry.example/team`; `http://` in front for one without TLS, which localhost needs not.

        Raises ImageError when it is empty or no registry's name.
        """
        if not setting:
            raise ImageError(
                "no registry is named: set MELALOG_REGISTRY or give --registry, such as registry.example/melalog"
            )
        match = _REGISTRY.fullmatch(setting)
        if match is None:
            raise ImageError(
                f"{setting!r} names no registry: host[:port][/path], the path in lower case, such as "
                "registry.example/melalog; http:// in front for one without TLS"
            )
        name = match["name"]
        local = name.split("/")[0].split(":")[0] in ("localhost", "127.0.0.1")
        return cls(name, plain_http=match["scheme"] == "http" or (local and match["scheme"] is None))

    def repository(self, image: str) -> str:
        """Where this image stands, without tag."""
        return f"{self.name}/{image}"

    def has(self, image: str, digest: str) -> bool | None:
        """Whether it holds that image; None where it does not tell us, as we know no password."""
        host, _, path = self.name.partition("/")
        address = f"{'http' if self.plain_http else 'https'}://{host}/v2/{f'{path}/' if path else ''}{image}"
        try:
            answer = httpx2.head(f"{address}/manifests/{digest}", headers={"Accept": MANIFESTS}, timeout=10)
        except httpx2.HTTPError:
            return None
        told: dict[int, bool] = {httpx2.codes.OK: True, httpx2.codes.NOT_FOUND: False}
        return told.get(answer.status_code)


def checked(digest: str) -> str:
    """The digest itself. Raises ImageError when it is none."""
    if not DIGEST.fullmatch(digest):
        raise ImageError(f"{digest!r} is no digest: sha256: and 64 hexadecimal digits")
    return digest
