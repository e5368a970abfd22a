"""The container engine that builds and pushes images on this machine: docker, podman or buildah."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.images.image_error import ImageError
from cli.images.progress import OnLine

NAMES = ("docker", "podman", "buildah")
INSTALL = {
    "docker": "https://docs.docker.com/engine/install, or `apt-get install docker.io`",
    "podman": "`apt-get install podman`, `dnf install podman`, `brew install podman`; it needs no daemon",
    "buildah": "`apt-get install buildah`, `dnf install buildah`; it needs no daemon",
}
SHOWN_LINES, BUFFERED_LINES = 25, 1000


@dataclass(frozen=True)
class Engine:
    """One that works. Its commands are lists, so that --dry-run can print them."""

    name: str

    def build_command(self, folder: Path, tags: Sequence[str], arguments: Mapping[str, str]) -> list[str]:
        """Build the folder's Dockerfile under these tags."""
        tag_options = [part for tag in tags for part in ("--tag", tag)]
        build_options = [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]
        cache_options = ["--layers"] if self.name == "buildah" else []  # the others cache layers by default
        dockerfile = str(folder / "Dockerfile")
        return [self.name, "build", *cache_options, "--file", dockerfile, *tag_options, *build_options, str(folder)]

    def push_command(self, reference: str, digest_file: Path, *, plain_http: bool) -> list[str]:
        """Push a tag; podman and buildah write the manifest's digest, docker prints it."""
        if self.name == "docker":  # its daemon decides which registries it reaches without TLS
            return ["docker", "push", reference]
        insecure = ["--tls-verify=false"] if plain_http else []
        return [self.name, "push", *insecure, "--digestfile", str(digest_file), reference]

    def build(self, folder: Path, tags: Sequence[str], arguments: Mapping[str, str], on_line: OnLine) -> None:
        """Raises ImageError with the last lines of the engine's output."""
        follow(self.build_command(folder, tags, arguments), f"{self.name} could not build the image", on_line)

    def push(self, reference: str, *, plain_http: bool, on_line: OnLine) -> str:
        """Push a tag; returns its digest in the registry. Raises ImageError."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "digest"
            output = follow(
                self.push_command(reference, file, plain_http=plain_http),
                f"{self.name} could not push {reference} (is the registry up? did you run `{self.name} login`? A "
                "registry without TLS needs http:// before its name, and docker an entry in insecure-registries)",
                on_line,
            )
            digest = file.read_text().strip() if file.is_file() else _digest_in(output)
        if not digest:
            raise ImageError(f"{self.name} pushed {reference} and printed no digest; its output:\n{output}")
        return digest

    def size(self, reference: str) -> int:
        """Bytes of the unpacked image."""
        if self.name == "buildah":
            output = run(["buildah", "images", "--json", reference], f"buildah has no {reference}")
            return _bytes(str(json.loads(output)[0]["size"]))
        command = [self.name, "image", "inspect", "--format", "{{.Size}}", reference]
        return int(run(command, f"{self.name} has no {reference}"))


def find() -> Engine:
    """The first engine that is installed and works. Raises ImageError: what each lacks, and how to install it."""
    problems = []
    for name in NAMES:
        if shutil.which(name) is None:
            problems.append(f"  {name} is not installed: {INSTALL[name]}")
            continue
        try:
            probe = subprocess.run([name, "info"], capture_output=True, text=True, check=False, timeout=30)
        except subprocess.TimeoutExpired:
            problems.append(f"  {name} is installed and does not answer `{name} info` within 30 s")
            continue
        if probe.returncode == 0:
            return Engine(name)
        why = next(iter(probe.stderr.strip().splitlines()[-1:]), "no message")
        problems.append(f"  {name} is installed and does not work: {why}")
    raise ImageError("\n".join(["no container engine works here:", *problems]))


def run(command: Sequence[str], failure: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a command; returns its standard output. Raises ImageError: the failure and the last lines of its output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise _failed(failure, (done.stdout + done.stderr).splitlines())
    return done.stdout.strip()


def follow(command: Sequence[str], failure: str, on_line: OnLine) -> str:
    """Run a command that takes long; each line of its output and errors also goes to `on_line`. Raises ImageError."""
    lines = deque[str](maxlen=BUFFERED_LINES)
    # Plain: docker would redraw its screen.
    environment = {**os.environ, "BUILDKIT_PROGRESS": "plain"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            on_line(lines[-1])
    if process.returncode:
        raise _failed(failure, lines)
    return "\n".join(lines).strip()


def _failed(failure: str, lines: Iterable[str]) -> ImageError:
    return ImageError("\n".join([f"{failure}; its output:", *[line for line in lines if line.strip()][-SHOWN_LINES:]]))


def _digest_in(output: str) -> str:
    """Docker's last line: `<tag>: digest: sha256:… size: 1234`."""
    digests = re.findall(r"digest: (sha256:[0-9a-f]{64})", output)
    return digests[-1] if digests else ""


def _bytes(text: str) -> int:
    """`241 MB` as buildah writes it. Raises ImageError."""
    match = re.fullmatch(r"([0-9.]+) ?([kKMG]?)B", text)
    if match is None:
        raise ImageError(f"buildah reports an image size of {text!r}, which cannot be read")
    number, unit = match.groups()
    return round(float(number) * {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}[unit])
