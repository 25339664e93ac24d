"""3D MobileNet v1 with a width multiplier, the paper's local model (§VI-A).

Layers, names and shapes are those of the public Efficient-3DCNNs checkpoints (Köpüklü et al., "Resource Efficient 3D
Convolutional Neural Networks", ICCVW 2019): `features.0.0.weight` … `classifier.1.bias`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STAGES = ((64, 1, 2), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 1))
"""(channels at width 1, blocks, stride of the first block in time and space)."""


class Block(nn.Module):
    """Depthwise 3×3×3, then pointwise, each with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
        self.bn1 = nn.BatchNorm3d(inputs)
        self.conv2 = nn.Conv3d(inputs, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)))


class MobileNet3d(nn.Module):
    """(batch, 3, time, height, width) → logits (batch, classes). `width` scales all channels; `dropout` acts in
    training."""

    def __init__(self, classes: int, width: float = 1.0, dropout: float = 0.2) -> None:
        super().__init__()
        channels = int(32 * width)
        stem = nn.Sequential(
            nn.Conv3d(3, channels, 3, stride=(1, 2, 2), padding=1, bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU(),
        )
        layers: list[nn.Module] = [stem]
        for base, blocks, stride in STAGES:
            outputs = int(base * width)
            for i in range(blocks):
                layers.append(Block(channels, outputs, stride if i == 0 else 1))
                channels = outputs
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels, classes))
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def embed(self, x: Tensor) -> Tensor:
        """The pooled embedding, shape (batch, 1024 · width)."""
        return torch.mean(self.features(x), dim=(2, 3, 4))

    def head(self, embedding: Tensor) -> Tensor:
        """Logits of an embedding."""
        logits: Tensor = self.classifier(embedding)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))
