"""How vLLM is started, each flag with its reason. Standard library only: `python launch.py MODEL_DIR` in its image."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MODULE = "vllm.entrypoints.openai.api_server"
NAME = "melalog"
"""The model's name at its API: what MELALOG_VLM_MODEL asks for."""
PORT = 8100
_SMALL = 1_000_000
"""Bytes; a configuration has a few thousand, and a tokenizer, which is not searched, millions."""


@dataclass(frozen=True)
class Flag:
    """One option of vLLM. `only`: for which models; vLLM 0.10.2 serves `llama`, a current one everything else."""

    name: str
    value: str | None
    why: str
    only: str = ""


FLAGS = (
    Flag("--max-logprobs", "20", "what the vlm service asks for; more would be offered to nobody"),
    Flag("--limit-mm-per-prompt", '{"image": 1}', "one picture a question: a second one is refused before decoding"),
    Flag("--generation-config", "vllm", "no top_p or penalty out of the checkpoint's files: the raw distribution"),
    Flag("--mm-processor-cache-gb", "0", "no patient's picture stays in memory once it is answered"),
    Flag("--load-format", "safetensors", "weights in a format that can hold code are not read"),
    Flag("--disable-uvicorn-access-log", None, "the vlm service logs each request already, with its id"),
    Flag("--enforce-eager", None, "one token a request: a captured graph of the decoding step would never be used"),
    Flag("--max-num-seqs", "16", "each holds four tiles of vision features; measured limits: docs/operations.md"),
    Flag("--max-model-len", "8192", "four tiles are 6404 picture tokens, and they count", only="llama"),
    Flag(
        "--disable-frontend-multiprocessing",
        None,
        "engine and API in one process, the one that masked_server.py patches",
        only="llama",
    ),
    Flag("--max-model-len", "4096", "a canvas of 1120 pixels and the question", only="other"),
    Flag("--no-enable-prefix-caching", None, "no patient's features are kept for the next request", only="other"),
)
"""Not there on purpose: --allowed-local-media-path and --trust-remote-code (files and code of others are never read),
--enable-prompt-embeds (tensors of others are never loaded), --enable-log-requests (a log line would hold the prompt),
--api-key (0.10.2 compares it in a time that tells it, and only under /v1: the NetworkPolicy is the door)."""

ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",  # it would tell its maker about the machine
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",  # the folder is all there is: nothing is looked up by name
    "VLLM_CONFIGURE_LOGGING": "1",
    "VLLM_LOGGING_LEVEL": "INFO",  # DEBUG writes prompts
}
LLAMA_ENVIRONMENT = {
    "VLLM_USE_V1": "0",  # 0.10.2 has Llama 3.2 Vision in its first engine only
}


def options(*, llama: bool, name: str = NAME, adapters: Sequence[tuple[str, Path]] = ()) -> list[str]:
    """Options of vLLM for this kind of model."""
    kind = "llama" if llama else "other"
    chosen = [flag for flag in FLAGS if flag.only in ("", kind)]
    told = [part for flag in chosen for part in (flag.name, flag.value) if part is not None]
    return ["--served-model-name", name, *told, *adapting(adapters)]


def adapting(adapters: Sequence[tuple[str, Path]]) -> list[str]:
    """Options that load adapters at start, each under a model name of its own."""
    if not adapters:
        return []
    modules = [f"{name}={folder}" for name, folder in adapters]
    # 64 is the largest rank peft users pick in practice, and costs a few megabytes.
    return ["--enable-lora", "--max-lora-rank", "64", "--max-loras", str(len(adapters)), "--lora-modules", *modules]


def program(*, llama: bool) -> list[str]:
    """What Python is to run."""
    return [str(Path(__file__).with_name("masked_server.py"))] if llama else ["-m", MODULE]


def environment(*, llama: bool) -> dict[str, str]:
    """Variables vLLM is started with, on top of the process's own."""
    return ENVIRONMENT | (LLAMA_ENVIRONMENT if llama else {})


def main(arguments: Sequence[str]) -> None:
    """`MODEL_DIR [vLLM options]`, in place of this process. Listens on every address: it is alone in its pod."""
    if not arguments:
        raise SystemExit("usage: launch.py MODEL_DIR [vLLM options]")
    folder, *more = arguments
    host, port = os.environ.get("HOST", "0.0.0.0"), os.environ.get("PORT", str(PORT))  # noqa: S104
    llama = is_llama(Path(folder))
    if code := code_in(Path(folder)):
        raise SystemExit(f"{folder} carries code ({', '.join(code)}), which vLLM 0.10.2 would run: it is not started")
    os.environ.update(environment(llama=llama))
    command = [sys.executable, *program(llama=llama), "--model", folder, "--host", host, "--port", port]
    os.execv(sys.executable, [*command, *options(llama=llama), *more])  # noqa: S606


def code_in(folder: Path) -> list[str]:
    """Files by which a checkpoint makes vLLM 0.10.2 run code of its own, whatever is said of trust (CVE-2026-22807)."""
    named = [
        file.name
        for file in folder.glob("*.json")
        if file.stat().st_size < _SMALL and b'"auto_map"' in file.read_bytes()
    ]
    return sorted([*named, *(file.name for file in folder.glob("*.py"))])


def is_llama(folder: Path) -> bool:
    """Whether a checkpoint is a Llama 3.2 Vision."""
    told: dict[str, object] = json.loads((folder / "config.json").read_text())
    return told.get("model_type") == "mllama"


if __name__ == "__main__":
    main(sys.argv[1:])
