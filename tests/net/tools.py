"""What tests of real links share: commands in a namespace, and what is left of a killed lab."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from clownfish.lab.net.namespace import Namespace

CLI = (sys.executable, "-m", "clownfish")
PATIENCE_S = 20.0


def run_cli(*arguments: str, inside: Namespace | None = None) -> subprocess.CompletedProcess[str]:
    """`clownfish …` to its end."""
    before = inside.enter if inside is not None else ()
    return subprocess.run([*before, *CLI, *arguments], capture_output=True, text=True, timeout=100)


def until(condition: Callable[[], bool], what: str) -> float:
    """Wait for it; returns the seconds that took."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() < begin + PATIENCE_S, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - begin


def network_namespaces(pids: Iterable[int] | None = None) -> set[str]:
    """Those that these processes, or all, run in or hold open: a namespace without a name has no other life."""
    found = set()
    for pid in map(str, pids) if pids is not None else ("[0-9]*",):
        for link in (*Path("/proc").glob(f"{pid}/ns/net"), *Path("/proc").glob(f"{pid}/fd/*")):
            with contextlib.suppress(OSError):
                name = str(link.readlink())
                if name.startswith("net:["):
                    found.add(name)
    return found


def made_by(pid: int, below: Iterable[int]) -> set[str]:
    """The namespaces that a lab has made, and its processes run in."""
    return network_namespaces((pid, *below)) - network_namespaces([os.getpid()])


def children(pid: int) -> set[int]:
    """Processes below it, at any depth."""
    found: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                found |= {child} | children(child)
    return found
