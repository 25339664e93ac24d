"""A user's own model by name: `module:attribute`, in whatever framework (layer 0; it is called by `models.own` alone).

The attribute is called without arguments to get the model, and has `classes` itself (a class its class attribute, a
function one set on it), so that services which run no model read them without loading it. Those services import the
module, too: import the framework inside the call.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from clownfish.errors import ModelError

_PATH = re.compile(r"(?!zoo:)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_own(name: str) -> bool:
    """Whether `name` is a user's `module:attribute`, and neither a file nor a `zoo:` name."""
    return _PATH.fullmatch(name) is not None


def own_factory(name: str) -> Any:
    """What `module:attribute` names. Raises ModelError where it cannot be imported."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"model {name} cannot be imported: {error}; expected module:attribute") from error


def own_classes(name: str) -> tuple[str, ...]:
    """The classes of `module:attribute`, without calling it. Raises ModelError where it has none."""
    classes = getattr(own_factory(name), "classes", None)
    if not isinstance(classes, (tuple, list)) or len(classes) < 2 or not all(isinstance(each, str) for each in classes):
        raise ModelError(f"model {name}: its `classes` are {classes!r}; expected two or more names, in the order of p")
    return tuple(classes)
