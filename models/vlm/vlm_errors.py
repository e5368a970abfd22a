"""Errors of a base, an adapter or the machine. Every message says what to do."""


class VlmError(RuntimeError):
    """A problem outside the code, with a message for the user."""


class NoGpuError(VlmError):
    """The base or its quantization needs a CUDA GPU, and there is none."""


class MemoryTooSmallError(VlmError):
    """The estimated memory of the run is more than the machine has."""


class ShardingError(VlmError):
    """The launcher requests sharding that the trainer does not support."""


class MissingPackageError(VlmError):
    """An optional package is not installed."""


class BaseMissingError(VlmError):
    """The base model is neither a folder here nor a model on the hub."""


class GatedModelError(VlmError):
    """The hub holds the base model, and this account has no access to it."""


class AdapterError(VlmError):
    """The folder has no adapter for this base."""


class VisionAdapterError(AdapterError):
    """The adapter changes the vision tower, and the engine applies adapters to the language side only."""


class TokenizerError(VlmError):
    """The tokenizer or its chat template does not belong to this model or does not distinguish Yes from No."""


class VlmCheckpointError(VlmError):
    """A checkpoint is missing, not one of this model's, or was made by another run."""
