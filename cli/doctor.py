"""`melalog doctor`: check the machine and the settings, and say how to fix what is wrong."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import httpx2
import psutil
import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from cli import processes, serve
from models.classifier.serving.artifact import RELEASED, ClassifierArtifact
from models.common.artifact import ArtifactError
from models.vlm.serving import artifact as vlm
from services.common.cores import usable_cores
from services.common.settings import Settings, is_loopback, load

console = Console(highlight=False)
MEMORY_GB, DISK_GB = 2.0, 1.0
MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "bad": "[red]wrong[/]"}


@dataclass(frozen=True)
class Check:
    """One result: what was checked, whether it is fine, and what to do about it."""

    state: Literal["ok", "warn", "bad"]
    what: str
    remedy: str = ""


def command(
    show_settings: Annotated[
        bool, typer.Option("--settings", help="Also print all settings, with secrets hidden.")
    ] = False,
) -> None:
    """Check this machine and the settings; exits with status 1 when something is wrong."""
    settings = load()
    checks = [*_machine(), *_settings(settings), *_model(settings), *_vlm(settings), *_ports(settings)]
    for check in checks:
        console.print(
            f"{MARKS[check.state]}  {check.what}" + (f"\n      → {check.remedy}" if check.remedy else ""),
            soft_wrap=True,
        )
    if show_settings:
        _print_settings(settings)
    else:
        console.print("\n`melalog doctor --settings` also prints all settings.")
    raise typer.Exit(1 if any(check.state == "bad" for check in checks) else 0)


def _print_settings(settings: Settings) -> None:
    table = Table(title="settings", title_justify="left", box=None, show_header=False)
    for name, value in settings:
        text = value
        if isinstance(value, SecretStr):
            text = "set (hidden)" if value.get_secret_value() else "not set"
        changed = "" if value == type(settings).model_fields[name].default else "[bold]set[/]"
        table.add_row(f"MELALOG_{name.upper()}", str(text) or "-", changed)
    console.print(table)


def _machine() -> Iterator[Check]:
    yield Check("ok", f"Python {sys.version.split()[0]}, {usable_cores()} cores this process may use")
    free = psutil.virtual_memory().available / 1e9
    yield Check(
        "ok" if free > MEMORY_GB else "warn",
        f"{free:.1f} GB of memory free",
        "" if free > MEMORY_GB else f"the four services need about {MEMORY_GB:.0f} GB: close other programs",
    )
    disk = shutil.disk_usage(processes.ROOT).free / 1e9
    yield Check(
        "ok" if disk > DISK_GB else "warn",
        f"{disk:.1f} GB of disk free",
        "" if disk > DISK_GB else f"Melalog needs about {DISK_GB:.0f} GB: delete something",
    )


def _settings(settings: Settings) -> Iterator[Check]:
    key = settings.llm_key
    yield Check(
        "ok" if key else "warn",
        f"hosted model {settings.llm_model}"
        if key
        else "no key for the hosted model: explanations come from the rules",
        "" if key else "to change that, set NEBIUS_API_KEY (or MELALOG_LLM_API_KEY[_FILE] and MELALOG_LLM_BASE_URL)",
    )
    if settings.auth == "required":
        yield Check("ok", "sign-in is required")
    elif not is_loopback(settings.host):
        what = f"MELALOG_HOST={settings.host} can be reached from other machines, and sign-in is off"
        yield Check("warn", what, "put it behind a proxy that requires sign-in, or set MELALOG_AUTH=required")


def _model(settings: Settings) -> Iterator[Check]:
    folder = Path(settings.classifier_artifact) if settings.classifier_artifact else RELEASED
    try:
        manifest = ClassifierArtifact.load(folder).manifest
    except ArtifactError as error:
        yield Check(
            "bad",
            str(error),
            "restore the folder (git checkout models/released), or point MELALOG_CLASSIFIER_ARTIFACT at another",
        )
        return
    yield Check("ok", f"classifier {manifest.name} {manifest.version}, files as released")


def _vlm(settings: Settings) -> Iterator[Check]:
    if settings.vlm_engine == "none":
        yield Check("warn", "no vision-language engine is configured", "answers will list vlm under `degraded`")
        return
    folder = settings.vlm_artifact or (vlm.RELEASED if settings.vlm_engine == "embedded" else "")
    if folder:
        try:
            release = vlm.VlmArtifact.load(Path(folder))
            if settings.vlm_engine == "embedded":
                release.require_graph()
        except ArtifactError as error:
            remedy = "restore the folder (git checkout models/released), or point MELALOG_VLM_ARTIFACT at another"
            yield Check("bad", str(error), remedy)
            return
        yield Check("ok", f"vlm {release.manifest.name} {release.manifest.version}, files as released")
    if settings.vlm_engine == "embedded" and settings.vlm_base_url:
        yield Check("warn", "MELALOG_VLM_BASE_URL is set but not used", "to use it, set MELALOG_VLM_ENGINE=openai")
    if settings.vlm_engine == "openai":
        yield from _engine(settings)


def _engine(settings: Settings) -> Iterator[Check]:
    """Check that the configured engine answers and serves the configured model."""
    if not settings.vlm_base_url:
        remedy = "set it, for example http://127.0.0.1:8100/v1"
        yield Check("bad", "MELALOG_VLM_ENGINE=openai without MELALOG_VLM_BASE_URL", remedy)
        return
    if not settings.vlm_artifact:
        remedy = "set MELALOG_VLM_ARTIFACT to the folder that `melalog export vlm` wrote"
        yield Check("warn", "the engine's answers are uncalibrated and will not change a risk", remedy)
    url = f"{settings.vlm_base_url.rstrip('/')}/models"
    try:
        served = [entry["id"] for entry in httpx2.get(url, timeout=3, trust_env=False).json()["data"]]
    except (httpx2.HTTPError, ValueError, LookupError, TypeError):
        yield Check(
            "warn",
            f"no engine answers at {url}",
            "start it (`melalog engine MODEL_DIR`); until then answers list vlm under `degraded`",
        )
        return
    if settings.vlm_model in served:
        yield Check("ok", f"the engine serves {settings.vlm_model}")
    else:
        remedy = f"set MELALOG_VLM_MODEL to one of: {', '.join(map(str, served))}"
        yield Check("bad", f"the engine does not serve {settings.vlm_model!r}", remedy)


def _ports(settings: Settings) -> Iterator[Check]:
    for service in processes.services(settings):
        if serve.is_free(service.host, service.port):
            yield Check("ok", f"port {service.port} is free for {service.name}")
            continue
        try:
            ready = httpx2.get(f"{service.url}/readyz", timeout=2, trust_env=False).is_success
        except httpx2.HTTPError:
            ready = False
        if ready:
            yield Check("ok", f"{service.name} is running and ready on port {service.port}")
        else:
            yield Check(
                "bad",
                f"port {service.port} is taken, and not by a ready {service.name}",
                f"stop what listens there, or set MELALOG_{service.name.upper()}_BIND_PORT",
            )
