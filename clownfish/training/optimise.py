"""The optimiser of a classifier: which layers learn, how fast, and one step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from clownfish.errors import ModelError
from clownfish.models.adapter import Network
from clownfish.training.config import ClassifierConfig, Fit


def make_optimizer(network: Network, config: ClassifierConfig) -> torch.optim.Optimizer:
    """Two groups: the body as far as it is not frozen, then the last layer at its own rate."""
    options = config.fit
    for name, parameter in network.named_parameters():
        parameter.requires_grad = not name.startswith(options.frozen)
    body = [p for p in _embedding_parameters(network) if p.requires_grad]
    known = {id(p) for p in _embedding_parameters(network)}
    head = [p for p in network.parameters() if id(p) not in known]
    groups: list[dict[str, Any]] = [
        {"params": body, "lr": options.learning_rate},
        {"params": head, "lr": options.head_learning_rate or options.learning_rate},
    ]
    if options.optimizer == "adamw":
        return torch.optim.AdamW(groups, weight_decay=options.weight_decay)
    return torch.optim.SGD(groups, momentum=0.9, nesterov=True, weight_decay=options.weight_decay)


def last_layer(network: Network) -> nn.Linear:
    """The layer that makes logits of an embedding."""
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


def _embedding_parameters(network: Network) -> list[nn.Parameter]:
    """All parameters but those of the last linear layer."""
    own = {id(parameter) for parameter in last_layer(network).parameters()}
    return [parameter for parameter in network.parameters() if id(parameter) not in own]


def learning_rate_share(epoch: float, options: Fit) -> float:
    """Share of the peak rate at a point of training: linear up over the warm-up, then half a cosine down to 0, and so
    again from each restart."""
    begin = max((r for r in options.restarts if r <= epoch), default=0)
    end = min((r for r in options.restarts if r > epoch), default=options.epochs)
    warmup = options.warmup_epochs
    if epoch - begin < warmup:
        return (epoch - begin + 0.05) / (warmup + 0.05)
    return 0.5 * (1 + math.cos(math.pi * (epoch - begin - warmup) / max(end - begin - warmup, 1e-9)))


def train_mode(network: Network, freeze_batch_norm: bool) -> None:
    network.train()
    if freeze_batch_norm:
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
                module.eval()


def step(loss: Tensor, optimizer: torch.optim.Optimizer, where: str) -> None:
    if not torch.isfinite(loss):
        raise ModelError(
            f"the loss is {loss.item()} at {where}: lower learning_rate, then start again from the checkpoint"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
