"""Which architecture a public checkpoint is of, read off its weights and checked against what it calls itself."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from torch import Tensor

from clownfish.errors import ModelError
from clownfish.models.checkpoint import Checkpoint
from clownfish.models.resnet import BASIC, BOTTLENECK

KINDS = {"resnet": "resnet3d", "resnext": "resnext3d", "mobilenet": "mobilenet3d"}
"""What the public checkpoints' `arch` begins with."""


def recognise(checkpoint: Checkpoint, path: Path) -> tuple[str, dict[str, Any]]:
    """Architecture and options, off the names and shapes of the weights. Raises ModelError where there is none such."""
    weights, arch = checkpoint.weights, checkpoint.arch
    matrices = {name for name, tensor in weights.items() if tensor.ndim > 1}
    if matrices >= {"features.0.0.weight", "features.1.conv1.weight", "classifier.1.weight"}:
        found = _mobilenet(weights)
    elif matrices >= {"conv1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight", "fc.weight"}:
        found = _resnet(weights, path)
    else:
        calls = f"calls itself {arch!r}" if arch else "does not say what it is"
        raise ModelError(
            f"{path}: is of no architecture known here (it {calls}; its first weight is {min(weights)!r}); name one "
            "with --arch, perhaps a module:factory of your own"
        )
    kind, _, depth = (arch or "").partition("-")
    if kind in KINDS and (KINDS[kind] != found[0] or (depth.isdigit() and found[1].get("depth") != int(depth))):
        raise ModelError(
            f"{path}: calls itself {arch!r}, but its weights are of {found[0]} {found[1]}; if they are right, say so "
            "with --arch and --option"
        )
    return found


def _mobilenet(weights: Mapping[str, Tensor]) -> tuple[str, dict[str, Any]]:
    channels = weights["classifier.1.weight"].shape[-1]
    width = ceil(channels / 1024 * 100) / 100  # as it was written: 0.45 gives int(1024 · 0.45) = 460 channels
    return "mobilenet3d", {"width": width if int(1024 * width) == channels else channels / 1024}


def _resnet(weights: Mapping[str, Tensor], path: Path) -> tuple[str, dict[str, Any]]:
    stages: list[set[str]] = [set() for _ in range(4)]
    for name in weights:
        stage, _, rest = name.partition(".")
        if stage in ("layer1", "layer2", "layer3", "layer4"):
            stages[int(stage[-1]) - 1].add(rest.partition(".")[0])
    blocks = tuple(map(len, stages))
    in_three = "layer1.0.conv3.weight" in weights
    depths = [depth for depth, known in (BOTTLENECK if in_three else BASIC).items() if known == blocks]
    if not depths:
        kind = "bottleneck" if in_three else "basic"
        raise ModelError(
            f"{path}: has {blocks} {kind} blocks in its stages; known are {BASIC} (basic) and {BOTTLENECK} (bottleneck)"
        )
    shortcut = "B" if any(".downsample." in name for name in weights) else "A"
    options = {"depth": depths[0], "shortcut": shortcut, "width": weights["conv1.weight"].shape[0] / 64}
    middle = weights.get("layer1.0.conv2.weight")
    grouped = in_three and middle is not None and middle.ndim > 1 and middle.shape[1] < middle.shape[0]
    return ("resnext3d" if grouped else "resnet3d"), options
