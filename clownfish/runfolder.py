"""The run folder as a whole: whose it is while a graph runs, and that it goes after a run (layer 2)."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from clownfish.errors import ConfigError

LOCK = "supervisor.lock"
"""In the run folder; held while the graph runs."""


def take_folder(run_dir: Path) -> int:
    """Hold the folder until the descriptor is closed; what the run before counted is removed.

    Raises ConfigError where another supervisor holds it.
    """
    descriptor = os.open(run_dir / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ConfigError(f"a graph runs already in {run_dir}; stop it, or give this one another graph.name") from None
    for pattern in ("*.counters", "*.watermarks", "*.histogram"):  # of the run before: this one counts from zero
        for path in run_dir.glob(pattern):
            path.unlink(missing_ok=True)
    return descriptor


def is_running(run_dir: Path) -> bool:
    """Whether a supervisor holds that run folder now."""
    try:
        with (run_dir / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def remove_folder(path: Path) -> None:
    """Remove a run folder that was made for one run."""
    shutil.rmtree(path, ignore_errors=True)
