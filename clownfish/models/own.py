"""A user's own model, in whatever framework: see `zoo.own` for its name."""

from __future__ import annotations

from clownfish.errors import ModelError
from clownfish.models.base import WindowModel
from clownfish.zoo.own import own_classes, own_factory

_PARTS = ("name", "classes", "window_size", "infer")


def own_model(name: str) -> WindowModel:
    """Call `module:attribute`. Raises ModelError where what comes is no model with the classes that it promised."""
    classes = own_classes(name)
    model: WindowModel = own_factory(name)()
    missing = [part for part in _PARTS if not hasattr(model, part)]
    if missing:
        raise ModelError(f"model {name} gives a {type(model).__name__} without {missing[0]!r}; see models.base")
    if tuple(model.classes) != classes:
        raise ModelError(f"model {name} answers {tuple(model.classes)}, but the attribute's classes are {classes}")
    return model
