"""What a machine keeps for each stream: one epoch at a time, and boundedly many streams (DESIGN §2, layer 0).

An epoch is a random number, so two epochs have no order: an unknown one is the newer, and one that was replaced or
ended is remembered for a while, so that its late messages do not bring it back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from clownfish.messages import StreamKey

S = TypeVar("S")

_REMEMBERED_PER_STREAM = 4


@dataclass(frozen=True)
class Departed(Generic[S]):
    """A stream's state that made room: `replaced` by a new epoch, or `evicted` as the least recently used."""

    key: StreamKey
    state: S
    why: Literal["replaced", "evicted"]


class StreamTable(Generic[S]):
    """State of at most `capacity` streams, of one epoch each."""

    def __init__(self, make: Callable[[], S], capacity: int = 1024) -> None:
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}; a table holds at least one stream")
        self._make = make
        self._capacity = capacity
        self._streams: OrderedDict[str, tuple[int, S]] = OrderedDict()
        self._retired: OrderedDict[StreamKey, None] = OrderedDict()

    def enter(self, key: StreamKey) -> tuple[S | None, list[Departed[S]]]:
        """The state of `key`, made where there is none; None where this epoch is over. And what had to leave for it."""
        found = self._streams.get(key.stream)
        if found is not None and found[0] == key.epoch:
            self._streams.move_to_end(key.stream)
            return found[1], []
        if key in self._retired:
            return None, []
        departed: list[Departed[S]] = []
        if found is not None:
            old = StreamKey(key.stream, found[0])
            departed.append(Departed(old, found[1], "replaced"))
            self._retire(old)
        state = self._make()
        self._streams[key.stream] = (key.epoch, state)
        self._streams.move_to_end(key.stream)
        if len(self._streams) > self._capacity:
            # Not retired: a stream that was only quiet may come back, and is then joined in its middle.
            name, (epoch, left) = self._streams.popitem(last=False)
            departed.append(Departed(StreamKey(name, epoch), left, "evicted"))
        return state, departed

    def get(self, key: StreamKey) -> S | None:
        """The state of `key` if it is here; makes nothing and counts as no use."""
        found = self._streams.get(key.stream)
        return found[1] if found is not None and found[0] == key.epoch else None

    def end(self, key: StreamKey) -> S | None:
        """This epoch is over: forget its state and return it; None where there was none."""
        state = self.get(key)
        if state is not None:
            del self._streams[key.stream]
        self._retire(key)
        return state

    def _retire(self, key: StreamKey) -> None:
        self._retired[key] = None
        self._retired.move_to_end(key)
        if len(self._retired) > self._capacity * _REMEMBERED_PER_STREAM:
            self._retired.popitem(last=False)

    def __iter__(self) -> Iterator[tuple[StreamKey, S]]:
        """Least recently used first."""
        for name, (epoch, state) in self._streams.items():
            yield StreamKey(name, epoch), state

    def __len__(self) -> int:
        return len(self._streams)
