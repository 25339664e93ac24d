"""`load_model`: from a name in a configuration to a model that answers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from clownfish.errors import ModelError
from clownfish.models import ARCHITECTURES
from clownfish.models.adapter import Network, TorchClassifier
from clownfish.models.base import WindowModel
from clownfish.models.description import ModelDescription, read_description
from clownfish.models.own import own_model
from clownfish.models.weights import fill, read_safetensors
from clownfish.zoo import locate
from clownfish.zoo.own import is_own

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["fp32", "bf16", "fp16"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def build(description: ModelDescription) -> Network:
    """The described network with random weights. Raises ModelError where the options do not fit the architecture."""
    factory = ARCHITECTURES.get(description.architecture)
    try:
        return factory(classes=len(description.classes), **description.options)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"model {description.name!r}: architecture {description.architecture!r} does not take options "
            f"{description.options} ({error})"
        ) from error


def load_weights(network: Network, path: Path, description: ModelDescription) -> None:
    """Fill `network` from a safetensors file. Raises ModelError saying what is missing, foreign or of another shape."""
    weights = read_safetensors(path)
    needs = f"{description.architecture!r} {description.options}"
    for name, tensor in network.state_dict().items():
        if name not in weights:
            continue
        read, shape = tuple(weights[name].shape), tuple(tensor.shape)
        if read != shape and read[1:] == shape[1:] and shape[:1] == (len(description.classes),):
            raise ModelError(
                f"{path}: {name!r} answers {read[0]} classes, the description names {len(description.classes)}"
            )
    fill(network, weights, str(path), needs)


def pick_device(device: Device) -> torch.device:
    """ "auto" is CUDA where it works. Raises ModelError for "cuda" where it does not."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("device is 'cuda', but torch finds no CUDA device; use 'auto' or 'cpu'")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def load_model(name_or_path: str, device: Device = "auto", precision: Precision = "fp32") -> WindowModel:
    """Load, check, and run once (so that the first real window is not the slow one).

    `name_or_path`: a .safetensors file with its .json beside it, `zoo:SET/MODEL`, or a user's own `module:attribute`,
    which looks after device and precision itself. From here on torch uses one thread in this process: OpenMP threads
    beside other busy processes are many times slower. Raises ModelError.
    """
    torch.set_num_threads(1)
    if is_own(name_or_path):
        return own_model(name_or_path)
    description = read_description(name_or_path)
    network = build(description)
    load_weights(network, locate(name_or_path).with_suffix(".safetensors"), description)
    return ready(network, description, device, precision)


def channels_last(network: Network) -> Network:
    """The same network, its convolutions' weights laid out channels last: up to twice as fast, forward and backward."""
    for parameter in network.parameters():
        if parameter.ndim >= 4:
            layout = torch.channels_last if parameter.ndim == 4 else torch.channels_last_3d
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return network


def ready(network: Network, description: ModelDescription, device: Device, precision: Precision) -> TorchClassifier:
    """A classifier over `network`, moved to its device and precision, and run once. Raises ModelError."""
    where, dtype = pick_device(device), DTYPES[precision]
    channels_last(network.eval().to(where, dtype))
    model = TorchClassifier(network, description, where, dtype)
    blank = np.zeros((description.input.height, description.input.width, 3), np.uint8)
    p = model.infer([[blank] * description.input.window_size]).p
    if p.shape != (1, len(description.classes)):
        raise ModelError(
            f"model {description.name!r} answers {p.shape[1]} classes, its description names {len(description.classes)}"
        )
    return model
