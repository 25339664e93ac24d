"""Shaping: when bytes that came in go out, on a link that is simulated in one process, for a demonstration (layer 0).

A stream of bytes, as TCP gives it, in one direction: it leaves at the link's rate and arrives a delay later. While the
link is cut nothing moves, and nothing is lost: what waits goes on when it is whole again, as TCP's own retransmission
would have it. Bounded: who feeds it stops while `full`. The network lab (`lab/net`)
is for measuring; this is for looking.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

QUEUE_S = 0.25
"""What the link's queue holds, in seconds of its rate: a longer one would only make answers older."""
_LEAST_BYTES, _MOST_BYTES = 16 * 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Shape:
    """What the link is like now."""

    rate_mbit: float | None = None
    """None: no cap."""
    delay_ms: float = 0.0
    """One way."""
    cut: bool = False

    def __post_init__(self) -> None:
        if self.rate_mbit is not None and not self.rate_mbit > 0:
            raise ValueError(f"rate_mbit is {self.rate_mbit}; expected more than 0, or nothing for no cap")
        if not 0 <= self.delay_ms <= 10_000:
            raise ValueError(f"delay_ms is {self.delay_ms}; expected 0 to 10000")


class Shaper:
    """One direction of one connection. Times are seconds of the caller's clock."""

    def __init__(self, shape: Shape, now: float) -> None:
        self._shape = shape
        self._flying: deque[tuple[float, bytes]] = deque()
        """(due, data) in order of both."""
        self._waiting_bytes = 0
        self._free_at = now
        """When all that was fed is on the wire."""
        self._cut_at = now
        """While it is cut: since when."""

    @property
    def full(self) -> bool:
        """Whether it takes no more for now."""
        rate = self._shape.rate_mbit
        room = _MOST_BYTES if rate is None else max(_LEAST_BYTES, int(rate * 125_000 * QUEUE_S))
        return self._waiting_bytes >= room

    def reshape(self, shape: Shape, now: float) -> None:
        """What is fed from now on meets `shape`; a cut that begins or ends concerns what is on the way, too."""
        if shape.cut and not self._shape.cut:
            self._cut_at = now
        if self._shape.cut and not shape.cut:
            stood_s = now - self._cut_at
            self._flying = deque((due + stood_s, data) for due, data in self._flying)
            self._free_at += stood_s
        self._shape = shape

    def feed(self, data: bytes, now: float) -> None:
        """Bytes that came in."""
        begin = max(self._free_at, self._cut_at if self._shape.cut else now)
        rate = self._shape.rate_mbit
        self._free_at = begin if rate is None else begin + len(data) / (rate * 125_000)
        due = self._free_at + self._shape.delay_ms / 1000
        if self._flying:
            due = max(due, self._flying[-1][0])  # a shorter delay overtakes nothing
        self._flying.append((due, data))
        self._waiting_bytes += len(data)

    def take(self, now: float) -> bytes:
        """What has arrived by now, in order."""
        arrived = []
        while self._flying and self._flying[0][0] <= now and not self._shape.cut:
            arrived.append(self._flying.popleft()[1])
        out = b"".join(arrived)
        self._waiting_bytes -= len(out)
        return out

    def next_timer(self) -> float | None:
        """When `take` has something to give; None: not before it is fed, or made whole."""
        return self._flying[0][0] if self._flying and not self._shape.cut else None
