"""Mailbox: what `local` infers next, of many streams, fairly (layer 0).

The streams that have a window waiting stand in one queue; a batch takes one window from each in turn, and a stream
with more goes to the back. A live stream's new window takes the place of the one that waits, which is skipped and
counted; a stream that is not live keeps all its windows, and `full` tells the sender to hold back. One batch never
holds two windows of a stream, because ρ of the second is taken against the first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import Generic, TypeVar

from clownfish.errors import ConfigError
from clownfish.messages import StreamKey, WindowKey

P = TypeVar("P")

OTHER_STREAMS = "(other)"


class Mailbox(Generic[P]):
    """Bounded by the number of live streams, plus `depth` for each that is not live."""

    def __init__(self, depth: int = 8, streams: int = 1024) -> None:
        """`depth`: windows of one stream that may wait. `streams`: names in `skipped`. Raises ConfigError below 1."""
        if depth < 1 or streams < 1:
            raise ConfigError(f"mailbox: depth is {depth}, streams {streams}; expected at least 1")
        self.depth = depth
        self.skipped: Counter[str] = Counter()
        """Windows skipped, by stream's name; streams beyond `streams` together as "(other)"."""
        self._names = streams
        self._queues: OrderedDict[str, deque[tuple[WindowKey, P, bool]]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def waiting(self, key: StreamKey | WindowKey) -> int:
        """Windows of this stream and epoch that wait."""
        return sum(waiting.epoch == key.epoch for waiting, _, _ in self._queues.get(key.stream, ()))

    def full(self, key: StreamKey | WindowKey) -> bool:
        """Whether a window of this stream must be held back, if it is not live. A live one replaces what waits."""
        return sum(not live for _, _, live in self._queues.get(key.stream, ())) >= self.depth

    def put(self, key: WindowKey, payload: P, live: bool) -> None:
        """Add a window. Raises ValueError where it is not live and `full` is true: that is the caller's mistake."""
        queue = self._queues.setdefault(key.stream, deque())
        if live and queue and queue[-1][2]:
            queue.pop()  # the new window takes over its place in line, too: a fast camera loses no turn
            name = key.stream
            if name not in self.skipped and len(self.skipped) >= self._names:
                name = OTHER_STREAMS
            self.skipped[name] += 1
        elif not live and self.full(key):
            raise ValueError(f"{self.depth} windows of {key.stream} wait already; ask full() before put()")
        queue.append((key, payload, live))

    def take(self, max_batch: int) -> list[tuple[WindowKey, P]]:
        """At most `max_batch` windows, each of another stream, those that waited longest for their turn first."""
        batch: list[tuple[WindowKey, P]] = []
        for _ in range(min(max_batch, len(self._queues))):
            name, queue = self._queues.popitem(last=False)
            key, payload, _ = queue.popleft()
            batch.append((key, payload))
            if queue:
                self._queues[name] = queue
        return batch
