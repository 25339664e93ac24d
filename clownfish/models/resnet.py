"""3D ResNet-10 to -101, the family of the paper's remote models (§VI-A).

Layers, names and shapes are those of the public 3D-ResNets-PyTorch checkpoints (Hara, Kataoka, Satoh, "Can
Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", CVPR 2018): `conv1.weight`,
`layer1.0.conv1.weight` … `fc.bias`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BASIC = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Depth → basic blocks per stage."""

BOTTLENECK = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Depth → bottleneck blocks per stage."""

CHANNELS = (64, 128, 256, 512)
EXPANSION = 4
"""Channels that a bottleneck block gives, by those of its middle."""

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


def _shortcut(inputs: int, outputs: int, stride: int, kind: Shortcut) -> nn.Module | None:
    if stride == 1 and inputs == outputs:
        return None
    if kind == "A":
        return ShortcutA(outputs, stride)
    return nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))


class BasicBlock(nn.Module):
    """Two 3×3×3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm3d(outputs)
        self.conv2 = nn.Conv3d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1×1×1 to `middle` channels, 3×3×3 in so many `groups`, 1×1×1 to `outputs`, beside a shortcut."""

    def __init__(
        self, inputs: int, middle: int, outputs: int, stride: int, shortcut: Shortcut, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(inputs, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(middle)
        self.conv2 = nn.Conv3d(middle, middle, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm3d(middle)
        self.conv3 = nn.Conv3d(middle, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResidualNet3d(nn.Module):
    """(batch, 3, time, height, width) → logits (batch, classes): a stem, four stages of blocks, a mean, one layer.

    Any input size: the last stage is averaged whole, which for the checkpoints' own 112 × 112 × 16 is what their fixed
    pooling does.
    """

    def __init__(
        self,
        classes: int,
        stem: int,
        stages: Iterable[tuple[int, int]],
        block: Callable[[int, int, int], nn.Module],
    ) -> None:
        """`stages`: (channels that come out, blocks); `block(inputs, outputs, stride)` makes one."""
        super().__init__()
        self.conv1 = nn.Conv3d(3, stem, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(stem)
        inputs = stem
        for stage, (outputs, blocks) in enumerate(stages):
            layers = []
            for i in range(blocks):
                layers.append(block(inputs, outputs, 2 if stage > 0 and i == 0 else 1))
                inputs = outputs
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def embed(self, x: Tensor) -> Tensor:
        """The pooled embedding, shape (batch, channels of the last stage)."""
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


class ResNet3d(ResidualNet3d):
    """`depth` is 10, 18 or 34 (basic blocks) or 50 or 101 (bottlenecks); `width` scales all channels (0.5 for the
    half-width networks). The embedding has 512 · width numbers, or 2048 · width.
    """

    def __init__(self, classes: int, depth: int = 18, shortcut: Shortcut = "B", width: float = 1.0) -> None:
        known = BASIC | BOTTLENECK
        if depth not in known or shortcut not in ("A", "B"):
            raise ValueError(f"depth is {depth}, shortcut {shortcut!r}; there are {sorted(known)} and 'A', 'B'")
        channels = [int(c * width) for c in CHANNELS]
        if depth in BASIC:
            stages = zip(channels, BASIC[depth], strict=True)
            super().__init__(classes, channels[0], stages, lambda i, o, s: BasicBlock(i, o, s, shortcut))
        else:
            stages = zip([c * EXPANSION for c in channels], BOTTLENECK[depth], strict=True)
            super().__init__(
                classes, channels[0], stages, lambda i, o, s: Bottleneck(i, o // EXPANSION, o, s, shortcut)
            )
