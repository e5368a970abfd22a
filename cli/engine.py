"""`melalog engine`: a vision-language engine on this machine, until Ctrl-C."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli import processes, serve
from export.vlm_layout import CheckpointLayoutError, check_layout
from services.vlm.engine.vllm import launch
from services.vlm.engine.vllm.ready import probe

console = Console(highlight=False, soft_wrap=True)
HOST = "127.0.0.1"
ENVIRONMENTS = {True: (".venv-engine", "requirements.txt"), False: (".venv-engine-current", "upgrade.txt")}
"""Llama 3.2 Vision or not: the environment with its vLLM, and that environment's lock."""
LOCKS = "services/vlm/engine/vllm"
OVERHEAD, RESERVE_GB = 1.15, 3.0
"""Beside the weights: what vLLM allocates with them; CUDA itself, activations and the smallest useful cache."""


class EngineError(RuntimeError):
    """The engine cannot be started, or has not. The message says what to do."""


class _Stopped(Exception):  # noqa: N818
    """Asked to end."""


@dataclass(frozen=True)
class Checkpoint:
    """What is to be served."""

    folder: Path
    llama: bool
    artifact: Path | None
    adapters: tuple[tuple[str, Path], ...]

    @property
    def gigabytes(self) -> float:
        """Size of the weights."""
        return sum(file.stat().st_size for file in self.folder.glob("*.safetensors")) / 1e9


def command(
    model: Annotated[Path, typer.Argument(help="A merged checkpoint, or the folder `melalog export vlm` wrote.")],
    port: Annotated[int, typer.Option(help="Where it listens, on 127.0.0.1.", min=1, max=65535)] = launch.PORT,
    adapter: Annotated[
        list[str] | None, typer.Option(help="NAME=DIR, may be repeated: LoRA adapters to load (not for Llama 3.2).")
    ] = None,
    name: Annotated[str, typer.Option(help="The model's name at the API (MELALOG_VLM_MODEL).")] = launch.NAME,
    wait_s: Annotated[float, typer.Option(help="Seconds to wait until it answers.")] = 900,
) -> None:
    """Serve a vision-language model here with vLLM (needs an NVIDIA GPU); Ctrl-C stops it.

    MELALOG_ENGINE, if set, is a command of your own that takes MODEL_DIR PORT OPTIONS instead.
    """
    for ending in serve.ENDINGS:
        signal.signal(ending, _on_signal)
    children: list[processes.Child] = []
    try:
        checkpoint = inspect(model, adapter or ())
        _check_port(port)
        children.append(_start(*_command(checkpoint, port, name)))
        _wait(children[0], port, [name, *(known for known, _ in checkpoint.adapters)], wait_s)
        _tell(checkpoint, port, name)
        children[0].wait()
        console.print("[red]the engine has ended; its last lines are above[/]")
    except (EngineError, CheckpointLayoutError) as error:
        console.print(str(error), style="red", markup=False)
    except _Stopped:
        console.print("\nstopping …")
        raise typer.Exit(0) from None
    finally:
        for ending in serve.ENDINGS:
            signal.signal(ending, signal.SIG_IGN)
        processes.stop(children)
    raise typer.Exit(1)


def _on_signal(*_: Any) -> None:
    raise _Stopped


def inspect(folder: Path, adapters: Sequence[str]) -> Checkpoint:
    """What is in the folder. Raises EngineError or CheckpointLayoutError, before anything is started."""
    if not folder.is_dir():
        raise EngineError(f"{folder} is not there; `melalog export vlm` makes such a folder")
    if not (folder / "config.json").is_file() and (folder / "merged" / "config.json").is_file():
        folder = folder / "merged"
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise EngineError(f"{folder} is an adapter: merge it into its base with `melalog export vlm`")
        raise EngineError(f"{folder} is not a checkpoint: it has no config.json")
    try:
        llama = launch.is_llama(folder)
    except (ValueError, AttributeError):
        raise EngineError(f"{folder}/config.json is not JSON: the checkpoint is damaged") from None
    chosen = tuple(_adapter(told) for told in adapters)
    if llama and chosen:
        raise EngineError(
            "vLLM never served adapters on Llama 3.2 Vision: merge it into its base with `melalog export vlm`, and "
            "start the engine on what that writes"
        )
    if code := launch.code_in(folder):
        raise EngineError(
            f"{folder} carries code of its own ({', '.join(code)}), which vLLM would run: it is not served"
        )
    if llama:
        check_layout(folder)
    artifact = next((one for one in (folder, folder.parent) if (one / "manifest.json").is_file()), None)
    return Checkpoint(folder.resolve(), llama, artifact, chosen)


def _adapter(told: str) -> tuple[str, Path]:
    name, equals, folder = told.partition("=")
    if not (name and equals and folder):
        raise EngineError(f"--adapter {told}: write it as NAME=DIR")
    try:
        json.loads((Path(folder) / "adapter_config.json").read_bytes())
    except (OSError, ValueError):
        raise EngineError(f"{folder} is not an adapter: it has no readable adapter_config.json") from None
    return name, Path(folder).resolve()


