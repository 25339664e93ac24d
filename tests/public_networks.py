"""The public video networks again, for tests: names and shapes of their checkpoints, and their answers, from the
published layer lists alone (3D-ResNets-PyTorch, Efficient-3DCNNs), in functions over a state dict.

Nothing here comes from clownfish.models, so that what agrees does not agree with itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]
Shapes = Iterator[tuple[str, tuple[int, ...]]]

Public: TypeAlias = "ResNet | MobileNet"

RESNETS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
MOBILENET = ((64, 1, 2), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 1))


def random_state(public: Public, classes: int, seed: int = 0) -> State:
    """Weights of such sizes that signals neither explode nor die on their way, and batch norm is no identity."""
    rng = torch.Generator().manual_seed(seed)
    state: State = {}
    for name, shape in public.shapes(classes):
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif name.endswith("running_var"):
            state[name] = torch.rand(shape, generator=rng) + 0.5
        elif len(shape) > 1:
            limit = math.sqrt(3 * public.gain / math.prod(shape[1:]))
            state[name] = torch.empty(shape).uniform_(-limit, limit, generator=rng)
        elif name.endswith("weight"):
            state[name] = torch.rand(shape, generator=rng) + (0.2 if ".bn3." in name else 0.6)
        else:
            state[name] = torch.randn(shape, generator=rng) * 0.1
    return state


def _norm_shapes(name: str, channels: int) -> Shapes:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def _norm(x: Tensor, state: State, name: str) -> Tensor:
    mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return F.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-5)


@dataclass(frozen=True)
class ResNet:
    """`kind` is resnet or resnext."""

    kind: str
    depth: int
    shortcut: str
    gain: float = 1.5

    def _plan(self) -> Iterator[tuple[str, int, int, int, int, bool]]:
        """Block, channels in, middle, out, stride, and whether the shortcut is more than the identity."""
        inplanes = 64
        basic = self.depth < 50
        for stage, blocks in enumerate(RESNETS[self.depth]):
            planes = (128, 256, 512, 1024)[stage] if self.kind == "resnext" else (64, 128, 256, 512)[stage]
            expansion = 2 if self.kind == "resnext" else 1 if basic else 4
            middle = 32 * int(planes / 32) if self.kind == "resnext" else planes
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                out = planes * expansion
                name = f"layer{stage + 1}.{block}"
                yield name, inplanes, middle, out, stride, block == 0 and (stride != 1 or inplanes != out)
                inplanes = out

    def shapes(self, classes: int) -> Shapes:
        yield "conv1.weight", (64, 3, 7, 7, 7)
        yield from _norm_shapes("bn1", 64)
        out = 64
        for name, inputs, middle, out, _, down in self._plan():
            if self.depth < 50:
                convs = [(1, (out, inputs, 3, 3, 3)), (2, (out, out, 3, 3, 3))]
            else:
                group = middle // 32 if self.kind == "resnext" else middle
                convs = [
                    (1, (middle, inputs, 1, 1, 1)),
                    (2, (middle, group, 3, 3, 3)),
                    (3, (out, middle, 1, 1, 1)),
                ]
            for n, shape in convs:
                yield f"{name}.conv{n}.weight", shape
                yield from _norm_shapes(f"{name}.bn{n}", shape[0])
            if down and self.shortcut == "B":
                yield f"{name}.downsample.0.weight", (out, inputs, 1, 1, 1)
                yield from _norm_shapes(f"{name}.downsample.1", out)
        yield "fc.weight", (classes, out)
        yield "fc.bias", (classes,)

    def logits(self, state: State, x: Tensor) -> Tensor:
        duration, size = math.ceil(x.shape[2] / 16), math.ceil(x.shape[3] / 32)
        x = F.relu(_norm(F.conv3d(x, state["conv1.weight"], stride=(1, 2, 2), padding=(3, 3, 3)), state, "bn1"))
        x = F.max_pool3d(x, (3, 3, 3), stride=2, padding=1)
        for name, _, _, out, stride, down in self._plan():
            residual = x
            if down and self.shortcut == "B":
                residual = F.conv3d(x, state[f"{name}.downsample.0.weight"], stride=stride)
                residual = _norm(residual, state, f"{name}.downsample.1")
            elif down:
                residual = F.avg_pool3d(x, kernel_size=1, stride=stride)
                n, channels, *rest = residual.shape
                residual = torch.cat([residual, torch.zeros(n, out - channels, *rest)], dim=1)
            one, two, three = (state.get(f"{name}.conv{n}.weight") for n in (1, 2, 3))
            assert one is not None
            assert two is not None
            if three is None:
                y = F.relu(_norm(F.conv3d(x, one, stride=stride, padding=1), state, f"{name}.bn1"))
                y = _norm(F.conv3d(y, two, padding=1), state, f"{name}.bn2")
            else:
                groups = 32 if self.kind == "resnext" else 1
                y = F.relu(_norm(F.conv3d(x, one), state, f"{name}.bn1"))
                y = F.conv3d(y, two, stride=stride, padding=1, groups=groups)
                y = F.relu(_norm(y, state, f"{name}.bn2"))
                y = _norm(F.conv3d(y, three), state, f"{name}.bn3")
            x = F.relu(y + residual)
        x = F.avg_pool3d(x, (duration, size, size), stride=1)
        return F.linear(x.view(x.shape[0], -1), state["fc.weight"], state["fc.bias"])


@dataclass(frozen=True)
class MobileNet:
    """Version 1."""

    width: float
    gain: float = 3.0

    def _plan(self) -> Iterator[tuple[str, int, int, int]]:
        inputs, n = int(32 * self.width), 1
        for channels, blocks, stride in MOBILENET:
            outputs = int(channels * self.width)
            for i in range(blocks):
                yield f"features.{n}", inputs, outputs, stride if i == 0 else 1
                inputs, n = outputs, n + 1

    def shapes(self, classes: int) -> Shapes:
        stem = int(32 * self.width)
        yield "features.0.0.weight", (stem, 3, 3, 3, 3)
        yield from _norm_shapes("features.0.1", stem)
        for name, inputs, outputs, _ in self._plan():
            yield f"{name}.conv1.weight", (inputs, 1, 3, 3, 3)
            yield from _norm_shapes(f"{name}.bn1", inputs)
            yield f"{name}.conv2.weight", (outputs, inputs, 1, 1, 1)
            yield from _norm_shapes(f"{name}.bn2", outputs)
        yield "classifier.1.weight", (classes, int(1024 * self.width))
        yield "classifier.1.bias", (classes,)

    def logits(self, state: State, x: Tensor) -> Tensor:
        x = F.conv3d(x, state["features.0.0.weight"], stride=(1, 2, 2), padding=(1, 1, 1))
        x = F.relu(_norm(x, state, "features.0.1"))
        for name, inputs, _, stride in self._plan():
            x = F.conv3d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1, groups=inputs)
            x = F.relu(_norm(x, state, f"{name}.bn1"))
            x = F.relu(_norm(F.conv3d(x, state[f"{name}.conv2.weight"]), state, f"{name}.bn2"))
        x = F.avg_pool3d(x, list(x.shape[-3:])).view(x.shape[0], -1)
        return F.linear(x, state["classifier.1.weight"], state["classifier.1.bias"])
