"""`load_model`: from a name in a configuration to a model that answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from clownfish.errors import ModelError
from clownfish.messages import Pixels
from clownfish.models import ARCHITECTURES
from clownfish.models.adapter import Classifier, Network, network_input
from clownfish.models.base import WindowModel
from clownfish.models.description import ONNX, ONNX_SUFFIX, ModelDescription, read_description
from clownfish.models.engines import ENGINES
from clownfish.models.engines.base import Device, Precision, Task
from clownfish.models.own import own_model
from clownfish.zoo import locate
from clownfish.zoo.own import is_own

ReadWindows = Callable[[int], Iterable[Sequence[Pixels]]]
"""Gives real windows of so many frames, for engines that are calibrated."""


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
    try:
        weights = load_file(path)
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no such file; train the model, or name another (a path, or zoo:SET/MODEL)"
        ) from error
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: is not a whole safetensors file ({error})") from error
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    for name, shape in expected.items():
        if name not in weights:
            raise ModelError(f"{path}: has no {name!r}, which {description.architecture!r} {description.options} needs")
        read = tuple(weights[name].shape)
        if read != shape and read[1:] == shape[1:] and shape[:1] == (len(description.classes),):
            raise ModelError(
                f"{path}: {name!r} answers {read[0]} classes, the description names {len(description.classes)}"
            )
        if read != shape:
            raise ModelError(f"{path}: {name!r} has shape {read}, {description.architecture!r} needs {shape}")
    foreign = sorted(set(weights) - set(expected))
    if foreign:
        raise ModelError(
            f"{path}: {foreign[0]!r} (and {len(foreign) - 1} more) is no part of {description.architecture!r}"
        )
    network.load_state_dict(weights)


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

    `name_or_path`: a .safetensors file with its .json beside it, `zoo:SET/MODEL`, or a user's own `module:attribute`,
    which looks after engine, device and precision itself. `engine` is a name of `models.engines`; an .onnx file, which
    torch does not run, goes to onnxruntime where `torch` is named. `calibration` reads the windows that torch-int8
    needs. From here on torch uses one thread in this process: OpenMP threads beside other busy processes are many times
    slower. Raises ModelError, and ConfigError for an unknown engine.
    """
    torch.set_num_threads(1)
    factory = ENGINES.get(engine)
    if is_own(name_or_path):
        return own_model(name_or_path)
    description = read_description(name_or_path)
    own_file = None
    network = None
    if description.architecture == ONNX:
        own_file = locate(name_or_path).with_suffix(ONNX_SUFFIX)
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
    network = build(description)
    load_weights(network, locate(name_or_path).with_suffix(".safetensors"), description)
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
    p = model.infer([[blank] * shape.window_size]).p
    if p.shape != (1, len(model.classes)):
        raise ModelError(
            f"model {model.name!r} answers {p.shape[1]} classes, its description names {len(model.classes)}"
        )
    return model


def _inputs(read: ReadWindows, description: ModelDescription) -> Iterator[Tensor]:
    for window in read(description.input.window_size):
        yield network_input([window], description.input, torch.device("cpu"), torch.float32)
