"""The sink `jsonl`: one JSON object per result per line, for programs (layer 1).

Each line is one write to the end of the file, so whoever follows the file sees a result at once and a killed process
loses none that it wrote. The file always consists of whole lines: what a killed process or a full disk left of one is
cut off, at opening and after a failed write.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from pathlib import Path

import numpy as np

from clownfish.errors import SinkError
from clownfish.messages import End, FusedResult

_BLOCK_BYTES = 65536


def to_line(result: FusedResult) -> bytes:
    """`result` as one line of JSON, UTF-8. Raises SinkError where a number is not finite (JSON has none such)."""
    record = {
        "stream": result.stream,
        "epoch": result.epoch,
        "t": result.t,
        "revision": result.revision,
        "label": result.label,
        "confidence": round(float(result.confidence), 6),
        "source": result.source,
        "final": result.final,
        "lag": result.lag,
        "rho": None if result.rho is None else round(float(result.rho), 6),
        "alpha": round(float(result.alpha), 6),
        "beta": round(float(result.beta), 6),
        "p": np.asarray(result.p, np.float64).round(6).tolist(),
    }
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise SinkError(f"result {result.key} has a number that JSON cannot hold: {error}") from error
    return text.encode() + b"\n"


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

    def write(self, result: FusedResult) -> None:
        """Appends one line, or nothing: raises SinkError, and the next result may be written again."""
        if self._fd is None:
            raise SinkError(f"{self._path} is closed; no result can be written to it")
        line = to_line(result)
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
