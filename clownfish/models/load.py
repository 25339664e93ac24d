"""`load_model`: from a name in a configuration to a model that answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from clownfish.errors import ModelError
from clownfish.messages import Pixels
from clownfish.models import ARCHITECTURES
from clownfish.models.adapter import Classifier, Network, network_input
from clownfish.models.base import WindowModel
from clownfish.models.description import ONNX, TORCHSCRIPT, ModelDescription, read_description, weights_path
from clownfish.models.engines import ENGINES
from clownfish.models.engines.base import Device, Precision, Task
from clownfish.models.own import own_model
from clownfish.models.scripted import load_scripted
from clownfish.models.weights import fill, read_safetensors
from clownfish.zoo.own import is_own

ReadWindows = Callable[[int], Iterable[Sequence[Pixels]]]
"""Gives real windows of so many frames, for engines that are calibrated."""


def build(description: ModelDescription) -> Network:
    """The described network with random weights. Raises ModelError where the options do not fit the architecture."""
    factory = ARCHITECTURES.get(description.architecture)
    try:
        network = factory(classes=len(description.classes), **description.options)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"model {description.name!r}: architecture {description.architecture!r} does not take options "
            f"{description.options} ({error})"
        ) from error
    lacks = [part for part in ("embed", "head") if not callable(getattr(network, part, None))]
    if not isinstance(network, nn.Module) or lacks:
        raise ModelError(
            f"model {description.name!r}: architecture {description.architecture!r} gives a {type(network).__name__}"
            f"{f' without {lacks[0]!r}' if lacks else ''}; expected a torch module with embed and head, see "
            "clownfish.models"
        )
    return network


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


def load_model(
    name_or_path: str,
    device: Device = "auto",
    precision: Precision = "fp32",
    engine: str = "torch",
    calibration: ReadWindows | None = None,
) -> WindowModel:
    """Load, check, and run once (so that the first real window is not the slow one).

    `name_or_path`: a .safetensors file, or a TorchScript .pt, with its .json beside it, `zoo:SET/MODEL`, or a user's
    own `module:attribute`, which looks after engine, device and precision itself. `engine` is a name of
    `models.engines`; an .onnx file, which torch does not run, goes to onnxruntime where `torch` is named. `calibration`
    reads the windows that torch-int8 needs. From here on torch uses one thread in this process: OpenMP threads beside
    other busy processes are many times slower. Raises ModelError, and ConfigError for an unknown engine.
    """
    torch.set_num_threads(1)
    factory = ENGINES.get(engine)
    if is_own(name_or_path):
        return own_model(name_or_path)
    description = read_description(name_or_path)
    own_file = None
    network = None
    if description.architecture == ONNX:
        own_file = weights_path(name_or_path, description)
        if not own_file.is_file():
            raise ModelError(f"{own_file}: no such file; architecture {ONNX!r} means that it is there")
        factory = ENGINES.get("onnxruntime") if engine == "torch" else factory
    else:
        network = load_network(name_or_path, description).eval()
    inputs = None if calibration is None else partial(_inputs, calibration, description)
    task = Task(description, network, own_file, device, precision, inputs)
    return run_once(Classifier(factory(task), description))


def load_network(name_or_path: str, description: ModelDescription) -> Network:
    """The described network with its weights, on the CPU, in fp32. Raises ModelError."""
    path = weights_path(name_or_path, description)
    if description.architecture == TORCHSCRIPT:
        return cast(Network, load_scripted(path, description))
    network = build(description)
    load_weights(network, path, description)
    return network


def channels_last(network: Network) -> Network:
    """The same network, its convolutions' weights laid out channels last: up to twice as fast, forward and backward."""
    for parameter in network.parameters():
        if parameter.ndim >= 4:
            layout = torch.channels_last if parameter.ndim == 4 else torch.channels_last_3d
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return network


def ready(network: Network, description: ModelDescription, device: Device, precision: Precision) -> Classifier:
    """A classifier over `network` in torch, moved to its device and precision, and run once. Raises ModelError."""
    task = Task(description, network.eval(), device=device, precision=precision)
    return run_once(Classifier(ENGINES.get("torch")(task), description))


def run_once(model: Classifier) -> Classifier:
    """The same, after its first answer. Raises ModelError where that is not as described."""
    shape = model.description.input
    blank = np.zeros((shape.height, shape.width, 3), np.uint8)
    try:
        p = model.infer([[blank] * shape.window_size]).p
    except (RuntimeError, TypeError, ValueError, IndexError) as error:  # a user's own network may do anything
        seen = (1, 3, shape.frames, shape.height, shape.width)
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise ModelError(f"model {model.name!r} cannot take an input of shape {seen}: {reason}") from error
    if p.ndim != 2 or len(p) != 1:
        raise ModelError(f"model {model.name!r} answers {p.shape}, expected (windows, classes)")
    if p.shape[1] != len(model.classes):
        raise ModelError(
            f"model {model.name!r} answers {p.shape[1]} classes, its description names {len(model.classes)}"
        )
    return model


def _inputs(read: ReadWindows, description: ModelDescription) -> Iterator[Tensor]:
    for window in read(description.input.window_size):
        yield network_input([window], description.input, torch.device("cpu"), torch.float32)
