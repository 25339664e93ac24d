"""Counters that outlive their process, gauges, and latency histograms (layer 0).

A service counts each window that it drops, and a count must not be lost with the process: the counters live in a
buffer which the process layer maps from a file. What a process has stored in mapped memory stays there when it is
killed, and the process that takes its place goes on from the old values.

    header   64 bytes: int64 × 8: magic, version, slots, bytes per name, used slots, 0, 0, 0
    names    slots × 120 bytes, UTF-8, padded with zeros
    values   slots × int64

A slot's name is written before the number of used slots grows, and aligned 8-byte stores are whole, so a reader finds
sane values at any moment. Labels are part of the name: `drops{reason="full"}`. What counts something that is no more (a
stream that was removed) is forgotten: its name's first byte says that the slot is free, and is the last one written
when another counter takes it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Mapping
from mmap import mmap
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from clownfish.errors import ConfigError, WireError

Buffer: TypeAlias = bytes | bytearray | memoryview | mmap

SLOTS = 1024
NAME_BYTES = 120
_HEADER_BYTES = 64
_MAGIC = int.from_bytes(b"clwncnt\n", "little")
_VERSION = 1
BUFFER_BYTES = _HEADER_BYTES + SLOTS * NAME_BYTES + SLOTS * 8
"""Size of the buffer that Counters needs."""
_LONGEST_NS = 2.0**63
_GROWTH = 1.02
_LOG_GROWTH = math.log(_GROWTH)
_FREE = 1
"""First byte of the name in a slot that was used and is free; no name begins so."""


class _Table:
    """The arrays over one buffer."""

    def __init__(self, buffer: Buffer) -> None:
        if memoryview(buffer).nbytes < BUFFER_BYTES:
            raise ValueError(f"a buffer of {memoryview(buffer).nbytes} bytes; counters need {BUFFER_BYTES}")
        self.header: npt.NDArray[np.int64] = np.frombuffer(buffer, np.int64, 8)
        self.names: npt.NDArray[np.uint8] = np.frombuffer(buffer, np.uint8, SLOTS * NAME_BYTES, _HEADER_BYTES).reshape(
            SLOTS, NAME_BYTES
        )
        self.values: npt.NDArray[np.int64] = np.frombuffer(buffer, np.int64, SLOTS, _HEADER_BYTES + SLOTS * NAME_BYTES)

    def slots(self) -> dict[str, int] | None:
        """The slot of each counter, or None where the buffer does not hold any sane ones."""
        magic, version, slots, name_bytes, used = (int(field) for field in self.header[:5])
        if (magic, version, slots, name_bytes) != (_MAGIC, _VERSION, SLOTS, NAME_BYTES) or not 0 <= used <= SLOTS:
            return None
        found: dict[str, int] = {}
        for slot in range(used):
            if self.names[slot, 0] == _FREE:
                continue
            try:
                name = self.names[slot].tobytes().rstrip(b"\0").decode()
            except UnicodeDecodeError:
                return None
            if not name or "\0" in name or name in found or self.values[slot] < 0:
                return None
            found[name] = slot
        return found

    def reset(self) -> None:
        self.header[:] = 0
        self.names[:] = 0
        self.values[:] = 0
        self.header[1:5] = (_VERSION, SLOTS, NAME_BYTES, 0)
        self.header[0] = _MAGIC  # last: without it the buffer holds nothing


def read_counters(buffer: Buffer) -> dict[str, int] | None:
    """Counters in the buffer of another process, dead or alive; None where there are no sane ones. Writes nothing.

    Raises ValueError where the buffer is smaller than BUFFER_BYTES.
    """
    table = _Table(buffer)
    slots = table.slots()
    return None if slots is None else {name: int(table.values[slot]) for name, slot in slots.items()}


class Counters:
    """Named int64 counters that only grow, in a buffer; and named gauges, which are the process's own."""

    def __init__(self, buffer: Buffer | None = None) -> None:
        """`buffer`: writable, BUFFER_BYTES long; without one the counters live and die with the process.

        Raises ValueError where it is too small or read-only.
        """
        table = _Table(bytearray(BUFFER_BYTES) if buffer is None else buffer)
        if not table.values.flags.writeable:
            raise ValueError("the counters' buffer is read-only; read_counters reads one without writing")
        found = table.slots()
        self.origin: Literal["new", "continued", "reset"]
        """How the buffer was found: all zeros, with sane counters, or corrupt and therefore emptied (report it)."""
        if found is not None:
            self.origin = "continued"
        else:
            self.origin = "reset" if table.header.any() or table.names.any() or table.values.any() else "new"
            table.reset()
        self._table = table
        self._values = table.values.data  # one number of it costs a third of an array's
        self._slots = found or {}
        used = int(table.header[4])
        self._free = sorted(set(range(used)) - set(self._slots.values()), reverse=True)
        self._mirrored: dict[str, int] = {}
        self._gauges: dict[str, float] = {}

    def add(self, name: str, n: int = 1) -> None:
        """Count `n` more. Raises ValueError for n < 0 or a name that does not fit, ConfigError when full."""
        if n < 0:
            raise ValueError(f"counter {name} was given {n}; a counter only grows")
        slot = self._slots.get(name)
        if slot is None:
            slot = self._new_slot(name)
        self._values[slot] += n

    def mirror(self, counts: Mapping[str, int], prefix: str = "") -> None:
        """Count what a machine's `counts` have grown by since they were last mirrored under this prefix.

        A machine counts from 0 in each process; the counters go on from what the process before had counted.
        """
        for key, count in counts.items():
            name = prefix + key
            grown = count - self._mirrored.get(name, 0)
            if grown or name not in self._slots:
                self.add(name, grown)
                self._mirrored[name] = count

    def get(self, name: str) -> int:
        """0 for a name that was never counted."""
        slot = self._slots.get(name)
        return 0 if slot is None else int(self._table.values[slot])

    def as_dict(self) -> dict[str, int]:
        values = self._table.values.tolist()
        return {name: values[slot] for name, slot in self._slots.items()}

    def set(self, name: str, value: float) -> None:
        """Set a gauge. Raises ConfigError when there are as many as slots."""
        if name not in self._gauges and len(self._gauges) >= SLOTS:
            raise _full("gauge", name)
        self._gauges[name] = float(value)

    def gauges(self) -> dict[str, float]:
        return dict(self._gauges)

    def keep_only(self, label: str, values: Container[str]) -> None:
        """Forget every counter and gauge that has this label with a value that is not among `values`."""
        pattern = re.compile(rf'[{{,]{re.escape(label)}="([^"]*)"[,}}]')

        def is_over(name: str) -> bool:
            found = pattern.search(name)
            return found is not None and found[1] not in values

        for name in [name for name in self._slots if is_over(name)]:
            slot = self._slots.pop(name)
            self._table.names[slot, 0] = _FREE
            self._free.append(slot)
        self._gauges = {name: value for name, value in self._gauges.items() if not is_over(name)}

    def _new_slot(self, name: str) -> int:
        encoded = name.encode()
        if not 0 < len(encoded) <= NAME_BYTES or b"\0" in encoded:
            raise ValueError(f"counter name {name!r}; expected 1 to {NAME_BYTES} bytes of UTF-8 without a zero byte")
        if len(self._slots) >= SLOTS:
            raise _full("counter", name)
        slot = self._free.pop() if self._free else len(self._slots)
        padded = np.frombuffer(encoded.ljust(NAME_BYTES, b"\0"), np.uint8)
        self._table.names[slot, 1:] = padded[1:]
        self._table.values[slot] = 0
        self._table.names[slot, 0] = padded[0]
        self._table.header[4] = max(slot + 1, int(self._table.header[4]))
        self._slots[name] = slot
        return slot


