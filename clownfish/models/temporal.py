"""What a frame backbone makes of a window's features: their mean, or motion seen by a small convolution over time."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Temporal = Literal["mean", "conv"]


class MeanOverTime(nn.Module):
    """(batch, frames, features) → (batch, features). No weights; the order of the frames does not count."""

    def forward(self, features: Tensor) -> Tensor:
        return features.mean(dim=1)


class ConvOverTime(nn.Module):
    """(batch, frames, features) → (batch, features): two convolutions over three frames each, beside a shortcut, then
    the mean.

    A bottleneck of `hidden` channels keeps it small beside the backbone (1.1 M weights at 1280 features and 256). Its
    last layer begins at zero: untrained, it is `MeanOverTime`, and training begins where that one's ended.
    """

    def __init__(self, features: int, hidden: int = 256) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(features, hidden, 1, bias=False)
        self.bn1 = nn.BatchNorm1d(hidden)
        self.conv2 = nn.Conv1d(hidden, hidden, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm1d(hidden)
        self.conv3 = nn.Conv1d(hidden, hidden, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm1d(hidden)
        self.conv4 = nn.Conv1d(hidden, features, 1)
        nn.init.zeros_(self.conv4.weight)
        assert self.conv4.bias is not None
        nn.init.zeros_(self.conv4.bias)

    def forward(self, features: Tensor) -> Tensor:
        x = features.transpose(1, 2)
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.conv4(F.relu(self.bn3(self.conv3(y))))
        return torch.mean(x + y, dim=2)


def temporal_head(kind: Temporal, features: int, hidden: int) -> nn.Module:
    """Raises ValueError for an unknown kind."""
    if kind == "mean":
        return MeanOverTime()
    if kind == "conv":
        return ConvOverTime(features, hidden)
    raise ValueError(f"temporal is {kind!r}; there are 'mean' and 'conv'")
