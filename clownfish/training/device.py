"""A network that computes on a GPU for code that lives on the CPU: validation streams, probes, pairs for SimiNet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from clownfish.models.adapter import Network


class _There(nn.Module):
    """`embed` and `head` with tensors that come from and go back to the CPU."""

    def __init__(self, network: Network, device: torch.device) -> None:
        super().__init__()
        self.network = network
        self._device = device

    def embed(self, x: Tensor) -> Tensor:
        return self.network.embed(x.to(self._device)).float().cpu()

    def head(self, embedding: Tensor) -> Tensor:
        return self.network.head(embedding.to(self._device)).float().cpu()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))


@contextmanager
def on_device(network: Network, device: torch.device) -> Iterator[Network]:
    """The network itself on a CPU, else one that computes on `device` meanwhile; afterwards it is on the CPU."""
    if device.type == "cpu":
        yield network
        return
    try:
        yield cast(Network, _There(network.to(device), device).train(network.training))
    finally:
        network.to("cpu")
