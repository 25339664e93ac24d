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
from clownfish.models.description import ONNX, ModelDescription, read_description, weights_path
from clownfish.models.engines import ENGINES
from clownfish.models.engines.base import Device, Precision, Task
from clownfish.models.own import own_model
from clownfish.models.scripted import SUFFIX, TORCHSCRIPT, load_scripted
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
    inputs = None if calibration is None else partial(_inputs, calibration, description)
    if description.architecture == ONNX:
        path = weights_path(name_or_path, description)
        if not path.is_file():
            raise ModelError(f"{path}: no such file; architecture {ONNX!r} means that it is there")
        factory = ENGINES.get("onnxruntime") if engine == "torch" else factory
        task = Task(description, None, path, device, precision, inputs)
    else:
        network = load_network(name_or_path, description).eval()
        task = Task(description, network, None, device, precision, inputs)
    return ready(Classifier(factory(task), description))


def load_network(name_or_path: str, description: ModelDescription) -> Network:
    """The described network with its weights, on the CPU, in fp32. Raises ModelError."""
    path = weights_path(name_or_path, description)
    if description.architecture == TORCHSCRIPT:
        return cast(Network, load_scripted(path.with_suffix(SUFFIX), description))
    network = build(description)
    load_weights(network, path, description)
    return network


def ready(model: Classifier) -> Classifier:
    """The same, after it has run once. Raises ModelError where it does not answer as described."""
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
