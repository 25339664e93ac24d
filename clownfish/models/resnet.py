"""3D ResNet-10 to -101, the family of the paper's remote models (§VI-A).

Layers, names and shapes are those of the public 3D-ResNets-PyTorch checkpoints (Hara, Kataoka, Satoh, "Can
Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?", CVPR 2018): `conv1.weight`,
`layer1.0.conv1.weight` … `fc.bias`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

SPANS = (7, 3, 3, 3, 3)
"""How many frames a kernel spans in the stem, and in the middle of the blocks of each stage."""

Shortcut = Literal["A", "B"]

Stride = tuple[int, int, int]
"""Of time, height and width."""


class ShortcutA(nn.Module):
    """Shortcut without weights: subsample, and fill the new channels with zeros."""

    def __init__(self, outputs: int, stride: Stride) -> None:
        super().__init__()
        self.outputs = outputs
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        time, height, width = self.stride
        x = x[:, :, ::time, ::height, ::width]
        return F.pad(x, (0, 0, 0, 0, 0, 0, 0, self.outputs - x.shape[1]))


def _shortcut(inputs: int, outputs: int, stride: Stride, kind: Shortcut) -> nn.Module | None:
    if max(stride) == 1 and inputs == outputs:
        return None
    if kind == "A":
        return ShortcutA(outputs, stride)
    return nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))


def _middle(inputs: int, outputs: int, span: int, stride: Stride, groups: int = 1) -> nn.Conv3d:
    """A convolution over `span` frames and 3×3 pixels."""
    return nn.Conv3d(inputs, outputs, (span, 3, 3), stride, (span // 2, 1, 1), groups=groups, bias=False)


class BasicBlock(nn.Module):
    """Two convolutions over `span` frames and 3×3 pixels beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: Stride, span: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = _middle(inputs, outputs, span, stride)
        self.bn1 = nn.BatchNorm3d(outputs)
        self.conv2 = _middle(outputs, outputs, span, (1, 1, 1))
        self.bn2 = nn.BatchNorm3d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1×1×1 to `middle` channels, then `span` frames and 3×3 pixels in so many `groups`, 1×1×1 to `outputs`, beside a
    shortcut. The stride is in the middle; in `caffe` style in the first."""

    def __init__(
        self,
        inputs: int,
        middle: int,
        outputs: int,
        stride: Stride,
        span: int,
        shortcut: Shortcut,
        groups: int = 1,
        caffe: bool = False,
    ) -> None:
        super().__init__()
        none = (1, 1, 1)
        self.conv1 = nn.Conv3d(inputs, middle, 1, stride if caffe else none, bias=False)
        self.bn1 = nn.BatchNorm3d(middle)
        self.conv2 = _middle(middle, middle, span, none if caffe else stride, groups)
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
    """(batch, 3, time, height, width) → logits (batch, classes): a stem, stages of blocks, a mean, one layer.

    Any input size: the last stage is averaged whole, which for the checkpoints' own 112 × 112 × 16 is what their fixed
    pooling does.
    """

    def __init__(
        self,
        classes: int,
        stem: int,
        stages: Iterable[tuple[int, int]],
        block: Callable[[int, int, Stride, int], nn.Module],
        spans: Sequence[int] = SPANS,
        every: int = 1,
        keep_time: bool = False,
        caffe: bool = False,
        dropout: float = 0.0,
    ) -> None:
        """`stages`: (channels that come out, blocks); `block(inputs, outputs, stride, span)` makes one; the rest is
        ResNet3d's."""
        super().__init__()
        self.caffe = caffe
        self.dropout = dropout
        self.keep_time = keep_time
        self.conv1 = nn.Conv3d(3, stem, (spans[0], 7, 7), (1, 2, 2), (spans[0] // 2, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(stem)
        inputs = stem
        self.stages = []
        for stage, (outputs, blocks) in enumerate(stages):
            layers = []
            for i in range(blocks):
                halve = 2 if stage > 0 and i == 0 else 1
                stride = (1 if keep_time else halve, halve, halve)
                layers.append(block(inputs, outputs, stride, 1 if i % every else spans[stage + 1]))
                inputs = outputs
            self.stages.append(f"layer{stage + 1}")
            self.add_module(self.stages[-1], nn.Sequential(*layers))
        self.fc = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def embed(self, x: Tensor) -> Tensor:
        """The pooled embedding, shape (batch, channels of the last stage)."""
        x = F.relu(self.bn1(self.conv1(x)))
        span, halve = (1, 1) if self.keep_time else (3, 2)
        if self.caffe:
            x = F.pad(x, (0, 1, 0, 1))  # nothing is below the zeros
        edge = 0 if self.caffe else 1
        x = F.max_pool3d(x, kernel_size=(span, 3, 3), stride=(halve, 2, 2), padding=(span // 2, edge, edge))
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        return torch.mean(x, dim=(2, 3, 4))

    def head(self, embedding: Tensor) -> Tensor:
        """Logits of an embedding."""
        logits: Tensor = self.fc(F.dropout(embedding, self.dropout, self.training))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))


class ResNet3d(ResidualNet3d):
    """`depth` is 10, 18 or 34 (basic blocks) or 50 or 101 (bottlenecks); `width` scales all channels (0.5 for the
    half-width networks), of which `stem` says the first otherwise. `blocks` are a stage's, where they are not the
    depth's own; fewer than four numbers are fewer stages. The embedding has 512 · width numbers, or 2048 · width, half
    of it for each stage less.

    Which convolutions look over time: `spans` are odd numbers of frames, 1 for kernels that see each frame alone, in
    the stem and in one of `every` blocks of each stage (2: as in Wang et al., "Non-local Neural Networks", CVPR 2018,
    §4.1). `keep_time` halves only height and width, for windows of few frames. `caffe` is the style of networks from
    there, whose weights no other fits: a bottleneck's stride in its first convolution (He et al., "Deep Residual
    Learning", CVPR 2016), and nothing before the picture's edge in the pool. `dropout` is of the
    embedding, in training.
    """

    def __init__(
        self,
        classes: int,
        depth: int = 18,
        shortcut: Shortcut = "B",
        width: float = 1.0,
        stem: int | None = None,
        blocks: Sequence[int] | None = None,
        spans: Sequence[int] = SPANS,
        every: int = 1,
        keep_time: bool = False,
        caffe: bool = False,
        dropout: float = 0.0,
    ) -> None:
        known = BASIC | BOTTLENECK
        if depth not in known or shortcut not in ("A", "B"):
            raise ValueError(f"depth is {depth}, shortcut {shortcut!r}; there are {sorted(known)} and 'A', 'B'")
        counts = known[depth] if blocks is None else tuple(blocks)
        if not 1 <= len(counts) <= len(CHANNELS) or min(counts) < 1:
            raise ValueError(f"blocks is {list(counts)}; expected 1 to {len(CHANNELS)} numbers above 0")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; expected a share below 1")
        if len(spans) != len(SPANS) or any(span < 1 or span % 2 == 0 for span in spans) or every < 1:
            raise ValueError(
                f"spans is {list(spans)}, every {every}; expected {len(SPANS)} odd numbers, the stem's and the "
                "stages', and 1 or more"
            )
        channels = [int(c * width) for c in CHANNELS]

        def block(inputs: int, outputs: int, stride: Stride, span: int) -> nn.Module:
            if depth in BASIC:
                return BasicBlock(inputs, outputs, stride, span, shortcut)
            return Bottleneck(inputs, outputs // EXPANSION, outputs, stride, span, shortcut, caffe=caffe)

        stages = [(c * (1 if depth in BASIC else EXPANSION), n) for c, n in zip(channels, counts, strict=False)]
        super().__init__(classes, stem or channels[0], stages, block, spans, every, keep_time, caffe, dropout)
