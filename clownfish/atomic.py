"""Files that are there whole or not at all, whatever kills the process that writes them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from clownfish.errors import ConfigError


def write_whole(path: Path, write: Callable[[BinaryIO], object], mode: int = 0o666) -> None:
    """Let `write` fill a file beside `path`, bring it to the disk, and only then give it the name.

    A process killed in the midst leaves the old file, and a `.part` that the next writing replaces. Where it cannot be
    written the old file stays, and nothing else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too, outlives a power cut
    finally:
        os.close(folder)


def write_text(path: Path, text: str, mode: int = 0o666) -> None:
    """`write_whole` of UTF-8 text."""
    write_whole(path, lambda file: file.write(text.encode()), mode)


def check_writable(key: str, path: Path) -> None:
    """Raises ConfigError where a file at `path` could not be written: better before hours of training than after."""
    probe = path.with_name(f"{path.name}.probe")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"{key}: {path} cannot be written ({error.strerror}); name a path that can") from error
