"""Which weights are trained, at which rate and with which decay."""

from typing import Any

from timm.optim import param_groups_layer_decay  # type: ignore[attr-defined]
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from models.classifier.training.config import Optimiser


def freeze(network: Any, frozen: bool) -> None:
    """Let only the classifier layer be trained, or everything."""
    for parameter in network.parameters():
        parameter.requires_grad_(not frozen)
    for parameter in network.get_classifier().parameters():
        parameter.requires_grad_(True)


def set_mode(network: nn.Module, frozen: bool, freeze_batch_norm: bool) -> None:
    """Training mode, but for what is frozen: its batch norm and dropout stay as when serving."""
    network.train()
    for module in network.modules():
        if (frozen and module is not network) or (freeze_batch_norm and isinstance(module, _BatchNorm)):
            module.eval()


def groups(network: Any, optimiser: Optimiser) -> list[dict[str, Any]]:
    """AdamW's groups of what is trained. `highest` is the rate that the schedule is a share of.

    No weight decay on norms and biases: there it only does harm.
    """
    heads = {id(p) for p in network.get_classifier().parameters()}
    found: list[dict[str, Any]] = []
    for part in _by_layer(network, optimiser):
        for is_head in (False, True):
            parameters = [p for p in part["params"] if (id(p) in heads) is is_head]
            if not parameters:
                continue
            rate, decay = optimiser.lr * part.get("lr_scale", 1.0), part["weight_decay"]
            if is_head:
                rate = optimiser.head_lr or optimiser.lr
                if decay and optimiser.head_weight_decay is not None:
                    decay = optimiser.head_weight_decay
            found.append({"params": parameters, "weight_decay": decay, "lr": rate, "highest": rate})
    return found


def _by_layer(network: Any, optimiser: Optimiser) -> list[dict[str, Any]]:
    if optimiser.layer_decay < 1:
        layers: list[dict[str, Any]] = param_groups_layer_decay(
            network, weight_decay=optimiser.weight_decay, layer_decay=optimiser.layer_decay
        )
        return layers
    trained = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": optimiser.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
