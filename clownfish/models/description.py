"""The JSON beside a model's safetensors: everything needed to use the weights, readable without torch.

Services that run no model (uplink, router, supervisor) read the classes from here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clownfish.errors import ModelError
from clownfish.zoo import locate

Feature = Literal["logits", "embedding"]

Resize = Literal["stretch", "shorter_side"]
"""How a frame comes to the network's size: area-averaged whatever its shape, or scaled until it covers, then cut to the
middle."""


DISCARD_CLASSES = ("discard", "send")
"""Of an early-discard model (§VI-G)."""
DISCARD, SEND = 0, 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class InputDescription(_Strict):
    """What the network sees: `window_size` frames, of which every `frame_step`-th (the last one included) is
    resized to width × height; then (value − mean) / std for each channel R, G, B, values 0 to 255.

    `resize` "shorter_side" is what the public 3D networks were trained with: Pillow's bilinear, then the centre crop.
    """

    width: int = Field(gt=0, le=4096)
    """Pixels, of what the network gets."""
    height: int = Field(gt=0, le=4096)
    """Likewise."""
    window_size: int = Field(gt=0, le=1024)
    """Frames in a window."""
    frame_step: int = Field(default=1, gt=0)
    """Every so many-th frame of a window is seen, the last one included."""
    resize: Resize = "stretch"
    """`stretch`: area-averaged, whatever the shape; `shorter_side`: scaled until it covers, then the middle."""
    mean: tuple[float, float, float]
    """Of R, G and B, values 0 to 255."""
    std: tuple[float, float, float]
    """Likewise: (value − mean) / std is what the network gets."""

    @model_validator(mode="after")
    def _check(self) -> InputDescription:
        if self.window_size % self.frame_step:
            raise ValueError(f"window_size {self.window_size} is not a multiple of frame_step {self.frame_step}")
        if min(self.std) <= 0:
            raise ValueError("std must be positive")
        return self

    @property
    def frames(self) -> int:
        """How many frames of a window the network sees."""
        return self.window_size // self.frame_step


class ModelDescription(_Strict):
    """A classifier over windows."""

    format: Literal["clownfish-classifier/1"] = "clownfish-classifier/1"
    """What kind of file this is."""
    name: str = Field(min_length=1)
    """What the router, logs and `[uplink] model` call it."""
    architecture: str
    """A name of clownfish.models, module:factory, or `onnx`: the network is an .onnx file beside the description."""
    options: dict[str, Any]
    """Keyword arguments of the architecture, beside `classes`."""
    classes: tuple[str, ...] = Field(min_length=2)
    """In the order of its logits; a pair's two models have the same."""
    input: InputDescription
    """What the network sees of a window."""
    feature: Feature
    """What `Inference.feature` holds: logits before the temperature, or the pooled embedding scaled to unit length."""
    temperature: float = Field(gt=0)
    """p = softmax(logits / temperature)."""
    threshold: float | None = Field(default=None, gt=0, lt=1)
    """Of an early-discard model, classes `discard` and `send`: a window is sent where p of `send` is at least this."""

    @model_validator(mode="after")
    def _check(self) -> ModelDescription:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes must differ from each other")
        return self


class SimiNetDescription(_Strict):
    """A SimiNet (§III-C, Fig. 6) and the classifier whose features it compares."""

    format: Literal["clownfish-siminet/1"] = "clownfish-siminet/1"
    name: str = Field(min_length=1)
    classifier: str
    feature: Feature
    feature_size: int = Field(gt=0)
    hidden: int = Field(gt=0)


D = TypeVar("D", ModelDescription, SimiNetDescription)


def read_description(name_or_path: str) -> ModelDescription:
    """The description of the classifier that a configuration names: a path to .safetensors or .json, or
    `zoo:SET/MODEL`.

    Raises ModelError naming the file, the key, what was read and what is allowed.
    """
    return _read(name_or_path, ModelDescription)


ONNX, TORCHSCRIPT = "onnx", "torchscript"
"""Architectures of a model that is a user's own file of that kind."""
_SUFFIXES = {ONNX: ".onnx", TORCHSCRIPT: ".pt"}


def weights_path(name_or_path: str, description: ModelDescription) -> Path:
    """The file with that classifier's weights. Says nothing about whether it exists."""
    return locate(name_or_path).with_suffix(_SUFFIXES.get(description.architecture, ".safetensors"))


def read_siminet_description(name_or_path: str) -> SimiNetDescription:
    """Likewise, of a SimiNet."""
    return _read(name_or_path, SimiNetDescription)


def check_siminet(siminet: SimiNetDescription, classifier: ModelDescription) -> None:
    """Raises ModelError where that SimiNet was not trained on that classifier's features."""
    if (siminet.classifier, siminet.feature) != (classifier.name, classifier.feature):
        raise ModelError(
            f"SimiNet {siminet.name!r} compares the {siminet.feature} of {siminet.classifier!r}, but the local model "
            f"is {classifier.name!r} with {classifier.feature}; use its own SimiNet: clownfish train siminet"
        )


def write_description(path: Path, description: ModelDescription | SimiNetDescription) -> None:
    """Write it as JSON."""
    path.write_text(json.dumps(description.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")


def _read(name_or_path: str, kind: type[D]) -> D:
    path = locate(name_or_path).with_suffix(".json")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{name_or_path}: no description at {path} ({error}); every model needs its .json beside its .safetensors"
        ) from error
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(f"{path}: {key}: {first['msg']} (read {first['input']!r})") from error
