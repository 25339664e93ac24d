"""Small model files for tests: real architectures with random weights, written as `clownfish train` writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from clownfish.messages import Pixels
from clownfish.models.adapter import Network, network_input
from clownfish.models.description import InputDescription, ModelDescription
from clownfish.models.load import build
from clownfish.training.export import export

CLASSES = ("bow", "clap", "wave")


def write_model(folder: Path, name: str, classes: tuple[str, ...] = CLASSES, width: float = 0.25, seed: int = 0) -> str:
    """Write a random 3D MobileNet; returns what a configuration calls it."""
    description = ModelDescription(
        name=name,
        architecture="mobilenet3d",
        options={"width": width},
        classes=classes,
        input=InputDescription(width=32, height=32, window_size=16, mean=(114.0, 114.0, 114.0), std=(58.0, 58.0, 58.0)),
        feature="logits",
        temperature=1.0,
    )
    torch.manual_seed(seed)
    export(folder / name, build(description), description)
    return str(folder / name)


def answering(description: ModelDescription, windows: Sequence[Sequence[Pixels]]) -> Network:
    """A network of fixed random weights whose answers differ from window to window, as a trained one's do."""
    torch.manual_seed(0)
    network = build(description)
    x = network_input(windows, description.input, torch.device("cpu"), torch.float32)
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            module.momentum = None  # statistics are the plain mean over what comes
    with torch.no_grad():
        network.train()(x)
        embedding = network.eval().embed(x)
        spread = (embedding - embedding.mean(0)).norm(dim=1).mean()
        linear = next(m for m in network.modules() if isinstance(m, nn.Linear))
        directions = torch.linalg.qr(torch.randn(embedding.shape[1], len(description.classes)))[0].T
        linear.weight.copy_(directions * 6 / spread * embedding.shape[1] ** 0.5 / 3)
        linear.bias.copy_(-(embedding.mean(0) @ linear.weight.T))
    return network
