"""Sinks: where answers go. Layer 1.

To add one: a file here with a class like `base.Sink`, a line below, and it rides tests/test_sinks.py.
"""

from clownfish.registry import Registry
from clownfish.sinks.base import Sink

SINKS: Registry[type[Sink]] = Registry(
    "sink",
    {
        "jsonl": "clownfish.sinks.jsonl:JsonLines",
        "console": "clownfish.sinks.console:Console",
    },
)
