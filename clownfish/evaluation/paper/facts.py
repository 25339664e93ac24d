"""What this run is of: machine, versions, command."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from clownfish import __version__

LIBRARIES = ("numpy", "torch", "openvino", "onnxruntime", "opencv-python-headless", "matplotlib")


def machine() -> list[tuple[str, str]]:
    """(what, which), for a table."""
    return list(_facts())


def _facts() -> Iterator[tuple[str, str]]:
    yield "processor", _processor()
    yield "cores", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    yield "system", platform.platform()
    yield "Python", platform.python_version()
    yield "clownfish", __version__
    for library in LIBRARIES:
        try:
            yield library, version(library)
        except PackageNotFoundError:
            yield library, "not installed"


def _processor() -> str:
    """As Linux names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
