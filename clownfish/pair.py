"""A pair of models by name: `zoo:SET`, or a TOML file with [local], [worker] and what else goes with them (layer 1).

In a user's file, a model that lies in the file's own folder is named as from there, so that the folder can be moved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clownfish.config import read_toml
from clownfish.errors import ConfigError
from clownfish.zoo import PREFIX, locate
from clownfish.zoo.own import is_own

DEFAULT = "zoo:ucf9"


def read_pair(name: str) -> dict[str, Any]:
    """The settings that go with a pair. Raises ConfigError where the file cannot be read or names no two models."""
    path = Path(name) if name.endswith(".toml") else locate(f"{name}/pair").with_suffix(".toml")
    tree = read_toml(path)
    for section, key in (("local", "model"), ("worker", "model")):
        table = tree.get(section)
        if not isinstance(table, dict) or not isinstance(table.get(key), str):
            raise ConfigError(f"{path}: {section}.{key} is missing; a pair names [local] model and [worker] model")
        table[key] = _beside(path, table[key])
    similarity = tree["local"].get("similarity")
    if isinstance(similarity, dict) and isinstance(similarity.get("weights"), str):
        similarity["weights"] = _beside(path, similarity["weights"])
    return tree


def _beside(pair: Path, model: str) -> str:
    """The model below the pair's own folder, unless it lies in the working folder alone."""
    own = pair.parent / model
    if model.startswith(PREFIX) or is_own(model):
        return model
    if Path(model).with_suffix(".json").is_file() and not own.with_suffix(".json").is_file():
        return model
    return str(own)
