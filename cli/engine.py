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
"""By whether the model is Llama 3.2 Vision: the environment with its vLLM, and the lock of that environment."""
LOCKS = "services/vlm/engine/vllm"
OVERHEAD, RESERVE_GB = 1.15, 3.0
"""GPU memory: the weights times OVERHEAD, plus CUDA, activations and the smallest useful cache in RESERVE_GB."""


class EngineError(RuntimeError):
    """The engine cannot start, or did not. The message says what to do."""


class _Stopped(Exception):  # noqa: N818  (not an error)
    """Ctrl-C, SIGTERM, or the terminal was closed."""


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint to serve."""

    folder: Path
    llama: bool
    artifact: Path | None
    adapters: tuple[tuple[str, Path], ...]

    @property
    def gigabytes(self) -> float:
        """Size of the weights."""
        return sum(file.stat().st_size for file in self.folder.glob("*.safetensors")) / 1e9


def command(
    model: Annotated[
        Path, typer.Argument(help="Folder of a merged checkpoint, or the one `melalog export vlm` wrote.")
    ],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.", min=1, max=65535)] = launch.PORT,
    adapter: Annotated[
        list[str] | None, typer.Option(help="LoRA adapter to load, as NAME=DIR (not for Llama 3.2). Repeatable.")
    ] = None,
    name: Annotated[str, typer.Option(help="The model's name at the API (MELALOG_VLM_MODEL).")] = launch.NAME,
    wait_s: Annotated[float, typer.Option(help="Seconds to wait until it answers.")] = 900,
) -> None:
    """Serve a vision-language model here with vLLM (needs an NVIDIA GPU); Ctrl-C stops it.

    Set MELALOG_ENGINE to use your own command instead; it is called with MODEL_DIR PORT OPTIONS.
    """
    for stop_signal in serve.STOP_SIGNALS:
        signal.signal(stop_signal, _on_signal)
    children: list[processes.Child] = []
    try:
        checkpoint = inspect(model, adapter or ())
        _check_port(port)
        children.append(_start(*_command(checkpoint, port, name)))
        _wait(children[0], port, [name, *(adapter_name for adapter_name, _ in checkpoint.adapters)], wait_s)
        _print_settings(checkpoint, port, name)
        children[0].wait()
        console.print("[red]the engine has ended; its last lines are above[/]")
    except (EngineError, CheckpointLayoutError) as error:
        console.print(str(error), style="red", markup=False)
    except _Stopped:
        console.print("\nstopping …")
        raise typer.Exit(0) from None
    finally:
        for stop_signal in serve.STOP_SIGNALS:
            signal.signal(stop_signal, signal.SIG_IGN)
        processes.stop(children)
    raise typer.Exit(1)


def _on_signal(*_: Any) -> None:
    raise _Stopped


def inspect(folder: Path, adapters: Sequence[str]) -> Checkpoint:
    """Check the folder before anything is started. Raises EngineError or CheckpointLayoutError."""
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
    loras = tuple(_adapter(option) for option in adapters)
    if llama and loras:
        raise EngineError(
            "vLLM cannot serve adapters on Llama 3.2 Vision: merge it into its base with `melalog export vlm`, and "
            "start the engine on the result"
        )
    if code := launch.code_in(folder):
        raise EngineError(
            f"{folder} contains code ({', '.join(code)}), which vLLM would run: such a checkpoint is not served"
        )
    if llama:
        check_layout(folder)
    artifact = next((one for one in (folder, folder.parent) if (one / "manifest.json").is_file()), None)
    return Checkpoint(folder.resolve(), llama, artifact, loras)


def _adapter(option: str) -> tuple[str, Path]:
    name, equals, folder = option.partition("=")
    if not (name and equals and folder):
        raise EngineError(f"--adapter {option}: write it as NAME=DIR")
    try:
        json.loads((Path(folder) / "adapter_config.json").read_bytes())
    except (OSError, ValueError):
        raise EngineError(f"{folder} is not an adapter: it has no readable adapter_config.json") from None
    return name, Path(folder).resolve()


def _command(checkpoint: Checkpoint, port: int, name: str) -> tuple[list[str], dict[str, str]]:
    """(command line, environment). Raises EngineError where this machine cannot run it."""
    environment = os.environ | launch.environment(llama=checkpoint.llama)
    model = str(checkpoint.folder)
    if command := os.environ.get("MELALOG_ENGINE"):
        if shutil.which(command) is None:
            raise EngineError(f"MELALOG_ENGINE={command} is not a command that can be run")
        # It sets its own limits; only the options of this command are passed on.
        options = ["--served-model-name", name, *launch.adapting(checkpoint.adapters)]
        return [command, model, str(port), *options], environment
    _check_gpu(checkpoint.gigabytes)
    program = [*launch.program(llama=checkpoint.llama), "--model", model, "--host", HOST, "--port", str(port)]
    options = launch.options(llama=checkpoint.llama, name=name, adapters=checkpoint.adapters)
    return [str(_python(checkpoint.llama)), *program, *options], environment


def _check_port(port: int) -> None:
    if not serve.is_free(HOST, port):
        raise EngineError(f"port {port} is in use: stop the program that uses it, or choose another with --port")


def _check_gpu(weights_gb: float) -> None:
    query = ["nvidia-smi", "--query-gpu=memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
        free, total = (int(part) * 1.048576 / 1000 for part in output.strip().splitlines()[0].split(","))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        raise EngineError(
            "nvidia-smi finds no NVIDIA GPU: start the engine on a machine that has one and set "
            "MELALOG_VLM_BASE_URL to it, or keep MELALOG_VLM_ENGINE=embedded, which needs none"
        ) from None
    needed = weights_gb * OVERHEAD + RESERVE_GB
    if needed > free:
        remedy = "another program uses the rest: stop it" if needed <= total else "use a larger GPU or a smaller model"
        raise EngineError(
            f"too little GPU memory: {weights_gb:.1f} GB of weights need about {needed:.0f} GB, and {free:.0f} of "
            f"{total:.0f} GB are free; {remedy}"
        )


def _python(llama: bool) -> Path:
    folder, lock = ENVIRONMENTS[llama]
    python = processes.ROOT / folder / "bin" / "python"
    if not any((processes.ROOT / folder).glob("lib/python3*/site-packages/vllm/__init__.py")):
        uv = Path(sys.executable).with_name("uv")
        raise EngineError(
            f"vLLM is not installed; it needs its own environment (about 10 GB, once):\n"
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
    """Return when every model answers about a test image."""
    end, problem = time.monotonic() + wait_s, ""
    waiting = list(names)
    while waiting:
        if child.poll() is not None:
            time.sleep(0.2)  # until its last lines are printed
            raise EngineError(
                f"the engine ended before it was ready (status {child.returncode}); its last lines are above"
            )
        if time.monotonic() > end:
            raise EngineError(f"the engine did not answer within {wait_s:.0f} s ({waiting[0]}: {problem})")
        problem = probe(f"http://{HOST}:{port}/v1", waiting[0])
        if not problem:
            waiting.pop(0)
        else:
            time.sleep(0.5)


def _print_settings(checkpoint: Checkpoint, port: int, name: str) -> None:
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
        console.print(
            "\nThere is no manifest.json next to it: its uncalibrated answers are shown and do not change a risk."
        )
    console.print("\nCtrl-C stops it.\n")
