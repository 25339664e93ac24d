"""The weights that ship with the package: `zoo:ucf9/local` names clownfish/zoo/ucf9/local.safetensors."""

from __future__ import annotations

import json
from pathlib import Path

from clownfish.errors import ModelError
from clownfish.zoo.own import is_own, own_classes

PREFIX = "zoo:"


def locate(name_or_path: str) -> Path:
    """Where the weights are that a configuration names: `zoo:SET/MODEL` inside this package, anything else a path.

    Says nothing about whether the file exists.
    """
    if not name_or_path.startswith(PREFIX):
        return Path(name_or_path)
    return Path(__file__).parent.joinpath(*name_or_path[len(PREFIX) :].split("/")).with_suffix(".safetensors")


def names() -> list[str]:
    """All `zoo:` names that exist here, sorted."""
    root = Path(__file__).parent
    return sorted(PREFIX + p.relative_to(root).with_suffix("").as_posix() for p in root.rglob("*.safetensors"))


def read_classes(name_or_path: str) -> tuple[str, ...]:
    """The classes that a model answers, in order: all that a service without a model needs of its description.

    Reads the JSON beside the weights, or what a user's own `module:attribute` says, and nothing else. Raises ModelError
    where it is missing or names no classes.
    """
    if is_own(name_or_path):
        return own_classes(name_or_path)
    path = locate(name_or_path).with_suffix(".json")
    try:
        classes = json.loads(path.read_text(encoding="utf-8"))["classes"]
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error}); name a model as zoo:SET/MODEL, or by its path") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: is no model's description: expected a JSON object with `classes`") from error
    if not isinstance(classes, list) or not classes or not all(isinstance(each, str) for each in classes):
        raise ModelError(f"{path}: `classes` is {str(classes)[:80]}; expected a list of names")
    return tuple(classes)
