"""The images: the four services, two variants for GPUs, the app alone, and training."""

from dataclasses import dataclass
from pathlib import Path

from cli.images.image_error import ImageError
from cli.processes import ROOT


@dataclass(frozen=True)
class Target:
    """One image. Without a bento: a folder with a Dockerfile of its own, or parts of one and a Dockerfile elsewhere."""

    name: str
    deployment: str
    """The Deployment that runs it; empty for images that only Jobs run."""
    bento: str = ""
    port: int = 0
    folder: Path | None = None
    locked: str = "requirements.txt"
    settings: tuple[str, ...] = ()
    """Environment variables passed on as build arguments."""
    parts: tuple[str, ...] = ()
    """Subfolders that go into the build context; empty: the whole folder."""
    dockerfile: Path | None = None
    """None: the folder's own."""

    @property
    def image(self) -> str:
        """The image's name in manifests, without registry."""
        return f"melalog-{self.name}"

    @property
    def lock(self) -> Path:
        """The lock with the hashes of all that is installed in the image."""
        return self.folder / self.locked if self.folder else ROOT / "requirements" / f"{self.name}.txt"


SERVICES = ("orchestrator", "classifier", "vlm", "fusion")
TARGETS = {
    target.name: target
    for target in (
        *(Target(name, name, bento=name, port=3000 + index) for index, name in enumerate(SERVICES)),
        Target("classifier-gpu", "classifier", bento="classifier", port=3001),
        Target("engine", "engine", folder=ROOT / "services" / "vlm" / "engine" / "vllm"),
        Target(
            "app",
            "app",
            folder=ROOT / "frontend",
            locked="package-lock.json",
            settings=("EXPO_PUBLIC_API_URL", "MELALOG_APP_ORIGINS", "NODE", "NGINX"),
        ),
        Target(
            "train",
            "",
            folder=ROOT,
            locked="requirements/dev.txt",
            parts=("cli", "export", "fusion", "models", "services"),
            dockerfile=ROOT / "k8s" / "components" / "training" / "Dockerfile",
        ),
    )
}


def find(name: str) -> Target:
    """The target of that name. Raises ImageError listing all."""
    try:
        return TARGETS[name]
    except KeyError:
        raise ImageError(f"there is no image {name!r}: choose one of {', '.join(TARGETS)}") from None
