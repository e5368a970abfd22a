"""Where a network's first weights come from. No file is read in a way that could run code from it."""

import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import timm
import torch
from onnx import numpy_helper
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.classifier.serving.artifact import MODEL_FILE, ClassifierArtifact
from models.classifier.training.config import TrainConfig, expand
from models.common.artifact import ArtifactError
from models.common.files import replacing

State = Mapping[str, Tensor]
WRAPPERS = ("state_dict", "model", "network")
"""Keys under which checkpoints of other programs keep their weights."""


def initialise(network: Any, config: TrainConfig, sample: Callable[[], Tensor]) -> None:
    """Give `network` the weights that `config.initial` names.

    `sample`: normalised pictures [N, 3, S, S], asked for only where batch norm has to be unfolded.
    Raises FileNotFoundError or ValueError, saying what does not fit.
    """
    if config.initial == "imagenet":
        fill(network, _imagenet(config), f"the ImageNet weights of {config.backbone}", config.backbone)
    elif config.initial is not None:
        path = expand(config.initial)
        if not path.exists():
            raise FileNotFoundError(f"initial: there is no {path}")
        if path.suffix == ".npz":
            unfold(network, _folded(network, path), sample())
        elif path.is_dir():
            _from_released(network, path, sample)
        else:
            state, metadata = read(path)
            fill(network, state, str(path), config.backbone, metadata.get("backbone", ""))
    if config.zero_head:
        for parameter in network.get_classifier().parameters():
            nn.init.zeros_(parameter)


def _imagenet(config: TrainConfig) -> State:
    try:
        loaded: nn.Module = timm.create_model(config.backbone, pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"initial: imagenet: the weights of {config.backbone} cannot be had ({reason}). Without a way to the hub, "
            "set initial to a local .safetensors or .pth file, or to null for random weights"
        ) from None
    return loaded.state_dict()


def read(path: Path) -> tuple[State, dict[str, str]]:
    """(weights by name, metadata) of a .safetensors or a .pth file. Raises ValueError for anything else."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(
            f"{path} holds more than weights, and reading it could run code: save its state_dict alone"
        ) from None
    except Exception as error:  # noqa: BLE001  (torch's unpickler raises anything for bytes that are no pickle)
        raise ValueError(f"{path} is no file of weights: {error}") from None
    for key in WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not any(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path} holds no weights by name")
    return {name.removeprefix("module."): value for name, value in found.items() if isinstance(value, Tensor)}, {}


def write(network: nn.Module, path: Path, metadata: dict[str, str]) -> None:
    """Weights as .safetensors, with what `read` gives back; in place only when all is on disk."""
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    try:
        with replacing(path) as unfinished:
            save_file(state, unfinished, metadata)
    except SafetensorError as error:
        raise OSError(str(error)) from None


def fill(network: Any, state: State, name: str, backbone: str, made_for: str = "") -> None:
    """Copy weights by name; a classifier layer of other classes stays as it is. Raises ValueError if others differ."""
    heads = {id(p) for p in network.get_classifier().parameters()}
    own = network.state_dict()
    head = {key for key, p in network.named_parameters() if id(p) in heads}
    fits = {key: state[key] for key in own if key in state and state[key].shape == own[key].shape}
    missing = [key for key in own if key not in fits and key not in head and not key.endswith("num_batches_tracked")]
    if missing:
        whose = f" (it was made for {made_for})" if made_for and made_for != backbone else ""
        raise ValueError(
            f"{name} does not fit the network {backbone}{whose}: {len(missing)} of {len(own)} weights are missing or "
            f"of another shape, the first is {missing[0]}. Set backbone to the network it belongs to"
        )
    network.load_state_dict(fits, strict=False)


Convolutions = Mapping[str, tuple[Tensor, Tensor]]
"""Weight and bias by the name of the convolution, batch norm folded into both."""


def unfold(network: nn.Module, folded: Convolutions, pictures: Tensor) -> None:
    """Give folded convolutions their batch norm back, from what it would have seen of `pictures` [N, 3, H, W].

    Each norm gets the mean and variance of its input as running figures, and the scale and shift that undo them: the
    network computes what the folded one did, and can be trained on.
    """
    handles = []
    for name, conv, norm in _pairs(network):
        if name not in folded:
            continue
        weight, bias = folded[name]
        if weight.shape != conv.weight.shape:
            raise ValueError(f"the folded weights are of another network: {name} is {tuple(weight.shape)} there")
        with torch.no_grad():
            conv.weight.copy_(weight)
        handles.append(norm.register_forward_pre_hook(_restore(bias)))
    if not handles:
        raise ValueError("the folded weights are of another network: no convolution of this one is among them")
    training = network.training
    network.eval()
    with torch.no_grad():
        network(pictures)
    network.train(training)
    for handle in handles:
        handle.remove()


def _restore(bias: Tensor) -> Callable[[Any, tuple[Tensor, ...]], None]:
    def before(norm: Any, seen: tuple[Tensor, ...]) -> None:
        values = seen[0].float()
        mean, variance = values.mean((0, 2, 3)), values.var((0, 2, 3), unbiased=False)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(bias.to(mean.device) + mean)

    return before


def _pairs(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d, nn.Module]]:
    """(name, convolution, the batch norm right after it)."""
    modules = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.Conv2d | _BatchNorm)]
    for (name, conv), (_, norm) in pairwise(modules):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, _BatchNorm):
            yield name, conv, norm


def _folded(network: nn.Module, path: Path) -> Convolutions:
    """Convolutions of a folded .npz, by their order; its last layer is the classifier's and is left out."""
    try:
        with np.load(path, allow_pickle=False) as file:
            layers = len(json.loads(bytes(file["meta_json"]).decode())) - 1
            arrays = [(torch.from_numpy(file[f"conv{i:02d}_weight"]), torch.from_numpy(file[f"conv{i:02d}_bias"]))
                      for i in range(layers)]  # fmt: skip
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no file of folded convolutions: {error}") from None
    names = [name for name, _, _ in _pairs(network)]
    if len(names) != len(arrays) or _uncovered(network):
        raise ValueError(f"{path} holds {len(arrays)} convolutions, and this network has {len(names)}: another network")
    return dict(zip(names, arrays, strict=True))


