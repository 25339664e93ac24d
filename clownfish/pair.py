"""A pair of models by name: `zoo:SET`, or a TOML file with [local], [worker] and what else goes with them (layer 1).

[discard], the early-discard model to compare the pair with (§VI-G), is for evaluation alone: no service has it.

In a user's file, a model that lies in the file's own folder is named as from there, so that the folder can be moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clownfish.config import read_toml
from clownfish.errors import ConfigError
from clownfish.zoo import PREFIX, locate
from clownfish.zoo.own import is_own

DEFAULT = "zoo:ucf9"


@dataclass(frozen=True, slots=True)
class EarlyDiscard:
    """An early-discard model, and what it was taught to send."""

    model: str
    positive: tuple[str, ...] = ()
    """The classes worth sending; () where all are but the background."""
    background: str = ""
    """The class that a window that is not sent shows, where it is one alone."""

    def sends(self, classes: Sequence[str]) -> tuple[str, ...]:
        """Those of `classes` that are worth sending; () where nothing says which. Raises ConfigError for one that is
        none of them."""
        for name in (*self.positive, *([self.background] if self.background else ())):
            if name not in classes:
                raise ConfigError(f"[discard] names class {name!r}; the models know {', '.join(classes)}")
        return self.positive or tuple(name for name in classes if self.background and name != self.background)


def read_discard(name: str) -> EarlyDiscard | None:
    """The early-discard model of a pair, None where it has none. Raises ConfigError."""
    path = _file(name)
    table = read_toml(path).get("discard")
    if table is None:
        return None
    known = {"model": str, "positive": list, "background": str}
    wrong = [f"{key} = {value!r}" for key, value in table.items() if not isinstance(value, known.get(key, ()))]
    if wrong or "model" not in table or not all(isinstance(each, str) for each in table.get("positive", ())):
        raise ConfigError(f"{path}: discard: expected model, positive = [CLASSES], background (read {table})")
    return EarlyDiscard(_beside(path, table["model"]), tuple(table.get("positive", ())), table.get("background", ""))


def read_pair(name: str) -> dict[str, Any]:
    """The settings that go with a pair. Raises ConfigError where the file cannot be read or names no two models."""
    path = _file(name)
    tree = read_toml(path)
    tree.pop("discard", None)
    for section, key in (("local", "model"), ("worker", "model")):
        table = tree.get(section)
        if not isinstance(table, dict) or not isinstance(table.get(key), str):
            raise ConfigError(f"{path}: {section}.{key} is missing; a pair names [local] model and [worker] model")
        table[key] = _beside(path, table[key])
    for section, key in (("local", "similarity"), ("fusion", "method")):
        plugin = tree.get(section, {}).get(key)
        if isinstance(plugin, dict) and isinstance(plugin.get("weights"), str):
            plugin["weights"] = _beside(path, plugin["weights"])
    return tree


def _file(name: str) -> Path:
    return Path(name) if name.endswith(".toml") else locate(f"{name}/pair").with_suffix(".toml")


def _beside(pair: Path, model: str) -> str:
    """The model below the pair's own folder, unless it lies in the working folder alone."""
    own = pair.parent / model
    if model.startswith(PREFIX) or is_own(model):
        return model
    if Path(model).with_suffix(".json").is_file() and not own.with_suffix(".json").is_file():
        return model
    return str(own)
