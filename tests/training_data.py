"""Clips for training tests: two classes, one of them brighter, as frames in memory; and configurations for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clownfish.datasets.base import Clip
from clownfish.training.cache import FrameCache
from clownfish.training.config import ClassifierConfig

CLASSES = ("dark", "bright")
FRAMES = 20


class Small(nn.Module):
    """A network of one's own, named in a configuration as module:factory: fast, and learns within a second."""

    def __init__(self, classes: int, width: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, width, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm3d(width)
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(width, classes)

    def embed(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x))).mean((2, 3, 4))

    def head(self, embedding: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.dropout(embedding))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))


def clips_in_memory(count: int = 12, size: tuple[int, int] = (20, 16)) -> tuple[FrameCache, list[Clip]]:
    """(cache, clips), the classes by turns; size = (width, height)."""
    rng = np.random.default_rng(0)
    frames = rng.integers(60, 120, (count, FRAMES, size[1], size[0], 3), np.uint8)
    frames[1::2] += 100
    clips = [Clip(Path(f"{n}.mp4"), CLASSES[n % 2], n, FRAMES) for n in range(count)]
    spans = {clip.path.name: (FRAMES * n, FRAMES * (n + 1)) for n, clip in enumerate(clips)}
    return FrameCache(frames.reshape(-1, *frames.shape[2:]), spans, 1), clips


def tiny_config(folder: Path, fit: dict[str, Any] | None = None, **more: Any) -> ClassifierConfig:
    """`Small` on them."""
    return ClassifierConfig.model_validate(
        {
            "name": "tiny",
            "seed": 3,
            "output": folder / "out" / "tiny",
            "runs": folder / "runs",
            "architecture": "tests.training_data:Small",
            "options": {},
            "feature": "logits",
            "input": {"width": 16, "height": 16, "window_size": 8, "mean": (127, 127, 127), "std": (70, 70, 70)},
            "data": {"dataset": "ucf9", "root": ".", "validation_groups": (2,), "cache_width": 20, "cache_height": 16},
            "fit": {"epochs": 3, "batch": 4, "learning_rate": 0.05, "warmup_epochs": 0} | (fit or {}),
        }
        | more
    )