def _uncovered(network: Any) -> list[str]:
    """Weights that are neither of a convolution with batch norm nor of the classifier layer."""
    heads = {id(p) for p in network.get_classifier().parameters()}
    inside = {id(p) for _, conv, norm in _pairs(network) for module in (conv, norm) for p in module.parameters()}
    return [name for name, p in network.named_parameters() if id(p) not in heads | inside]


def _from_released(network: Any, folder: Path, sample: Callable[[], Tensor]) -> None:
    """From the graph of a released folder, in which batch norm is folded into the convolutions."""
    try:
        ClassifierArtifact.load(folder)
        tensors = onnx.load(folder / MODEL_FILE).graph.initializer
    except (ArtifactError, OSError) as error:
        raise ValueError(f"initial: {folder} is no released classifier: {error}") from None
    stored = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in tensors}
    first = next(name for name, _ in network.named_parameters())
    prefixes = sorted(name.removesuffix(first) for name in stored if name.endswith(first)) or [""]
    problems = []
    for prefix in prefixes:  # an ensemble holds several networks: the first that fits is taken
        member = {name.removeprefix(prefix): t for name, t in stored.items() if name.startswith(prefix)}
        problem = _from_member(network, member, sample)
        if not problem:
            return
        problems.append(problem)
    raise ValueError(f"initial: {folder} is of another network: it has no {problems[0]}")


def _from_member(network: Any, stored: State, sample: Callable[[], Tensor]) -> str:
    """Fill the network and return nothing, or return the first weight that is missing and leave it alone."""
    folded = {
        name: (stored[f"{name}.weight"], stored[f"{name}.weight_bias"])
        for name, _, _ in _pairs(network)
        if f"{name}.weight_bias" in stored
    }
    normed = {f"{name}.weight" for name in folded}
    norms = {key for name, m in network.named_modules() if isinstance(m, _BatchNorm) for key in _keys(name)}
    missing = [
        key
        for key, p in network.named_parameters()
        if key not in normed | norms and (key not in stored or stored[key].shape != p.shape)
    ]
    if missing or not folded:
        return missing[0] if missing else "batch norm"
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if key not in normed | norms:
                parameter.copy_(stored[key])
    unfold(network, folded, sample())
    return ""


def _keys(name: str) -> tuple[str, str]:
    return f"{name}.weight", f"{name}.bias"
