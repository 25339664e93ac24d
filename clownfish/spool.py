"""Spool: messages that a target has not taken yet, in a bounded folder that outlives the process (layer 1).

    FOLDER/lock                 held while the spool is open
    FOLDER/acked                the number of the last message that the target has
    FOLDER/00000000000000000001.segment   messages, one after the other, the file called after its first one's number

    message   uint32 length, uint32 CRC-32 of number and bytes, uint64 number; the bytes      (little endian)

Messages are numbered from 1 for ever and given out in that order. What a kill -9 or a cut of power leaves torn at the
end of the last segment is cut off when the spool is opened. Delivery is at least once: a message is given out again
until it is acknowledged, and so may be one whose acknowledgement was not written.

Nothing here raises once it is open. A full disk is counted, and messages wait in a small memory instead; where the
spool is over its size the oldest segment is dropped, and what was in it counted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from clownfish.errors import SinkError

_HEADER = struct.Struct("<IIQ")
_ACKED = struct.Struct("<QI")
MAX_MESSAGE_BYTES = 256 * 1024
_SEGMENT_BYTES = 1024 * 1024
_IN_MEMORY = 1000
"""Messages that wait in memory while the disk takes none."""
_SYNC_S = 0.2
STATE_LOST = 'state_lost{what="spool"}'


class Entry(NamedTuple):
    """One message; `number` acknowledges it, and all before it."""

    number: int
    data: bytes


@dataclass(slots=True)
class _Segment:
    path: Path
    first: int
    size_bytes: int = 0
    offsets: list[int] = field(default_factory=list)
    """Where each message begins, from `first` on; damaged ones end it."""


class Spool:
    """Append, peek, acknowledge; for one process and thread.

    `counts` grows only: spooled, acked, dropped{reason="spool_full"}, dropped{reason="too_large"},
    dropped{reason="disk_full"} (there was no room in memory either), dropped{reason="damaged"} (no longer as they were
    written), spool_disk_errors (writes that failed), spool_torn_bytes (cut off when opening), state_lost{what="spool"}
    (when opening: what the target has is not known any more, and all is given out again; or a segment that cannot be
    read is removed).
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        max_mb: float = 64.0,
        *,
        sync_s: float = _SYNC_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`sync_s`: how often what was appended is forced to the disk, by `append` and `sync`; 0: always. It is what a
        cut of power may take. A killed process loses nothing.

        Raises SinkError where the folder cannot be used or another process has it.
        """
        if not max_mb > 0:
            raise ValueError(f"max_mb is {max_mb}; a spool needs more than 0 MB")
        self.counts: Counter[str] = Counter()
        self._folder = Path(folder)
        self._max_bytes = int(max_mb * 1e6)
        self._segment_bytes = min(_SEGMENT_BYTES, max(4096, self._max_bytes // 4))
        self._sync_s, self._now = sync_s, now
        self._synced_at, self._dirty = now(), False
        self._memory: deque[Entry] = deque()
        self._segments: deque[_Segment] = deque()
        self._writing: int | None = None
        """Descriptor of the last segment, while it is open to append."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SinkError(f"spool {folder}: cannot be used ({error.strerror}); name another folder") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise SinkError(f"spool {folder}: another sink has it; give each sink a spool of its own") from error
        try:
            self._directory = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
            self._acked_file = os.open(self._folder / "acked", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._acked = self._read_acked()
            self._scan()
        except OSError as error:
            os.close(self._lock)
            raise SinkError(f"spool {folder}: cannot be read ({error.strerror}); remove it, or name another") from error

    # -- what the sink asks

    @property
    def waiting(self) -> int:
        """Messages not acknowledged yet."""
        on_disk = sum(self._unacked(segment) for segment in self._segments)
        return on_disk + sum(entry.number > self._acked for entry in self._memory)

    @property
    def size_bytes(self) -> int:
        """On disk."""
        return sum(segment.size_bytes for segment in self._segments)

    def append(self, data: bytes) -> bool:
        """Take a message. False, and counted, where it could not be kept."""
        if len(data) > MAX_MESSAGE_BYTES:
            self.counts['dropped{reason="too_large"}'] += 1
            return False
        entry = Entry(self._next, data)
        self._refill()
        if self._memory or not self._write(entry):
            if len(self._memory) >= _IN_MEMORY:
                self.counts['dropped{reason="disk_full"}'] += 1
                return False
            self._memory.append(entry)
        self._next += 1
        self.counts["spooled"] += 1
        self._shrink()
        return True

    def peek(self, count: int = 1) -> list[Entry]:
        """The oldest messages not acknowledged, at most `count`, in order; damaged ones are passed over."""
        entries: list[Entry] = []
        for segment in self._segments:
            if len(entries) >= count:
                return entries
            skip = max(0, self._acked + 1 - segment.first)
            if skip < len(segment.offsets):
                entries += self._read(segment, skip, count - len(entries))
        return [*entries, *[entry for entry in self._memory if entry.number > self._acked][: count - len(entries)]]

    def acknowledge(self, number: int) -> None:
        """The target has this message, and all before it."""
        before = self.waiting
        self._acked = max(self._acked, number)
        self.counts["acked"] += max(0, before - self.waiting)
        while self._memory and self._memory[0].number <= self._acked:
            self._memory.popleft()
        while len(self._segments) > 1 and self._segments[1].first <= self._acked + 1:
            self._drop_first()
        with contextlib.suppress(OSError):  # then it is given out again after a restart
            packed = struct.pack("<Q", self._acked)
            os.pwrite(self._acked_file, _ACKED.pack(self._acked, zlib.crc32(packed)), 0)

    def sync(self) -> None:
        """Force to the disk what was appended, if that is due."""
        if self._now() - self._synced_at >= self._sync_s:
            self._sync()

    def close(self) -> None:
        """Write what memory holds, if the disk takes it, and release the folder. Safe to call twice."""
        if self._lock < 0:
            return
        self._refill()
        if self._memory:
            self.counts['dropped{reason="disk_full"}'] += len(self._memory)
        self._sync()
        self._stop_writing()
        for descriptor in (self._acked_file, self._directory, self._lock):
            os.close(descriptor)
        self._lock = -1

    # -- the files

    def _unacked(self, segment: _Segment) -> int:
        return max(0, segment.first + len(segment.offsets) - 1 - max(self._acked, segment.first - 1))

    def _read_acked(self) -> int:
        raw = os.pread(self._acked_file, _ACKED.size, 0)
        if len(raw) < _ACKED.size:
            self.counts[STATE_LOST] += len(raw) > 0
            return 0
        acked, crc = _ACKED.unpack(raw)
        if zlib.crc32(raw[:8]) == crc:
            return int(acked)
        self.counts[STATE_LOST] += 1
        return 0

    def _scan(self) -> None:
        """Find every whole message; cut off what is torn."""
        for path in sorted(self._folder.glob("*.segment")):
            if not path.stem.isdigit():
                continue
            segment = _Segment(path, int(path.stem))
            try:
                data = path.read_bytes()
            except OSError:  # a bad block: what else is there must reach the target
                path.unlink()
                self.counts[STATE_LOST] += 1
                continue
            while (entry := _entry_at(data, segment.size_bytes, segment.first + len(segment.offsets))) is not None:
                segment.offsets.append(segment.size_bytes)
                segment.size_bytes += _HEADER.size + len(entry.data)
            if segment.size_bytes < len(data):
                self.counts["spool_torn_bytes"] += len(data) - segment.size_bytes
                os.truncate(path, segment.size_bytes)
            self._segments.append(segment)
        last = self._segments[-1] if self._segments else None
        self._next = max(self._acked, last.first + len(last.offsets) - 1 if last is not None else 0) + 1
        while self._segments and self._segments[0].first + len(self._segments[0].offsets) <= self._acked + 1:
            self._drop_first()

    def _read(self, segment: _Segment, skip: int, count: int) -> list[Entry]:
        begin = segment.offsets[skip]
        last = min(skip + count, len(segment.offsets))
        end = segment.offsets[last] if last < len(segment.offsets) else segment.size_bytes
        entries: list[Entry] = []
        try:
            with segment.path.open("rb") as file:
                file.seek(begin)
                data = file.read(end - begin)
        except OSError:
            data = b""
        for place in range(skip, last):
            entry = _entry_at(data, segment.offsets[place] - begin, segment.first + place)
            if entry is None:  # damaged since: pass over the rest of this file
                self.counts['dropped{reason="damaged"}'] += len(segment.offsets) - place
                del segment.offsets[place:]
                break
            entries.append(entry)
        return entries

    def _refill(self) -> None:
        """Move to disk what memory holds."""
        while self._memory and self._write(self._memory[0]):
            self._memory.popleft()

    def _write(self, entry: Entry) -> bool:
        segment = self._segments[-1] if self._segments else None
        follows = segment is not None and segment.first + len(segment.offsets) == entry.number
        if segment is None or not follows or segment.size_bytes >= self._segment_bytes:
            self._sync()
            self._stop_writing()
            segment = _Segment(self._folder / f"{entry.number:020d}.segment", entry.number)
        data = _packed(entry)
        written = 0
        try:
            if self._writing is None:
                self._writing = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            while written < len(data):
                written += os.write(self._writing, data[written:])
        except OSError:
            self.counts["spool_disk_errors"] += 1
            if self._writing is not None:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._writing, segment.size_bytes)
                self._stop_writing()
                if not segment.offsets:
                    segment.path.unlink(missing_ok=True)
            return False
        if not segment.offsets:
            self._segments.append(segment)
        segment.offsets.append(segment.size_bytes)
        segment.size_bytes += len(data)
        self._dirty = True
        self.sync()
        return True

    def _shrink(self) -> None:
        """Drop the oldest segments while there is too much on disk. The last one stays."""
        while len(self._segments) > 1 and self.size_bytes > self._max_bytes:
            self.counts['dropped{reason="spool_full"}'] += self._unacked(self._segments[0])
            self._drop_first()

    def _drop_first(self) -> None:
        segment = self._segments.popleft()
        if not self._segments:
            self._stop_writing()
        segment.path.unlink(missing_ok=True)

    def _sync(self) -> None:
        if self._dirty and self._writing is not None:
            with contextlib.suppress(OSError):
                os.fdatasync(self._writing)
                os.fsync(self._directory)  # a new segment's name
        self._dirty, self._synced_at = False, self._now()

    def _stop_writing(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None


def _packed(entry: Entry) -> bytes:
    number = struct.pack("<Q", entry.number)
    return _HEADER.pack(len(entry.data), zlib.crc32(entry.data, zlib.crc32(number)), entry.number) + entry.data


def _entry_at(data: bytes, at: int, number: int) -> Entry | None:
    """The message at that place, if it is whole and has that number."""
    if at + _HEADER.size > len(data):
        return None
    length, crc, found = _HEADER.unpack_from(data, at)
    body = data[at + _HEADER.size : at + _HEADER.size + length]
    whole = len(body) == length and found == number
    return Entry(number, body) if whole and zlib.crc32(body, zlib.crc32(struct.pack("<Q", number))) == crc else None
