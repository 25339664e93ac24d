"""A folder for one run, removed at its end; and if that end was `kill -9`, by the next run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from clownfish.runfolder import remove_folder

_PREFIX = "clownfish-lab-"
_LOCK = "lab.lock"
"""Held as long as the run lives: the kernel lets go of it with the process."""


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """A fresh folder of this user's. Those that killed runs have left are removed first."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if _abandoned(left):
            remove_folder(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        remove_folder(folder)
        os.close(lock)


def _abandoned(folder: Path) -> bool:
    """Whether it is ours and nobody holds its lock. One without a lock is just being made."""
    try:
        if folder.stat().st_uid != os.getuid():
            return False
        lock = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True
