"""Watermarks: the newest window answered in each stream, kept where a killed process leaves it (layer 0).

A restarted `fusion` must answer no window twice, and must count what was lost with its predecessor. Both need one
number per stream: the newest t answered. It lives in a buffer that the process layer maps from a file.

    record   24 bytes: int64 × 3: hash of the stream's name (never 0), epoch, t + 1; 0 in the first: free

The epoch is written after t + 1 was zeroed, and t + 1 last; aligned 8-byte stores are whole, so a reader finds a pair
that was true, or one that says "nothing known of this epoch".
"""

from __future__ import annotations

import hashlib
from mmap import mmap
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from clownfish.messages import StreamKey

Buffer: TypeAlias = bytearray | memoryview | mmap

STREAMS = 1024
BUFFER_BYTES = STREAMS * 3 * 8


class Watermarks:
    """At most 1024 streams; beyond that the least recently started one is forgotten."""

    def __init__(self, buffer: Buffer | None = None) -> None:
        """`buffer`: writable, BUFFER_BYTES long; without one nothing outlives the process."""
        raw = bytearray(BUFFER_BYTES) if buffer is None else buffer
        self._records: npt.NDArray[np.int64] = np.frombuffer(raw, np.int64, STREAMS * 3).reshape(STREAMS, 3)
        self._slots = {int(name): slot for slot, (name, _, _) in enumerate(self._records) if name}
        self._next = len(self._slots) % STREAMS

    def get(self, key: StreamKey) -> int | None:
        """The newest window answered in this stream and epoch, or None where none is known."""
        slot = self._slots.get(_hash(key.stream))
        if slot is None:
            return None
        _, epoch, count = (int(field) for field in self._records[slot])
        return count - 1 if epoch == key.epoch and count > 0 else None

    def set(self, key: StreamKey, t: int) -> None:
        """Window `t` of this stream and epoch was answered."""
        name = _hash(key.stream)
        slot = self._slots.get(name)
        if slot is None:
            slot = self._next
            self._next = (slot + 1) % STREAMS
            self._slots = {other: place for other, place in self._slots.items() if place != slot}
            self._slots[name] = slot
            self._records[slot] = 0
            self._records[slot, 0] = name
        record = self._records[slot]
        if record[1] != key.epoch:
            record[2] = 0
            record[1] = key.epoch
        record[2] = t + 1


def _hash(stream: str) -> int:
    return int.from_bytes(hashlib.blake2b(stream.encode(), digest_size=8).digest(), "little", signed=True) or 1
