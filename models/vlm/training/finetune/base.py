"""Locate, check and load a base model; every check runs before weights are downloaded or loaded."""

import json
import os
from pathlib import Path
from typing import Any

import psutil
import torch

from models.vlm.data import conversation
from models.vlm.training.finetune.finetune_config import FinetuneConfig
from models.vlm.vlm_errors import (
    BaseMissingError,
    GatedModelError,
    MemoryTooSmallError,
    MissingPackageError,
    NoGpuError,
)

CPU_LIMIT = 2_000_000_000
"""Largest number of parameters for a CPU: the 11B model would take more than a minute per image."""
CONFIGURATION = ("*.json", "*.jinja")
WEIGHTS = (*CONFIGURATION, "*.safetensors")
GIB = 1 << 30


def locate(base: str, revision: str | None = None, *, only_config: bool = False) -> Path:
    """Folder of a base: a local folder, or a hub model fetched to the cache (`only_config`: all but its weights).

    Raises BaseMissingError and GatedModelError.
    """
    folder = Path(base)
    if (folder / "config.json").is_file():
        return folder
    if folder.exists() or base.startswith((".", "/", "~")) or base.count("/") != 1:
        raise BaseMissingError(f"{base} is not a folder with a config.json: give a Hugging Face model folder or name")
    from huggingface_hub import errors, snapshot_download  # noqa: PLC0415  (local folders do not need it)

    patterns = CONFIGURATION if only_config else WEIGHTS
    try:
        return Path(snapshot_download(base, revision=revision, allow_patterns=list(patterns)))
    except errors.GatedRepoError as error:
        raise GatedModelError(
            f"{base} is gated: request access on its model page (and accept its licence), then run "
            "`hf auth login` or set HF_TOKEN"
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise BaseMissingError(
            f"the hub has no {base} (revision {revision or 'main'}), or it is private: check the name; with "
            "access, run `hf auth login` or set HF_TOKEN"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise BaseMissingError(
            f"{base} is not in the cache and the hub cannot be reached: connect, or copy the model here and give its "
            "folder as base"
        ) from error
    except errors.HfHubHTTPError as error:
        raise _refused(base, error) from error


def _refused(base: str, error: Any) -> Exception:
    status = getattr(error.response, "status_code", None)
    if status in (401, 403):
        return GatedModelError(
            f"the hub refuses {base} ({status}): request access on its model page, then run `hf auth login` or set "
            "HF_TOKEN to a token that may read gated models"
        )
    return BaseMissingError(f"the hub answered {status} for {base}: try again later, or give a local folder as base")


def read_config(folder: Path) -> Any:
    """The base's configuration. Raises BaseMissingError when it is no Llama 3.2 Vision."""
    from models.vlm.network import pretrained  # noqa: PLC0415  (transformers takes seconds to import)

    kind = json.loads((folder / "config.json").read_text()).get("model_type")
    if kind != "mllama":
        raise BaseMissingError(f"{folder} holds a model of type {kind!r}: this fine-tuning is for Llama 3.2 Vision")
    return pretrained.read_config(folder)


def count(config: Any) -> int:
    """Number of parameters of this configuration, without allocating them."""
    from transformers import MllamaForConditionalGeneration  # noqa: PLC0415

    with torch.device("meta"):
        return sum(p.numel() for p in MllamaForConditionalGeneration(config).parameters())


def needed(parameters: int, config: FinetuneConfig, processes: int = 1, *, gpu: bool = True) -> int:
    """Estimated bytes a device needs: weights, what training adds to each trained weight, and activations.

    Frozen weights take 2 bytes (bf16 on a GPU), 0.6 (4-bit with its scales) or 4 (else), trained ones 16: value,
    gradient and Adam's two moments in fp32. Both are shared among FSDP's processes; a fifth is added for activations.
    """
    if config.lora is None:
        resident = 16.0 * parameters
    else:
        width = 0.6 if config.quantization == "4bit" else 2.0 if gpu and config.precision == "bf16" else 4.0
        resident = width * parameters + 16 * 0.01 * parameters  # adapters stay under a hundredth
    return int(1.2 * resident / processes)


def check_machine(config: FinetuneConfig, folder: Path) -> None:
    """Raise NoGpuError, MissingPackageError or MemoryTooSmallError for a machine that cannot run this plan."""
    parameters = count(read_config(folder))
    gpu = torch.cuda.is_available()
    if config.quantization == "4bit":
        _check_quantization(gpu=gpu)
    if not gpu and parameters > CPU_LIMIT:
        raise NoGpuError(
            f"{config.base} has {parameters / 1e9:.0f} billion parameters and there is no CUDA GPU here: use a machine "
            "with one, or a small base (models/vlm/configs/small-lora.yaml)"
        )
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    processes = int(os.environ.get("WORLD_SIZE", "1")) if sharded else 1
    required = needed(parameters, config, processes, gpu=gpu)
    available = int(torch.cuda.mem_get_info()[1]) if gpu else psutil.virtual_memory().available
    if required > available:
        raise MemoryTooSmallError(
            f"this run needs about {required / GIB:.1f} GiB on {'each GPU' if gpu else 'this machine'} and there "
            f"are {available / GIB:.1f}: use lora, quantization: 4bit, more GPUs (models/vlm/configs/fsdp-8gpu.yaml)"
        )


def _check_quantization(*, gpu: bool) -> None:
    if not gpu:
        raise NoGpuError("quantization: 4bit needs a CUDA GPU: set quantization: none, or use a machine with one")
    try:
        import bitsandbytes  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingPackageError(
            "quantization: 4bit needs bitsandbytes: `pip install 'melalog[quantized]'`"
        ) from error


def load_processor(folder: Path, model_config: Any) -> Any:
    """The base's own processor. Raises TokenizerError when it is not this model's."""
    from transformers import MllamaProcessor  # noqa: PLC0415

    processor = MllamaProcessor.from_pretrained(folder)
    processor.tokenizer.padding_side = "right"
    conversation.check_tokenizer(processor, model_config)
    return processor


def load(folder: Path, config: FinetuneConfig) -> Any:
    """The model in evaluation mode, before accelerate moves it to its device.

    Frozen weights are loaded in the precision of computation; trained weights in fp32, because steps of 1e-5
    vanish in bf16.
    """
    from models.vlm.network import pretrained  # noqa: PLC0415

    half = config.precision == "bf16" and config.lora is not None and torch.cuda.is_available()
    options: dict[str, Any] = {"dtype": torch.bfloat16 if half else torch.float32}
    options["attn_implementation"] = config.attention
    if config.quantization == "4bit":
        import transformers  # noqa: PLC0415

        four_bits: Any = transformers.BitsAndBytesConfig  # without annotations
        options["quantization_config"] = four_bits(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
            bnb_4bit_quant_storage=torch.bfloat16,  # what FSDP can cut into shards
        )
        options["device_map"] = {"": int(os.environ.get("LOCAL_RANK", "0"))}
    return pretrained.load(folder, **options)
