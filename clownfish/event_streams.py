"""The events of many streams: a machine for each stream and epoch, from its first answer to its end (layer 0)."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from clownfish.eventing import SceneEvent, StreamEvents
from clownfish.messages import End, FusedResult, StreamKey

_REMEMBERED = 4096
"""Epochs that are over and remembered."""


class Events:
    """The events of many streams, each of its epochs for itself: no event goes on over the gap between two.

    `counts` grows only: results_late (of a window that was settled), results_repeated, results_stale (of an epoch that
    is over).
    """

    def __init__(self, make: Callable[[StreamKey], StreamEvents], capacity: int = 1024) -> None:
        """`make` begins an epoch. More than `capacity` epochs are never open: the least recently used is finished."""
        self._make = make
        self._capacity = capacity
        self._open: OrderedDict[StreamKey, StreamEvents] = OrderedDict()
        self._resumed: set[StreamKey] = set()
        """Of which nothing has come yet."""
        self._over: OrderedDict[StreamKey, None] = OrderedDict()
        self.counts: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """Epochs that are not over."""
        return len(self._open)

    def get(self, key: StreamKey) -> StreamEvents | None:
        """The epoch's, where it is open."""
        return self._open.get(key)

    def resume(self, key: StreamKey, snapshot: Mapping[str, Any]) -> None:
        """Go on with an epoch of a process before. If it is over, that shows when another one of the stream begins.

        Raises KeyError, TypeError or ValueError for what is no snapshot.
        """
        stream = self._make(key)
        stream.resume(snapshot)
        self._open[key] = stream
        self._resumed.add(key)

    def result(self, result: FusedResult) -> list[SceneEvent]:
        """What this answer changes; and the last words on epochs that had to make room for a new one."""
        key = StreamKey(result.stream, result.epoch)
        if key in self._over:
            self.counts["results_stale"] += 1
            return []
        self._resumed.discard(key)
        out = [] if key in self._open else self._begin(key)
        self._open.move_to_end(key)
        stream = self._open[key]
        late, repeated = stream.late, stream.repeated
        out += stream.result(result)
        self.counts["results_late"] += stream.late - late
        self.counts["results_repeated"] += stream.repeated - repeated
        return out

    def end(self, end: End) -> list[SceneEvent]:
        """The epoch is over: the last word on each of its events."""
        return self._finish(StreamKey(end.stream, end.epoch))

    def _begin(self, key: StreamKey) -> list[SceneEvent]:
        older = [each for each in self._open if each.stream == key.stream]
        # Fusion drains one epoch beside the next; of a third, the first one's End was lost.
        over = [each for each in older if each in self._resumed or each is not older[-1]]
        self._open[key] = self._make(key)
        if len(self._open) - len(over) > self._capacity:
            over.append(next(each for each in self._open if each not in over))
        return [event for each in over for event in self._finish(each)]

    def _finish(self, key: StreamKey) -> list[SceneEvent]:
        stream = self._open.pop(key, None)
        abandoned = key in self._resumed
        self._resumed.discard(key)
        self._over[key] = None
        if len(self._over) > _REMEMBERED:
            self._over.popitem(last=False)
        if stream is None:
            return []
        return stream.abandon() if abandoned else stream.finish()
