"""Data sets: labelled clips to train on, labelled streams to measure on. Layer 1.

To add one: a file here with a class like `base.Dataset`, a line below, and it rides tests/test_datasets.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clownfish.datasets.base import Dataset
from clownfish.errors import ConfigError
from clownfish.registry import Registry

if TYPE_CHECKING:
    from clownfish.datasets.probe import Probe

DATASETS: Registry[Callable[..., Dataset]] = Registry(
    "data set",
    {
        "ucf9": "clownfish.datasets.ucf9:Ucf9",
        "folder": "clownfish.datasets.folder:ClassFolders",
        "csv": "clownfish.datasets.intervals_csv:IntervalTables",
        "pku-mmd": "clownfish.datasets.pku_mmd:PkuMmd",
        "ucf101": "clownfish.datasets.ucf101:Ucf101",
        "activitynet": "clownfish.datasets.activitynet:ActivityNet",
    },
)


def open_dataset(name: str, root: Path, probe: Probe, options: Mapping[str, Any] | None = None) -> Dataset:
    """The data set `name` in folder `root`. Raises ConfigError for a name or an option that is unknown, DatasetError
    where the folder is not that data set."""
    factory = DATASETS.get(name)
    allowed = [each for each in inspect.signature(factory).parameters.values() if each.name not in ("root", "probe")]
    unknown = set(options or {}) - {each.name for each in allowed}
    if unknown:
        known = ", ".join(f"{each.name} = {each.default!r}" for each in allowed) or "none"
        raise ConfigError(f"data set {name!r} has no option {min(unknown)!r}; its options: {known}")
    try:
        return factory(root, probe, **(options or {}))
    except TypeError as error:
        raise ConfigError(f"data set {name!r}: an option is of the wrong type ({error})") from error
