"""`clownfish model import`: a public checkpoint becomes safetensors and a description, as our own models are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from clownfish.errors import ModelError
from clownfish.models.checkpoint import Checkpoint, read_checkpoint
from clownfish.models.description import InputDescription, ModelDescription, write_description
from clownfish.models.load import build
from clownfish.models.preprocessing import preprocessing
from clownfish.models.recognise import recognise
from clownfish.models.weights import fill, last_layer


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a checkpoint does not say itself; the defaults are what the public ones were trained with."""

    architecture: str = ""
    """Empty: as the weights tell."""
    options: Mapping[str, Any] | None = None
    """Of an architecture that is named."""
    classes: tuple[str, ...] = ()
    """Empty: they are numbered."""
    preprocess: str = "activitynet"
    """See `models.preprocessing`."""
    size: int = 112
    window_size: int = 16
    frame_step: int = 1


def import_checkpoint(path: Path, output: Path, wanted: Wanted) -> ModelDescription:
    """Write `output`.safetensors (as exact as they were) and `output`.json, and return the description.

    Raises ModelError, and writes nothing, where the checkpoint cannot be read, is of no architecture that is known, or
    does not fit the one that is named or the classes.
    """
    checkpoint = read_checkpoint(path)
    if wanted.architecture:
        architecture, options = wanted.architecture, dict(wanted.options or {})
    else:
        architecture, options = recognise(checkpoint, path)
    description = _describe(output.name, architecture, options, wanted)
    layer = last_layer(build(description))
    classes = _classes(checkpoint, layer, wanted.classes, path)
    description = description.model_copy(update={"classes": classes})
    network = build(description)
    fill(network, checkpoint.weights, str(path), f"{architecture!r} {options}")
    output.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, output.with_name(f"{output.name}.safetensors"))
    write_description(output.with_name(f"{output.name}.json"), description)
    return description


def _describe(name: str, architecture: str, options: dict[str, Any], wanted: Wanted) -> ModelDescription:
    """With two classes for now."""
    mean, std = preprocessing(wanted.preprocess)
    try:
        shape = InputDescription(
            width=wanted.size,
            height=wanted.size,
            window_size=wanted.window_size,
            frame_step=wanted.frame_step,
            resize="shorter_side",
            mean=mean,
            std=std,
        )
        return ModelDescription(
            name=name,
            architecture=architecture,
            options=options,
            classes=("one", "two"),
            input=shape,
            feature="logits",
            temperature=1.0,
        )
    except ValueError as error:  # pydantic's
        raise ModelError(f"cannot describe {name!r}: {' '.join(str(error).split())}") from error


def _classes(checkpoint: Checkpoint, layer: str, named: tuple[str, ...], path: Path) -> tuple[str, ...]:
    key = f"{layer}.weight"
    if key not in checkpoint.weights:
        raise ModelError(f"{path}: has no {key!r}, so no answers; expected a whole classifier, its last layer included")
    shape = tuple(checkpoint.weights[key].shape)
    if len(shape) != 2:
        raise ModelError(f"{path}: {key!r} has shape {shape}, expected (classes, features)")
    count = shape[0]
    if count < 2:
        raise ModelError(f"{path}: {key!r} answers {count} class; a classifier has two or more")
    if named and len(named) != count:
        raise ModelError(f"{path}: {key!r} answers {count} classes, but {len(named)} are named")
    return named or tuple(f"class {n}" for n in range(count))


def read_class_names(path: Path) -> tuple[str, ...]:
    """One name a line, or JSON: a list of names, or an annotation file with `labels` (as 3D-ResNets-PyTorch's).

    Raises ModelError naming what is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else [line.strip() for line in text.splitlines()]
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: class names cannot be read ({error})") from error
    names = content.get("labels") if isinstance(content, dict) else content
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelError(f"{path}: expected a list of class names, or an object with `labels`")
    names = [name for name in names if name]
    twice = sorted({name for name in names if names.count(name) > 1})
    if len(names) < 2 or twice:
        raise ModelError(f"{path}: {f'{twice[0]!r} stands there twice' if twice else 'names no two classes'}")
    return tuple(names)
