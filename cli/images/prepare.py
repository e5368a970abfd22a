"""The steps that `melalog images` and `melalog push` share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cli import bentos
from cli.images import context
from cli.images.targets import Target

BASE = "python:3.11-slim-bookworm"
"""The base image that the locks are resolved for; --base takes another registry's, or a digest."""


@dataclass(frozen=True)
class Prepared:
    """A build context that lasts as long as the `with` block."""

    target: Target
    folder: Path
    tag: str
    arguments: dict[str, str]

    @property
    def local(self) -> str:
        """What compose.yaml and k8s/base call it."""
        return f"{self.target.image}:dev"


@contextmanager
def prepared(target: Target, model: Path | None, base: str) -> Iterator[Prepared]:
    """Build the bento and write the build context of its image."""
    with TemporaryDirectory(prefix="melalog-image-") as folder:
        tag = bentos.build(target.bento, model) if target.bento else ""
        build = context.assemble(target, tag, Path(folder))
        arguments = {name: os.environ[name] for name in target.settings if os.environ.get(name)}
        if target.bento:
            arguments = {"BASE": base, "PORT": str(target.port)}
        yield Prepared(target, build, context.content_tag(build, arguments), arguments)
