"""One direction of the link of our own, as a queue model (pure; `now` is an argument, in seconds of any clock).

A packet is lost, or dropped where the queue is full, or it waits until those before it are sent, takes its size ÷ rate
to be sent, and arrives after the delay. A change takes hold at once: of what is being sent the rest goes at the new
rate, what is under way arrives when it would have.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass

from clownfish.lab.net.shape import HEADER_BYTES, Shape


@dataclass
class Counts:
    """Packets and bytes on the wire, since the start."""

    offered: int = 0
    offered_bytes: int = 0
    delivered: int = 0
    delivered_bytes: int = 0
    lost: int = 0
    """By `loss`."""
    overflowed: int = 0
    """Dropped because the queue was full."""


class Pipe:
    """Packets in at one end, out at the other, later or never."""

    def __init__(self, shape: Shape, seed: int = 0) -> None:
        self.shape = shape
        self.counts = Counts()
        self._random = random.Random(seed)
        self._queue: deque[bytes] = deque()
        """Waiting for the rate; the first is being sent."""
        self._queued_bytes = 0
        self._sent_at = 0.0
        """When the first of the queue will have been sent."""
        self._flying: list[tuple[float, int, bytes]] = []
        """Heap of (arrival, number, packet)."""
        self._newest = -math.inf
        """Arrival of the newest packet that had the plain delay."""
        self._number = 0

    def offer(self, packet: bytes, now: float) -> None:
        """A packet comes in. `now` never goes back."""
        self._advance(now)
        shape, size = self.shape, len(packet) + HEADER_BYTES
        self.counts.offered += 1
        self.counts.offered_bytes += size
        if shape.loss and self._random.random() < shape.loss:
            self.counts.lost += 1
        elif shape.rate_mbit is None and not self._queue:
            self._fly(packet, now)
        elif self._queued_bytes + size > shape.queue_bytes and self._queue:
            self.counts.overflowed += 1
        else:
            if not self._queue:
                self._sent_at = now + self._duration(size)
            self._queue.append(packet)
            self._queued_bytes += size

    def due(self, now: float) -> list[bytes]:
        """The packets that have arrived by now, in order; each is given once."""
        self._advance(now)
        out = []
        while self._flying and self._flying[0][0] <= now:
            packet = heapq.heappop(self._flying)[2]
            self.counts.delivered += 1
            self.counts.delivered_bytes += len(packet) + HEADER_BYTES
            out.append(packet)
        return out

    def next_timer(self) -> float | None:
        """When `due` may have something; None: not before another packet is offered."""
        times = [self._flying[0][0]] if self._flying else []
        if self._queue:
            times.append(self._sent_at)
        return min(times, default=None)

    def change(self, shape: Shape, now: float) -> None:
        """From now on it is like this."""
        self._advance(now)
        if self._queue:
            left = (self._sent_at - now) / self._duration(self._size(0))
            self.shape = shape
            self._sent_at = now + left * self._duration(self._size(0))
            self._advance(now)
        self.shape = shape

    @property
    def inside(self) -> int:
        """Packets that are queued or under way."""
        return len(self._queue) + len(self._flying)

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes

    # -- inside

    def _size(self, place: int) -> int:
        return len(self._queue[place]) + HEADER_BYTES

    def _duration(self, size: int) -> float:
        """Seconds that sending takes."""
        return 0.0 if self.shape.rate_mbit is None else size * 8e-6 / self.shape.rate_mbit

    def _advance(self, now: float) -> None:
        """Send what is sent by now."""
        while self._queue and self._sent_at <= now:
            self._queued_bytes -= self._size(0)
            self._fly(self._queue.popleft(), self._sent_at)
            if self._queue:
                self._sent_at += self._duration(self._size(0))

    def _fly(self, packet: bytes, sent_at: float) -> None:
        shape = self.shape
        if shape.reorder and self._random.random() < shape.reorder:
            arrival = sent_at
        elif shape.jitter_ms:
            arrival = sent_at + (shape.delay_ms + self._random.uniform(-shape.jitter_ms, shape.jitter_ms)) / 1000
        else:  # a delay that falls lets no packet overtake those on their way
            arrival = self._newest = max(self._newest, sent_at + shape.delay_ms / 1000)
        self._number += 1
        heapq.heappush(self._flying, (arrival, self._number, packet))
