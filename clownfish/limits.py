"""DeviceLimits: how much one authorised device may ask of the router (DESIGN §7). Layer 0.

Credit bounds what a session has in work; these bound what a device sends at all, over all its sessions: messages and
bytes per second (token buckets that hold `burst_s` of them), and streams. A message over a limit is not served: the
caller drops it and says why, and it is counted here.

Times are seconds of a monotonic clock, given by the caller.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Over: TypeAlias = Literal["over_rate", "over_bytes", "over_streams"]


@dataclass
class _Device:
    messages: float
    size_bytes: float
    filled: float
    streams: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """Stream name → when it was last heard of; the longest silent first."""


class DeviceLimits:
    """`messages_per_s`, `bytes_per_s`: what a device may send in the long run. `streams`: how many at a time."""

    def __init__(
        self,
        *,
        messages_per_s: float,
        bytes_per_s: float,
        streams: int,
        burst_s: float = 2.0,
        stream_memory_s: float = 60.0,
    ) -> None:
        if messages_per_s <= 0 or bytes_per_s <= 0 or streams < 1 or burst_s <= 0:
            raise ValueError(f"limits must let a device send, got {messages_per_s=} {bytes_per_s=} {streams=}")
        self._rates = (messages_per_s, bytes_per_s)
        self._burst_s = burst_s
        self._streams = streams
        self._stream_memory_s = stream_memory_s
        self._devices: dict[bytes, _Device] = {}
        self.counts: Counter[Over] = Counter()

    def message(
        self, device: bytes, now: float, size_bytes: int = 0, stream: str | None = None, cost: float = 1
    ) -> Over | None:
        """A message came: None where the device may send it, else what it is over.

        `cost`: as how many messages it counts, at most a whole burst. Bytes may be overdrawn by one message, so that
        one larger than the burst can pass at all.
        """
        messages_per_s, bytes_per_s = self._rates
        full = (messages_per_s * self._burst_s, bytes_per_s * self._burst_s)
        it = self._devices.setdefault(device, _Device(*full, now))
        passed_s, it.filled = max(0.0, now - it.filled), max(now, it.filled)
        it.messages = min(full[0], it.messages + passed_s * messages_per_s)
        it.size_bytes = min(full[1], it.size_bytes + passed_s * bytes_per_s)
        over: Over | None = None
        cost = min(cost, full[0])
        if it.messages < cost:
            over = "over_rate"
        elif it.size_bytes <= 0 and size_bytes:
            over = "over_bytes"
        elif stream is not None and not self._may_stream(it, stream, now):
            over = "over_streams"
        if over is not None:
            self.counts[over] += 1
            return over
        it.messages -= cost
        it.size_bytes -= size_bytes
        return None

    def forget(self, device: bytes) -> None:
        """The device is not authorised any more."""
        self._devices.pop(device, None)

    def _may_stream(self, it: _Device, stream: str, now: float) -> bool:
        while it.streams:
            oldest, heard = next(iter(it.streams.items()))
            if heard + self._stream_memory_s > now:
                break
            del it.streams[oldest]
        if stream not in it.streams and len(it.streams) >= self._streams:
            return False
        it.streams[stream] = now
        it.streams.move_to_end(stream)
        return True


class Shunned:
    """Devices that are kept out for a while, because they sent more malformed messages than a mistake explains.

    What a cut connection leaves unread is memory until it is read, and others wait while it is. A device that may come
    back at once leaves more, again and again: so it is kept out at the door.
    """

    def __init__(self, *, malformed: int = 100, forgiven_per_s: float = 1.0, out_s: float = 10.0) -> None:
        """`malformed` at once are borne, `forgiven_per_s` in the long run."""
        self._borne = DeviceLimits(
            messages_per_s=forgiven_per_s, bytes_per_s=1, streams=1, burst_s=malformed / forgiven_per_s
        )
        self._out_s = out_s
        self._until: dict[bytes, float] = {}

    def malformed(self, device: bytes, now: float) -> bool:
        """The device sent a malformed message. Whether it is shunned from now on."""
        if self._borne.message(device, now) is None:
            return False
        self._until[device] = now + self._out_s
        return True

    def is_out(self, device: bytes, now: float) -> bool:
        until = self._until.get(device)
        if until is None:
            return False
        if until <= now:
            del self._until[device]
            return False
        return True

    def forget(self, device: bytes) -> None:
        """The device is not authorised any more."""
        self._borne.forget(device)
        self._until.pop(device, None)
