"""Small model files for tests: real architectures with random weights, written as `clownfish train` writes them."""

from __future__ import annotations

from pathlib import Path

import torch

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
