"""3D ResNet-10, -18 and -34, the family of the paper's remote models (§VI-A).

Layers, names and shapes are those of the public 3D-ResNets-PyTorch checkpoints (Hara, Kataoka, Satoh, "Can
Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", CVPR 2018): `conv1.weight`,
`layer1.0.conv1.weight` … `fc.bias`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DEPTHS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Basic blocks per stage."""

CHANNELS = (64, 128, 256, 512)

Shortcut = Literal["A", "B"]


class ShortcutA(nn.Module):
    """Shortcut without weights: subsample, and fill the new channels with zeros."""

    def __init__(self, outputs: int, stride: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, 0, 0, 0, self.outputs - x.shape[1]))


class BasicBlock(nn.Module):
    """Two 3×3×3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm3d(outputs)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = (
                ShortcutA(outputs, stride)
                if shortcut == "A"
                else nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet3d(nn.Module):
    """(batch, 3, time, height, width) → logits (batch, classes).

    `depth` is 10, 18 or 34; `width` scales all channels (0.5 for the half-width networks). Any input size: the last
    stage is averaged whole, which for the checkpoints' own 112 × 112 × 16 is what their fixed pooling does.
    """

    def __init__(self, classes: int, depth: int = 18, shortcut: Shortcut = "B", width: float = 1.0) -> None:
        super().__init__()
        if depth not in DEPTHS or shortcut not in ("A", "B"):
            raise ValueError(f"depth is {depth}, shortcut {shortcut!r}; there are {sorted(DEPTHS)} and 'A', 'B'")
        channels = [int(c * width) for c in CHANNELS]
        self.conv1 = nn.Conv3d(3, channels[0], 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(channels[0])
        inputs = channels[0]
        for stage, (outputs, blocks) in enumerate(zip(channels, DEPTHS[depth], strict=True)):
            layers = []
            for i in range(blocks):
                layers.append(BasicBlock(inputs, outputs, 2 if stage > 0 and i == 0 else 1, shortcut))
                inputs = outputs
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(channels[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def embed(self, x: Tensor) -> Tensor:
        """The pooled embedding, shape (batch, 512 · width)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool3d(x, kernel_size=3, stride=2, padding=1)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return torch.mean(x, dim=(2, 3, 4))

    def head(self, embedding: Tensor) -> Tensor:
        """Logits of an embedding."""
        logits: Tensor = self.fc(embedding)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))
