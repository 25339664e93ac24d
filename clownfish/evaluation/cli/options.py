"""What the `clownfish eval` commands share: how words of the command line become settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clownfish.settings import Plugin
    from clownfish.sources.truth import Truth

T = TypeVar("T", bound=str)


def streams_of(dataset: str, root: Path | None, options: Iterable[str]) -> dict[str, Truth | None]:
    """Video file → its truth, of all streams of a data set. Raises ConfigError or DatasetError; also for a set that has
    no streams."""
    from clownfish.datasets import open_dataset
    from clownfish.datasets.probe import Probe
    from clownfish.errors import ConfigError, DatasetError
    from clownfish.sources.truth import Context, Truth
    from clownfish.training.data import options_of

    if root is None:
        raise ConfigError(f"--dataset {dataset}: its folder is missing; say --root FOLDER")
    found: dict[str, Truth | None] = {}
    for stream in open_dataset(dataset, root, Probe(), options_of(options)).streams():
        found[str(stream.path)] = Truth(tuple(Context(i.start, i.end, i.label) for i in stream.intervals))
    if not found:
        raise DatasetError(f"{root}: holds no streams: no part of it is held back to measure on")
    return found


def plugin(text: str) -> Plugin:
    """`jpeg,quality=90` → the plug-in `jpeg` with that option. Raises ConfigError where an option has no value."""
    from clownfish.config import parse_value
    from clownfish.errors import ConfigError
    from clownfish.settings import Plugin

    kind, *options = text.split(",")
    values = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise ConfigError(f"{text!r}: option {option!r}; expected KIND,OPTION=VALUE, for example jpeg,quality=90")
        values[name.strip()] = parse_value(value.strip())
    return Plugin(kind, values)


def one_of(option: str, read: str, allowed: tuple[T, ...]) -> T:
    """`read`, where it is among the `allowed`. Raises ConfigError that names `option` where it is not."""
    from clownfish.errors import ConfigError

    for value in allowed:
        if value == read:
            return value
    raise ConfigError(f"{option} is {read!r}; expected {', '.join(allowed)}")
