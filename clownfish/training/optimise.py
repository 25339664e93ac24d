"""The optimiser of a classifier: which layers learn, and how fast."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from clownfish.errors import ConfigError
from clownfish.models.adapter import Network
from clownfish.training.config import Fit


def choose_layers(network: Network, options: Fit) -> None:
    """Leave gradients to the parameters that `trained` and `frozen` choose.

    Raises ConfigError where a prefix names no parameter, or none is left to train.
    """
    names = [name for name, _ in network.named_parameters()]
    for key, prefixes in (("trained", options.trained), ("frozen", options.frozen)):
        for prefix in prefixes:
            if not any(name.startswith(prefix) for name in names):
                raise ConfigError(
                    f"fit.{key}: no parameter begins with {prefix!r}; the network's begin with "
                    f"{', '.join(sorted({name.partition('.')[0] + '.' for name in names}))}"
                )
    chosen = [n for n in names if n.startswith(options.trained or "") and not n.startswith(options.frozen)]
    if not chosen:
        raise ConfigError("fit.trained and fit.frozen leave no parameter to train")
    for name, parameter in network.named_parameters():
        parameter.requires_grad = name in chosen


def make_optimizer(network: Network, options: Fit) -> torch.optim.Optimizer:
    """Two groups: the body, then the last layer at its own rate, each as far as it is trained. Raises ConfigError."""
    choose_layers(network, options)
    last = {id(parameter) for parameter in last_layer(network).parameters()}
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if id(p) not in last], "lr": options.learning_rate},
        {"params": [p for p in trained if id(p) in last], "lr": options.head_learning_rate or options.learning_rate},
    ]
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, weight_decay=options.weight_decay)
    return torch.optim.SGD(groups, momentum=0.9, nesterov=True, weight_decay=options.weight_decay)


def last_layer(network: Network) -> nn.Linear:
    """The layer that makes logits of an embedding."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


def learning_rate_share(epoch: float, options: Fit) -> float:
    """Share of the peak rate at a point of training: linear up over the warm-up, then half a cosine down to 0, and so
    again from each restart."""
    begin = max((r for r in options.restarts if r <= epoch), default=0)
    end = min((r for r in options.restarts if r > epoch), default=options.epochs)
    warmup = options.warmup_epochs
    if epoch - begin < warmup:
        return (epoch - begin + 0.05) / (warmup + 0.05)
    return 0.5 * (1 + math.cos(math.pi * (epoch - begin - warmup) / max(end - begin - warmup, 1e-9)))


def set_learning_rate(optimizer: torch.optim.Optimizer, epoch: float, options: Fit) -> float:
    """Set what the schedule says at this point of training; returns the body's rate."""
    share = learning_rate_share(epoch, options)
    peaks = (options.learning_rate, options.head_learning_rate or options.learning_rate)
    for group, peak in zip(optimizer.param_groups, peaks, strict=True):
        group["lr"] = peak * share
    return peaks[0] * share


def train_mode(network: Network, freeze_batch_norm: bool) -> None:
    """Train mode, but for the statistics of batch norms that are told to keep them or that do not learn."""
    network.train()
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)) and (
            freeze_batch_norm or not any(p.requires_grad for p in module.parameters())
        ):
            module.eval()
