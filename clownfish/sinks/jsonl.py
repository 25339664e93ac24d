"""The sink `jsonl`: one JSON object per answer or event, each on a line of its own, for programs (layer 1).

Each line is one write to the end of the file, so whoever follows the file sees a result at once and a killed process
loses none that it wrote. The file always consists of whole lines: what a killed process or a full disk left of one is
cut off, at opening and after a failed write.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from clownfish.errors import SinkError
from clownfish.eventing import SceneEvent
from clownfish.messages import End
from clownfish.sinks.aside import Aside
from clownfish.sinks.base import Item
from clownfish.sinks.forms import line_of, utc_now

_BLOCK_BYTES = 65536


class JsonLines:
    """Appends to a file, which one sink at a time may hold open. Devices and pipes are taken as they are."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_mb: float = 0.0,
        max_hours: float = 0.0,
        keep: int = 10,
        gzip: bool = False,
        sync: Literal["never", "second", "always"] = "never",
        now: Callable[[], float] = time.time,
    ) -> None:
        """A file larger than `max_mb`, or begun before the last whole `max_hours` of the day (UTC), is put aside, and
        of those `keep` are kept, with `gzip` compressed; 0: never put aside. `sync`: how often lines are forced to the
        disk. `now`: seconds since 1970.

        Folders on the way are made. Raises SinkError where the file cannot be opened or another sink has it.
        """
        if max_mb < 0 or max_hours < 0 or keep < 0:
            raise ValueError(f"max_mb {max_mb}, max_hours {max_hours}, keep {keep}; expected 0 or more of each")
        if sync not in ("never", "second", "always"):
            raise ValueError(f"sync {sync!r}; expected never, second or always")
        self._path = Path(path)
        self._max_bytes, self._max_s = max_mb * 1e6, max_hours * 3600
        self._aside = Aside(self._path, keep, gzip)
        self._sync_s = {"never": float("inf"), "second": 1.0, "always": 0.0}[sync]
        self._now, self._synced_at = now, now()
        self._began_at = 0.0
        """When the file was last written to before it was opened here, or when it was begun."""
        self._size_bytes = 0
        self._regular = False
        self._fd: int | None = self._open()
        if self._regular:
            self._aside.tidy()

    def _open(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise SinkError(f"cannot open {self._path} to write results: {error.strerror}") from error
        self._regular = stat.S_ISREG(os.fstat(fd).st_mode)
        self._began_at, self._size_bytes = self._now(), 0
        if self._regular:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                began_at = os.fstat(fd).st_mtime
                self._size_bytes = _whole_lines_bytes(fd)
                os.ftruncate(fd, self._size_bytes)
            except OSError as error:
                os.close(fd)
                raise SinkError(
                    f"cannot take {self._path} for results: {error.strerror}; is another sink writing to it?"
                ) from error
            if self._size_bytes:
                self._began_at = began_at
        return fd

    def write(self, item: Item) -> None:
        """Appends one line, or nothing: raises SinkError, and the next result may be written again."""
        if self._fd is None:
            raise SinkError(f"{self._path} is closed; no result can be written to it")
        more = {"said_at": utc_now()} if isinstance(item, SceneEvent) else {}
        line = line_of(item, **more) + b"\n"
        self._rotate(len(line))
        try:
            self._append(self._fd, line)
            self._size_bytes += len(line)
            if self._now() - self._synced_at >= self._sync_s:
                os.fdatasync(self._fd)
                self._synced_at = self._now()
        except OSError as error:
            raise SinkError(f"cannot write a result to {self._path}: {error.strerror}") from error

    def _rotate(self, more_bytes: int) -> None:
        """Put the file aside and begin another, where it is due. Where that fails, the old one goes on growing."""
        full = self._max_bytes and self._size_bytes + more_bytes > self._max_bytes
        old = self._max_s and self._now() // self._max_s > self._began_at // self._max_s
        if self._fd is None or not self._regular or not self._size_bytes or not (full or old):
            return
        with contextlib.suppress(OSError, SinkError):
            if self._path.exists():
                self._aside.put(self._now())
            fresh = self._open()
            os.close(self._fd)
            self._fd = fresh
            self._aside.tidy()

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
