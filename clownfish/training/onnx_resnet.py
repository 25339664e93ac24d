"""A 2D ResNet's weights out of an ONNX graph, under the names that torchvision gives: `conv1.weight`, `bn1.bias`,
`layer1.0.conv1.weight` …

Which convolution is which is read off the graph, not off names, which every exporter invents anew: each sum of two
computed tensors ends a block, the longer way to it is the block, the other its shortcut, and a stage begins with a
shortcut that has weights. Batch norms may stand there or be folded into the convolutions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clownfish.errors import ModelError

EPSILON = 1e-5
"""torch's own, in the batch norm that stands for a bias."""

PASSED = ("Relu", "Identity", "BatchNormalization")
"""Between the convolutions of a block."""

NORM = ("weight", "bias", "running_mean", "running_var")
"""A batch norm's inputs after the first, in ONNX's order."""


def read_onnx_resnet(path: Path) -> dict[str, Tensor]:
    """All but the last layer. Raises ModelError where onnx is missing, or the file, or it is no ResNet."""
    graph = _Graph(path)
    stem, *others = (node for node in graph.nodes if node.op_type == "Conv")
    weights = graph.normalised(stem, "conv1", "bn1")
    stage, block, seen = 0, 0, [stem]
    for node in graph.nodes:
        if node.op_type != "Add" or any(name in graph.tensors for name in node.input):
            continue
        shortcut, main = sorted((graph.way(name) for name in node.input), key=len)
        if stage == 0 or shortcut:
            stage, block = stage + 1, 0
        if len(shortcut) > 1 or not 2 <= len(main) <= 3 or any(node in main for node in shortcut):
            raise ModelError(
                f"{path}: the sum {node.output[0]!r} is of {len(main)} convolutions and {len(shortcut)}; expected a "
                "block of two or three beside a shortcut of one or none"
            )
        name = f"layer{stage}.{block}"
        for i, convolution in enumerate(main):
            weights |= graph.normalised(convolution, f"{name}.conv{i + 1}", f"{name}.bn{i + 1}")
        for convolution in shortcut:
            weights |= graph.normalised(convolution, f"{name}.downsample.0", f"{name}.downsample.1")
        seen += main + shortcut
        block += 1
    left = [node.output[0] for node in others if node not in seen]
    if left:
        raise ModelError(f"{path}: {left[0]!r} (and {len(left) - 1} more) is a convolution in no block of a ResNet")
    return weights


class _Graph:
    """An ONNX graph, by what its tensors come from. Raises ModelError where it cannot be read or has no convolution."""

    def __init__(self, path: Path) -> None:
        try:
            import onnx
            from google.protobuf.message import DecodeError
        except ImportError as error:
            raise ModelError(f"{path}: reading ONNX needs: pip install 'clownfish[inflate]'") from error
        try:
            graph = onnx.load(str(path)).graph
        except (OSError, DecodeError) as error:
            raise ModelError(f"{path}: is not a whole ONNX file ({error})") from error
        self._path = path
        self.nodes: list[Any] = list(graph.node)
        self.tensors = {
            each.name: torch.from_numpy(onnx.numpy_helper.to_array(each).copy()) for each in graph.initializer
        }
        self._maker = {name: node for node in self.nodes for name in node.output}
        self._users: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
        if not any(node.op_type == "Conv" for node in self.nodes):
            raise ModelError(f"{path}: has no convolution; expected a 2D ResNet")

    def way(self, name: str) -> list[Any]:
        """The convolutions, first one first, between the end of the block before and the tensor `name`."""
        found: list[Any] = []
        while (node := self._maker.get(name)) is not None:
            if node.op_type == "Conv":
                found.insert(0, node)
            elif node.op_type not in PASSED:
                break
            name = node.input[0]
        return found

    def normalised(self, convolution: Any, name: str, norm: str) -> dict[str, Tensor]:
        """A convolution's kernel, and the batch norm behind it, or one that stands for its bias."""
        values = [self._tensor(each, convolution) for each in convolution.input[1:]]
        kernel, bias = values[0], values[1] if len(values) > 1 else torch.zeros(len(values[0]))
        one = torch.ones(len(kernel))
        found = dict(zip(NORM, (one, bias, torch.zeros(len(kernel)), one - EPSILON), strict=True))
        behind = [node for node in self._users.get(convolution.output[0], []) if node.op_type == "BatchNormalization"]
        if behind:
            found = dict(zip(NORM, (self._tensor(each, behind[0]) for each in behind[0].input[1:]), strict=True))
            epsilon = next((a.f for a in behind[0].attribute if a.name == "epsilon"), EPSILON)
            found["running_var"] = found["running_var"] + epsilon - EPSILON
            found["running_mean"] = found["running_mean"] - bias
        return {f"{name}.weight": kernel} | {f"{norm}.{key}": value for key, value in found.items()}

    def _tensor(self, name: str, node: Any) -> Tensor:
        if name not in self.tensors:
            raise ModelError(
                f"{self._path}: {node.op_type} {node.output[0]!r} takes {name!r}, which is no weight in the file; "
                "expected a graph whose weights are initialisers, as exporters write by default"
            )
        return self.tensors[name]
