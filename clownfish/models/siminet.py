"""SimiNet for training (§III-C, Fig. 6). What runs beside the local model is its numpy twin, `similarity.siminet`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SimiNetModule(nn.Module):
    """Four layers: the two windows' features in order, two hidden ones with ReLU, one sigmoid unit."""

    def __init__(self, feature_size: int, hidden: int = 1024) -> None:
        super().__init__()
        self.fc1 = nn.Linear(2 * feature_size, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, 1)

    def logit(self, previous: Tensor, current: Tensor) -> Tensor:
        """ρ before the sigmoid, shape (batch,); features of shape (batch, feature_size)."""
        x = torch.cat([previous, current], dim=1)
        x = F.relu(self.fc2(F.relu(self.fc1(x))))
        logit: Tensor = self.fc3(x)[:, 0]
        return logit

    def forward(self, previous: Tensor, current: Tensor) -> Tensor:
        """ρ in [0, 1], shape (batch,)."""
        return torch.sigmoid(self.logit(previous, current))
