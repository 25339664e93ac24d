"""A window's motion as channels of one picture: frame differences stacked, then a 2D residual network.

After the temporal stream of Simonyan and Zisserman, "Two-Stream Convolutional Networks for Action Recognition in
Videos" (NeurIPS 2014), differences in the place of optical flow. Where the camera stands still they show who moves
and nothing else; a tenth of a 3D network's work, and few examples suffice.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clownfish.models.residual import Block

LUMA = (0.299, 0.587, 0.114)
CHANNELS = (32, 64, 128, 256)
"""At width 1, by stage; each stage halves the picture."""

GRID = (4, 3)
"""Rows and columns in which the last stage is averaged: where in the figure something moves tells what it does."""


class StackedNet(nn.Module):
    """(batch, 3, frames, height, width) → logits (batch, classes).

    The picture is cut to the share `crop` of its width around where most moves. So many `frames` are taken, evenly
    spread over what comes, as the input channels depend on it; `width` scales all channels, `depth` is the number of
    blocks in each stage after the first, `dropout` acts in training.
    """

    def __init__(
        self,
        classes: int,
        frames: int = 16,
        width: float = 1.0,
        depth: int = 2,
        crop: float = 0.5,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.crop = crop
        channels = [int(c * width) for c in CHANNELS]
        self.register_buffer("luma", torch.tensor(LUMA).view(1, 3, 1, 1, 1), persistent=False)
        stacked = frames - 1 + 3
        self.bn0 = nn.BatchNorm2d(stacked)
        self.conv1 = nn.Conv2d(stacked, channels[0], 5, stride=2, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        layers: list[nn.Module] = []
        inputs = channels[0]
        for stage, outputs in enumerate(channels):
            for i in range(depth if stage > 0 else 1):
                layers.append(Block(inputs, outputs, 2 if stage > 0 and i == 0 else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(inputs * GRID[0] * GRID[1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Block):
                nn.init.zeros_(module.bn2.weight)  # each block begins as its shortcut, which trains faster

    def stack(self, x: Tensor) -> Tensor:
        """Differences of neighbouring frames' luma, then the middle frame, cut to where most moves: (batch,
        frames + 2, height, crop · width)."""
        if x.shape[2] != self.frames:
            x = x[:, :, torch.linspace(0, x.shape[2] - 1, self.frames).round().long()]
        luma = (x * self.luma.to(x.dtype)).sum(1)  # type: ignore[operator]
        differences = luma[:, 1:] - luma[:, :-1]
        stacked = torch.cat([differences, x[:, :, self.frames // 2]], dim=1)
        width = max(round(self.crop * x.shape[4]), 1)
        first = busiest(differences, width)
        columns = (first[:, None] + torch.arange(width, device=x.device))[:, None, None, :]
        cut = stacked.gather(3, columns.expand(-1, stacked.shape[1], stacked.shape[2], -1))
        return cut.contiguous(memory_format=torch.channels_last)

    def embed(self, x: Tensor) -> Tensor:
        """The last stage's means over a grid, shape (batch, 3072 · width)."""
        x = F.relu(self.bn1(self.conv1(self.bn0(self.stack(x)))))
        return F.adaptive_avg_pool2d(self.blocks(x), GRID).flatten(1)

    def head(self, embedding: Tensor) -> Tensor:
        """Logits of an embedding."""
        logits: Tensor = self.fc(self.dropout(embedding))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))


def busiest(differences: Tensor, width: int) -> Tensor:
    """First column of the strip, `width` columns wide, in whose middle most moves: (batch,) integers.

    `differences` is (batch, frames, height, columns).
    """
    energy = differences.float().abs().mean(dim=(1, 2))[:, None]
    energy = energy - energy.amin(dim=2, keepdim=True)
    box = max(width // 2, 1) // 2 * 2 + 1
    for _ in range(2):  # two boxes make a triangle, whose peak is the middle of what moves
        energy = F.avg_pool1d(energy, box, stride=1, padding=box // 2)
    middle = energy[:, 0].argmax(dim=1)
    return (middle - width // 2).clamp(0, differences.shape[3] - width)
