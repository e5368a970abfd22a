"""Whatever builds and pushes images on this machine: docker, podman or buildah."""

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
from cli.images.progress import Told

NAMES = ("docker", "podman", "buildah")
INSTALL = {
    "docker": "https://docs.docker.com/engine/install, or `apt-get install docker.io`",
    "podman": "`apt-get install podman`, `dnf install podman`, `brew install podman`; it needs no daemon",
    "buildah": "`apt-get install buildah`, `dnf install buildah`; it needs no daemon",
}
LAST_LINES, KEPT_LINES = 25, 1000


@dataclass(frozen=True)
class Engine:
    """One that answered. Its commands are lists, so that --dry-run can show what would be run."""

    name: str

    def build_command(self, folder: Path, tags: Sequence[str], arguments: Mapping[str, str]) -> list[str]:
        """Build the folder's Dockerfile under these tags."""
        named = [part for tag in tags for part in ("--tag", tag)]
        given = [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]
        cached = ["--layers"] if self.name == "buildah" else []  # the others keep layers unasked
        return [self.name, "build", *cached, "--file", str(folder / "Dockerfile"), *named, *given, str(folder)]

    def push_command(self, reference: str, digest_file: Path, *, plain_http: bool) -> list[str]:
        """Push a tag; podman and buildah write the manifest's digest, docker prints it."""
        if self.name == "docker":  # its daemon decides which registries may do without TLS
            return ["docker", "push", reference]
        insecure = ["--tls-verify=false"] if plain_http else []
        return [self.name, "push", *insecure, "--digestfile", str(digest_file), reference]

    def build(self, folder: Path, tags: Sequence[str], arguments: Mapping[str, str], told: Told) -> None:
        """Raises ImageError with the engine's last words."""
        follow(self.build_command(folder, tags, arguments), f"{self.name} could not build the image", told)

    def push(self, reference: str, *, plain_http: bool, told: Told) -> str:
        """The digest under which the registry has it now. Raises ImageError."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "digest"
            said = follow(
                self.push_command(reference, file, plain_http=plain_http),
                f"{self.name} could not push {reference} (is the registry up? `{self.name} login` done? a registry "
                "without TLS wants http:// before its name, and docker an entry in insecure-registries)",
                told,
            )
            found = file.read_text().strip() if file.is_file() else _digest_in(said)
        if not found:
            raise ImageError(f"{self.name} pushed {reference} and named no digest; what it said:\n{said}")
        return found

    def size(self, reference: str) -> int:
        """Bytes of the unpacked image."""
        if self.name == "buildah":
            said = run(["buildah", "images", "--json", reference], f"buildah has no {reference}")
            return _bytes(str(json.loads(said)[0]["size"]))
        command = [self.name, "image", "inspect", "--format", "{{.Size}}", reference]
        return int(run(command, f"{self.name} has no {reference}"))


def find() -> Engine:
    """The first that works, not only stands on PATH. Raises ImageError saying what each lacks and how to get it."""
    lacks = []
    for name in NAMES:
        if shutil.which(name) is None:
            lacks.append(f"  {name} is not installed: {INSTALL[name]}")
            continue
        try:
            asked = subprocess.run([name, "info"], capture_output=True, text=True, check=False, timeout=30)
        except subprocess.TimeoutExpired:
            lacks.append(f"  {name} is installed and does not answer `{name} info` within 30 s")
            continue
        if asked.returncode == 0:
            return Engine(name)
        why = next(iter(asked.stderr.strip().splitlines()[-1:]), "without a word")
        lacks.append(f"  {name} is installed and does not work: {why}")
    raise ImageError("\n".join(["no container engine works here:", *lacks]))


def run(command: Sequence[str], wrong: str, environment: Mapping[str, str] | None = None) -> str:
    """Standard output. Raises ImageError with what is wrong and the last lines of what the command said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise _failed(wrong, (done.stdout + done.stderr).splitlines())
    return done.stdout.strip()


def follow(command: Sequence[str], wrong: str, told: Told) -> str:
    """As `run` for what takes long: both its outputs, handed over line by line. Raises ImageError."""
    said = deque[str](maxlen=KEPT_LINES)
    # else docker redraws its screen
    environment = {**os.environ, "BUILDKIT_PROGRESS": "plain"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment
    ) as process:
        for line in process.stdout or ():
            said.append(line.rstrip())
            told(said[-1])
    if process.returncode:
        raise _failed(wrong, said)
    return "\n".join(said).strip()


def _failed(wrong: str, said: Iterable[str]) -> ImageError:
    return ImageError("\n".join([f"{wrong}; what it said:", *[line for line in said if line.strip()][-LAST_LINES:]]))


def _digest_in(said: str) -> str:
    """Docker's last line: `<tag>: digest: sha256:… size: 1234`."""
    found = re.findall(r"digest: (sha256:[0-9a-f]{64})", said)
    return found[-1] if found else ""


def _bytes(text: str) -> int:
    """`241 MB` as buildah writes it. Raises ImageError."""
    found = re.fullmatch(r"([0-9.]+) ?([kKMG]?)B", text)
    if found is None:
        raise ImageError(f"buildah says that the image has a size of {text!r}, which is not understood here")
    number, unit = found.groups()
    return round(float(number) * {"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}[unit])
