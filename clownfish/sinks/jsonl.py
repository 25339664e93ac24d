"""The sink `jsonl`: one JSON object per result per line, for programs (layer 1).

Each line is one write to the end of the file, so whoever follows the file sees a result at once and a killed process
loses none that it wrote. The file always consists of whole lines: what a killed process or a full disk left of one is
cut off, at opening and after a failed write.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from clownfish.errors import SinkError
from clownfish.messages import End
from clownfish.sinks.base import Item
from clownfish.sinks.forms import line_of

_BLOCK_BYTES = 65536


class JsonLines:
    """Appends to a file, which one sink at a time may hold open. Devices and pipes are taken as they are."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Folders on the way are made. Raises SinkError where the file cannot be opened or another sink has it."""
        self._path = Path(path)
        self._fd: int | None = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise SinkError(f"cannot open {self._path} to write results: {error.strerror}") from error
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
        if self._regular:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(fd, _whole_lines_bytes(fd))
            except OSError as error:
                os.close(fd)
                raise SinkError(
                    f"cannot take {self._path} for results: {error.strerror}; is another sink writing to it?"
                ) from error
        self._fd = fd

    def write(self, item: Item) -> None:
        """Appends one line, or nothing: raises SinkError, and the next result may be written again."""
        if self._fd is None:
            raise SinkError(f"{self._path} is closed; no result can be written to it")
        line = line_of(item) + b"\n"
        try:
            self._append(self._fd, line)
        except OSError as error:
            raise SinkError(f"cannot write a result to {self._path}: {error.strerror}") from error

    def _append(self, fd: int, line: bytes) -> None:
        written = 0
        try:
            while written < len(line):
                written += os.write(fd, line[written:])
        except OSError:
            if written and self._regular:
                os.ftruncate(fd, os.fstat(fd).st_size - written)
            raise

    def end(self, end: End) -> None:
        """Nothing to do: every line is in the file already."""

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _whole_lines_bytes(fd: int) -> int:
    """Size of the file up to and with its last newline."""
    at = os.fstat(fd).st_size
    while at > 0:
        start = max(0, at - _BLOCK_BYTES)
        newline = os.pread(fd, at - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        at = start
    return 0
