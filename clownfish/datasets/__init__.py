"""Data sets: labelled clips to train on, labelled streams to measure on. Layer 1.

To add one: a file here with a class like `base.Dataset`, a line below, and it rides tests/test_datasets.py.
"""

from collections.abc import Callable
from pathlib import Path

from clownfish.datasets.base import Dataset
from clownfish.registry import Registry

DATASETS: Registry[Callable[[Path], Dataset]] = Registry(
    "data set",
    {
        "ucf9": "clownfish.datasets.ucf9:Ucf9",
    },
)
