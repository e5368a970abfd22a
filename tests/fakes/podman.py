"""A container engine for tests: podman's calls that `melalog push` makes, one layer that is the build context.

It speaks the registry protocol for real, so that what is pushed can be fetched and looked at. Its store is the folder
in FAKE_ENGINE; there every call is noted.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
import urllib.request
from pathlib import Path

STORE = Path(os.environ["FAKE_ENGINE"])
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def main() -> None:
    with (STORE / "calls").open("a") as sink:
        sink.write(json.dumps(sys.argv[1:]) + "\n")
    if (said := STORE / "broken").exists():
        sys.exit(said.read_text())
    parser = argparse.ArgumentParser(allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("info")
    build = verbs.add_parser("build")
    build.add_argument("--file", type=Path, required=True)
    build.add_argument("--tag", action="append", required=True)
    build.add_argument("--build-arg", action="append", default=[])
    build.add_argument("context", type=Path)
    push = verbs.add_parser("push")
    push.add_argument("--tls-verify", choices=["true", "false"], default="true")
    push.add_argument("--digestfile", type=Path)
    push.add_argument("image")
    inspect = verbs.add_parser("image").add_subparsers(required=True).add_parser("inspect")
    inspect.add_argument("--format", choices=["{{.Size}}"], required=True)
    inspect.add_argument("image")
    given = parser.parse_args()
    {"info": lambda _: None, "build": _build, "push": _push, "image": _inspect}[given.verb](given)


def _layer(tag: str) -> Path:
    return STORE / hashlib.sha256(tag.encode()).hexdigest()


def _build(given: argparse.Namespace) -> None:
    assert given.file == given.context / "Dockerfile"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(given.context, arcname=".", filter=_timeless)
    for tag in given.tag:
        _layer(tag).write_bytes(gzip.compress(buffer.getvalue(), mtime=0))


def _timeless(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """An engine takes a layer that it has from its cache; this one makes the same again."""
    member.mtime = 0
    return member


def _inspect(given: argparse.Namespace) -> None:
    sys.stdout.write(f"{_layer(given.image).stat().st_size}\n")


def _push(given: argparse.Namespace) -> None:
    host, _, rest = given.image.partition("/")
    name, _, tag = rest.rpartition(":")
    api = f"{'http' if given.tls_verify == 'false' else 'https'}://{host}/v2/{name}"
    layer, config = _layer(given.image).read_bytes(), json.dumps({"os": "linux", "architecture": "amd64"}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _blob(api, config, "application/vnd.oci.image.config.v1+json"),
        "layers": [_blob(api, layer, "application/vnd.oci.image.layer.v1.tar+gzip")],
    }
    body = json.dumps(manifest).encode()
    _ask("PUT", f"{api}/manifests/{tag}", body, MANIFEST)
    if given.digestfile:
        given.digestfile.write_text(f"sha256:{hashlib.sha256(body).hexdigest()}")


def _blob(api: str, content: bytes, kind: str) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    where = _ask("POST", f"{api}/blobs/uploads/", b"", "application/octet-stream").headers["Location"]
    where = urllib.request.urljoin(api, where)
    _ask("PUT", f"{where}{'&' if '?' in where else '?'}digest={digest}", content, "application/octet-stream")
    return {"mediaType": kind, "digest": digest, "size": len(content)}


def _ask(method: str, url: str, body: bytes, kind: str) -> "urllib.request.addinfourl":
    request = urllib.request.Request(url, body, {"Content-Type": kind}, method=method)
    try:
        return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20)
    except OSError as error:
        sys.exit(f"Error: pinging container registry: {error}")


if __name__ == "__main__":
    main()
