"""What can be wrong with a base, an adapter or the machine. Every message says what to do about it."""


class VlmError(RuntimeError):
    """Something outside the code is wrong; the message is for the person who can change it."""


class NoGpuError(VlmError):
    """There is no CUDA GPU, and the base or the way of loading it wants one."""


class MemoryTooSmallError(VlmError):
    """The estimate of what the run needs is more than the machine has."""


class ShardingError(VlmError):
    """The launcher asks for a kind of sharding that the trainer does not do."""


class MissingPackageError(VlmError):
    """An optional package is not installed."""


class BaseMissingError(VlmError):
    """The base model is neither a folder here nor a model on the hub."""


class GatedModelError(VlmError):
    """The hub holds the base model, and this account may not read it."""


class AdapterError(VlmError):
    """The folder holds no adapter for this base."""


class VisionAdapterError(AdapterError):
    """The adapter changes the vision tower, and the engine applies adapters to the language side only."""


class TokenizerError(VlmError):
    """The tokenizer or its chat template does not belong to this model or cannot tell Yes from No."""


class CheckpointError(VlmError):
    """A checkpoint is missing, not one of this model's, or was made by another run."""