def _command(checkpoint: Checkpoint, port: int, name: str) -> tuple[list[str], dict[str, str]]:
    """(command line, environment). Raises EngineError where this machine cannot run it."""
    environment = os.environ | launch.environment(llama=checkpoint.llama)
    model = str(checkpoint.folder)
    if own := os.environ.get("MELALOG_ENGINE"):
        if shutil.which(own) is None:
            raise EngineError(f"MELALOG_ENGINE={own} is not a command that can be run")
        # It knows its own limits; only what the caller chose is passed on.
        chosen = ["--served-model-name", name, *launch.adapting(checkpoint.adapters)]
        return [own, model, str(port), *chosen], environment
    _check_gpu(checkpoint.gigabytes)
    where = [*launch.program(llama=checkpoint.llama), "--model", model, "--host", HOST, "--port", str(port)]
    chosen = launch.options(llama=checkpoint.llama, name=name, adapters=checkpoint.adapters)
    return [str(_python(checkpoint.llama)), *where, *chosen], environment


def _check_port(port: int) -> None:
    if not serve.is_free(HOST, port):
        raise EngineError(f"port {port} is taken: stop what listens there, or choose another with --port")


def _check_gpu(weights_gb: float) -> None:
    query = ["nvidia-smi", "--query-gpu=memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
        free, total = (int(part) * 1.048576 / 1000 for part in told.strip().splitlines()[0].split(","))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        raise EngineError(
            "there is no NVIDIA GPU here that nvidia-smi can see: start the engine on a machine that has one and set "
            "MELALOG_VLM_BASE_URL to it, or keep MELALOG_VLM_ENGINE=embedded, which needs none"
        ) from None
    needed = weights_gb * OVERHEAD + RESERVE_GB
    if needed > free:
        taken = "something else holds the rest: stop it" if needed <= total else "take a larger GPU, or a smaller model"
        raise EngineError(
            f"too little GPU memory: {weights_gb:.1f} GB of weights need about {needed:.0f} GB, and {free:.0f} of "
            f"{total:.0f} GB are free; {taken}"
        )


def _python(llama: bool) -> Path:
    folder, lock = ENVIRONMENTS[llama]
    python = processes.ROOT / folder / "bin" / "python"
    if not any((processes.ROOT / folder).glob("lib/python3*/site-packages/vllm/__init__.py")):
        uv = Path(sys.executable).with_name("uv")
        raise EngineError(
            f"vLLM is not installed; it wants an environment of its own (about 10 GB, once):\n"
            f"  {uv} venv --python 3.12 {folder}\n"
            f"  {uv} pip install --python {folder}/bin/python --require-hashes -r {LOCKS}/{lock}"
        )
    return python


def _start(line: list[str], environment: dict[str, str]) -> processes.Child:
    mark = uuid.uuid4().hex
    child = processes.Child(
        line,
        env={**environment, processes.MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=processes.die_with_parent,
    )
    child.mark = mark
    assert child.stdout is not None  # noqa: S101
    threading.Thread(target=processes.forward, args=(child.stdout, "engine │"), daemon=True).start()
    return child


def _wait(child: processes.Child, port: int, names: Sequence[str], wait_s: float) -> None:
    """Return when every name answers a picture."""
    end, wrong = time.monotonic() + wait_s, ""
    waiting = list(names)
    while waiting:
        if child.poll() is not None:
            time.sleep(0.2)  # for its last lines
            raise EngineError(
                f"the engine ended before it was ready (status {child.returncode}); its last lines are above"
            )
        if time.monotonic() > end:
            raise EngineError(f"the engine did not answer within {wait_s:.0f} s ({waiting[0]}: {wrong})")
        wrong = probe(f"http://{HOST}:{port}/v1", waiting[0])
        if not wrong:
            waiting.pop(0)
        else:
            time.sleep(0.5)


def _tell(checkpoint: Checkpoint, port: int, name: str) -> None:
    settings = {
        "MELALOG_VLM_ENGINE": "openai",
        "MELALOG_VLM_BASE_URL": f"http://{HOST}:{port}/v1",
        "MELALOG_VLM_MODEL": checkpoint.adapters[0][0] if checkpoint.adapters else name,
    }
    if checkpoint.artifact is not None:
        settings["MELALOG_VLM_ARTIFACT"] = str(checkpoint.artifact.resolve())
    console.print("\n[bold green]The engine answers[/]. In another shell, before `make serve`:\n")
    for key, value in settings.items():
        console.print(f"  export {key}={value}", markup=False)
    if checkpoint.artifact is None:
        console.print("\nNo manifest.json beside it: its answers are shown, and uncalibrated they move no risk.")
    console.print("\nCtrl-C stops it.\n")
