"""Cross-validation begins with weights that know no lesion: else a network judges pictures it has learned from."""

from pathlib import Path
from typing import Any

from models.classifier.network import initial_weights, networks
from models.classifier.training.config import TrainConfig, expand

IMAGENET_CLASSES = 1000
"""Outputs of the smallest ImageNet; a classifier layer with fewer was trained for something else."""
FILES = (".npz", ".pth", ".safetensors")
LEAK = (
    "it may have learned the very pictures that each fold is to judge, and every figure would look better than it is. "
    "Train the folds from --set initial=null, initial=imagenet or a file of ImageNet weights, "
    "with --set distillation=null"
)


def check(config: TrainConfig) -> None:
    """Raise ValueError, saying why and what to do, for a teacher and for first weights that are not ImageNet's.

    What a file without a classifier layer has learned cannot be seen. Raises FileNotFoundError for a missing file.
    """
    if config.distillation is not None:
        raise ValueError(f"cross-validation refuses the teacher {config.distillation.teacher}: {LEAK}")
    if config.initial is None or config.initial == "imagenet":
        return
    path = expand(config.initial)
    if not path.exists():
        raise FileNotFoundError(f"initial: there is no {path}")
    known = _known(config, path)
    if known:
        raise ValueError(f"cross-validation refuses initial: {path}: {known}, and {LEAK}")


def _known(config: TrainConfig, path: Path) -> str:
    """Why the weights are not ImageNet's; empty where nothing speaks against them."""
    if path.is_dir():
        return "it is the folder of a released classifier or of a run"
    if path.suffix not in FILES:
        return f"it is none of {', '.join(FILES)}, as files of ImageNet weights are"
    if path.suffix == ".npz":  # no run or release is written in this form
        return ""
    state, metadata = initial_weights.read(path)
    if "backbone" in metadata:
        return "it is the network of another run"
    outputs = _outputs(config, state)
    if outputs is not None and outputs < IMAGENET_CLASSES:
        return f"its classifier layer has {outputs} outputs, and ImageNet's has {IMAGENET_CLASSES} or more"
    return ""


def _outputs(config: TrainConfig, state: initial_weights.State) -> int | None:
    """Outputs of the classifier layer in a file of weights; None where it has no such layer."""
    built: Any = networks.build(config.backbone, pad_type=config.pad_type)
    heads = {id(parameter) for parameter in built.get_classifier().parameters()}
    names = [name for name, parameter in built.named_parameters() if id(parameter) in heads]
    return next((len(state[name]) for name in names if name in state), None)