def _full(kind: str, name: str) -> ConfigError:
    return ConfigError(
        f"no room for {kind} {name!r}: all {SLOTS} are used; fewer streams per process, or fewer labels in its names"
    )


class Histogram:
    """How often a duration fell into each of a few thousand buckets, each 2 % wider than the one before.

    Durations are nanoseconds: anything below 1 falls into the first bucket. Percentiles are within 1 % of a true value.
    """

    GROWTH = _GROWTH
    BUCKETS = int(math.log(_LONGEST_NS) / _LOG_GROWTH) + 1
    BUFFER_BYTES = BUCKETS * 8

    def __init__(self, buckets: Mapping[int, int] | None = None, buffer: Buffer | None = None) -> None:
        """`buckets`: what `as_dict` gave. `buffer`: writable, BUFFER_BYTES long; what is counted in it outlives the
        process, and a corrupt one is emptied. Raises WireError for buckets that no histogram has.
        """
        self._counts: npt.NDArray[np.int64] = np.frombuffer(
            bytearray(self.BUFFER_BYTES) if buffer is None else buffer, np.int64, self.BUCKETS
        )
        if (self._counts < 0).any():
            self._counts[:] = 0
        self._values = self._counts.data
        self.merge(buckets or {})

    @property
    def count(self) -> int:
        return int(self._counts.sum())

    def add(self, value_ns: float) -> None:
        """Count one duration."""
        self._values[int(math.log(min(value_ns, _LONGEST_NS)) / _LOG_GROWTH) if value_ns > 1 else 0] += 1

    def percentile(self, q: float) -> float | None:
        """The middle, in nanoseconds, of the bucket that holds the q-th percentile (nearest rank); None when empty.

        Raises ValueError unless 0 ≤ q ≤ 100.
        """
        if not 0 <= q <= 100:
            raise ValueError(f"percentile {q}; expected 0 to 100")
        if not self.count:
            return None
        rank = max(1, math.ceil(self.count * q / 100))
        return self._middle(int(np.searchsorted(self._counts.cumsum(), rank)))

    def below(self, bucket: int) -> int:
        """How many were shorter than GROWTH ** bucket nanoseconds: exactly, as far as floats tell."""
        return int(self._counts[:bucket].sum())

    @property
    def sum_ns(self) -> float:
        """Of all durations, each taken as the middle of its bucket: within 1 %."""
        return float(sum(self._middle(bucket) * count for bucket, count in self.as_dict().items()))

    def merge(self, other: Histogram | Mapping[int, int]) -> None:
        """Add all that `other` counted. Raises WireError for buckets that no histogram has, and adds nothing then."""
        buckets = other.as_dict() if isinstance(other, Histogram) else other
        for bucket, count in buckets.items():
            if not 0 <= bucket < self.BUCKETS or not 0 <= count < _LONGEST_NS:
                raise WireError(
                    f"histogram bucket {bucket} with {count}; expected 0 to {self.BUCKETS - 1}, and no less than 0"
                )
        for bucket, count in buckets.items():
            self._counts[bucket] += count

    def as_dict(self) -> dict[int, int]:
        """Sparse: only buckets that were hit, as in messages.Status."""
        hit = np.flatnonzero(self._counts)
        return dict(zip(hit.tolist(), self._counts[hit].tolist(), strict=True))

    def _middle(self, bucket: int) -> float:
        return float(self.GROWTH ** (bucket + 0.5))
