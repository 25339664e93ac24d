"""Where a person's joints are in each frame, and what they look like there; then a small network over time.

Keypoints as expectations of heatmaps (the spatial soft-argmax of Levine, Finn, Darrell, Abbeel, "End-to-End Training
of Deep Visuomotor Policies", JMLR 2016), and the picture's features averaged under each heatmap. A frame is seen once,
however many windows share it (`frame_features`); what moves how is read off the keypoints' tracks (`temporal`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clownfish.models.frame_features import FrameByFrame
from clownfish.models.residual import Block

STEM_KERNEL = 5
STAGES = (2, 4, 8)
"""Channels of the three residual stages, in multiples of the stem's; each halves the picture."""


class KeypointNet(FrameByFrame):
    """(batch, 3, frames, height, width) → logits (batch, classes).

    `channels` of the stem decide the cost (not 8: the backward pass of such convolutions crashed in torch 2.13 on a
    CPU), `keypoints` how many heatmaps there are, `look` the channels averaged under each, `hidden` the width of the
    network over time; `dropout` acts in training.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 16,
        keypoints: int = 20,
        look: int = 16,
        hidden: int = 128,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        c, self.keypoints, self.look = channels, keypoints, look
        self.conv1 = nn.Conv2d(3, c, STEM_KERNEL, stride=2, padding=STEM_KERNEL // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(c)
        inputs, stages, sides = c, [], []
        for share in STAGES:
            stages.append(nn.Sequential(Block(inputs, c * share, 2), Block(c * share, c * share, 1)))
            sides.append(nn.Conv2d(c * share, 2 * c, 1, bias=False))
            inputs = c * share
        self.stages, self.sides = nn.ModuleList(stages), nn.ModuleList(sides)
        self.bn2 = nn.BatchNorm2d(2 * c)
        self.mix = nn.Conv2d(2 * c, 2 * c, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(2 * c)
        self.heat = nn.Conv2d(2 * c, keypoints, 1)
        self.see = nn.Conv2d(2 * c, look, 1)
        self.whole = nn.Linear(inputs, look)
        self.features = keypoints * (3 + look) + look
        self.reduce = nn.Linear(self.features, hidden)
        self.time1 = nn.Conv1d(hidden, hidden, 3, padding=1)
        self.time2 = nn.Conv1d(hidden, hidden, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2 * hidden, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Block):
                nn.init.zeros_(module.bn2.weight)  # each block begins as its shortcut, which trains faster
        nn.init.normal_(self.heat.weight, std=0.01)

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (n, 3, height, width) → heatmaps before their softmax (n, keypoints, height / 4, width / 4), features of
        the same places (n, look, …), and of the whole picture (n, look)."""
        x = F.relu(self.bn1(self.conv1(x)))
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        merged: Tensor | None = None
        for level, side in zip(reversed(levels), reversed(self.sides), strict=True):
            here = side(level)
            merged = here if merged is None else here + F.interpolate(merged, size=here.shape[-2:], mode="nearest")
        assert merged is not None
        y = F.relu(self.bn2(merged))
        y = F.relu(self.bn3(self.mix(y)))
        return self.heat(y), F.relu(self.see(y)), self.whole(x.mean(dim=(2, 3)))

    def frame_features(self, x: Tensor) -> Tensor:
        """(n, 3, height, width) → (n, keypoints · (3 + look) + look): x and y of each keypoint in −1 … 1, how sharp
        its heatmap is, what is seen there, and the whole picture's features."""
        return gather(*self.maps(x))

    def temporal(self, features: Tensor) -> Tensor:
        """(batch, frames, features) → embedding (batch, 2 · hidden): keypoints about the window's middle, two
        convolutions over time, mean and maximum."""
        k = self.keypoints
        place = features[..., : 2 * k].reshape(*features.shape[:2], k, 2)
        place = place - place.mean(dim=(1, 2), keepdim=True)
        x = torch.cat([4 * place.flatten(2), features[..., 2 * k :]], dim=-1)
        x = F.relu(self.reduce(x.to(self.reduce.weight.dtype))).transpose(1, 2)
        x = x + F.relu(self.time1(x))
        x = x + F.relu(self.time2(x))
        return torch.cat([x.mean(2), x.amax(2)], dim=1)

    def head(self, embedding: Tensor) -> Tensor:
        """Logits of an embedding."""
        logits: Tensor = self.fc(self.dropout(embedding))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))


def gather(heat: Tensor, look: Tensor, whole: Tensor) -> Tensor:
    """`KeypointNet.frame_features` from `KeypointNet.maps`; in fp32, for an expectation over a thousand places in bf16
    is off by pixels."""
    height, width = heat.shape[-2:]
    share = torch.softmax(heat.float().flatten(2), dim=2)
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, device=heat.device),
        torch.linspace(-1, 1, width, device=heat.device),
        indexing="ij",
    )
    place = share @ torch.stack([x.flatten(), y.flatten()], dim=1)
    sharp = share.amax(dim=2)
    seen = share @ look.float().flatten(2).transpose(1, 2)
    return torch.cat([place.flatten(1), sharp, seen.flatten(1), whole.float()], dim=1)
