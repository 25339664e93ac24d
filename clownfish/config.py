"""Configuration files: TOML, validated against `settings` with pydantic (layer 1).

Errors name file, key, what was read and what is allowed. One schema serves edge and cloud; the sections that a file has
decide what `clownfish up` starts. The environment (`CLOWNFISH__fusion__theta=0.6`) overrides the file, and
`--set fusion.theta=0.6` overrides both.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from clownfish.errors import ConfigError
from clownfish.settings import Config, to_tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

ENVIRONMENT_PREFIX = "CLOWNFISH__"


def parse_value(text: str) -> Any:
    """A TOML value, or the text itself where it is none: `0.6`, `true`, `["a"]`, `puppets:test/3`."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def put(tree: dict[str, Any], keys: list[str], value: Any, where: str) -> None:
    """Set one value in the tree, by its path of keys and places in lists. Raises ConfigError where there is no such."""
    node: Any = tree
    for i, key in enumerate(keys):
        last = i == len(keys) - 1
        if isinstance(node, list):
            if not key.isdigit() or int(key) >= len(node):
                raise ConfigError(f"{where}: {'.'.join(keys)}: {key!r} is no place in a list of {len(node)}")
            if last:
                node[int(key)] = value
            else:
                node = node[int(key)]
        elif isinstance(node, dict):
            if last:
                node[key] = value
            else:
                node = node.setdefault(key, {})
        else:
            raise ConfigError(f"{where}: {'.'.join(keys)}: {'.'.join(keys[:i])} is a value, not a table")


def read_toml(path: Path) -> dict[str, Any]:
    """The tree of a TOML file, or of a JSON file where it is called so. Raises ConfigError."""
    form, parse = ("JSON", json.loads) if path.suffix == ".json" else ("TOML", tomllib.loads)
    try:
        tree: dict[str, Any] = parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not valid {form}: {error}") from error
    return tree


def load_config(path: str | Path, sets: Iterable[str] = (), environment: Mapping[str, str] | None = None) -> Config:
    """Read, override and validate. Raises ConfigError with every fault, each on a line of its own."""
    path = Path(path)
    tree = read_toml(path)
    for key, value in sorted((os.environ if environment is None else environment).items()):
        if key.startswith(ENVIRONMENT_PREFIX):
            put(tree, key[len(ENVIRONMENT_PREFIX) :].lower().split("__"), parse_value(value), f"environment {key}")
    put_sets(tree, sets)
    return validate(tree, str(path))


def put_sets(tree: dict[str, Any], sets: Iterable[str]) -> None:
    """Set what `--set KEY=VALUE` options say. Raises ConfigError."""
    for item in sets:
        key, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"--set {item!r}: expected KEY=VALUE, for example fusion.theta=0.6")
        put(tree, key.strip().split("."), parse_value(value.strip()), f"--set {item}")


def validate(tree: Mapping[str, Any], where: str) -> Config:
    """The configuration in `tree`; `where` is what errors call it."""
    return validate_as(Config, tree, where)


def validate_as(kind: type[T], tree: Mapping[str, Any], where: str) -> T:
    """The settings of the dataclass `kind` in `tree`. Raises ConfigError with every fault, each on its own line."""
    try:
        checked: T = _adapter(cast(Any, kind)).validate_python(tree)
    except ValidationError as error:
        raise ConfigError("\n".join(_fault(kind, where, fault) for fault in error.errors())) from None
    return checked


def schema() -> dict[str, Any]:
    """JSON schema of the whole file."""
    return _adapter(Config).json_schema(schema_generator=_Schema)


class _Schema(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """A plug-in's as it stands in a file."""
        return to_tree(dft)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _fault(kind: type[Any], where: str, fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"]) or "file"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "unexpected_keyword_argument":
        section: Any = kind
        for part in fault["loc"][:-1]:
            section = _inner(section, part)
        known = sorted(each.name for each in fields(section)) if section is not None else []
        message = "unknown key" + (f"; known: {', '.join(known)}" if known else "")
    read = fault["input"]
    shown = f" (read: {json.dumps(read, default=str)[:80]})" if not isinstance(read, Mapping) else ""
    return f"{where}: {key}: {message}{shown}"


def _inner(section: Any, part: Any) -> Any:
    """The section behind one key of `section`, or behind a place in its list; None where there is none."""
    if isinstance(part, int) or section is None:
        return section
    stack = [get_type_hints(section).get(part)]
    while stack:
        annotation = stack.pop()
        if isinstance(annotation, type) and is_dataclass(annotation):
            return annotation
        stack += get_args(annotation)
    return None
