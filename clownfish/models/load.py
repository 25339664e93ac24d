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
from clownfish.models.description import ONNX, ModelDescription, read_description, weights_path
from clownfish.models.engines import ENGINES
from clownfish.models.engines.base import Device, Precision, Task
from clownfish.models.own import own_model
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
    inputs = None if calibration is None else partial(_inputs, calibration, description)
    path = weights_path(name_or_path, description)
    if description.architecture == ONNX:
        if not path.is_file():
            raise ModelError(f"{path}: no such file; architecture {ONNX!r} means that it is there")
        factory = ENGINES.get("onnxruntime") if engine == "torch" else factory
        task = Task(description, None, path, device, precision, inputs)
    else:
        network = build(description)
        load_weights(network, path, description)
        task = Task(description, network.eval(), None, device, precision, inputs)
    return ready(Classifier(factory(task), description))


def ready(model: Classifier) -> Classifier:
    """The same, after it has run once. Raises ModelError where it does not answer as described."""
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
