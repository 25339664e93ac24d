"""Alarms: which of many times comes first, for machines on the caller's clock (layer 0)."""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_SLACK = 64


class Alarms(Generic[K]):
    """One time for each key. Every call costs at most the logarithm of how many there are, over time.

    A time that was changed or dropped stays in the heap until it comes up or there are more of those than of others.
    """

    def __init__(self) -> None:
        self._at: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._at)

    def set(self, key: K, at: float) -> None:
        """Whatever was set for this key before does not hold any more."""
        if key in self._at and self._at[key][0] == at:
            return
        self._count += 1
        self._at[key] = (at, self._count)
        heapq.heappush(self._heap, (at, self._count, key))
        if len(self._heap) > 2 * len(self._at) + _SLACK:
            self._heap = [(at, count, key) for key, (at, count) in self._at.items()]
            heapq.heapify(self._heap)

    def drop(self, key: K) -> None:
        """None is set for this key; it is no fault if none was."""
        self._at.pop(key, None)

    def next(self) -> float | None:
        """The earliest time, or None."""
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][:2]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[K]:
        """The keys whose time has come, the earliest first; they are dropped."""
        keys = []
        while (first := self.next()) is not None and first <= now:
            key = self._heap[0][2]
            keys.append(key)
            self.drop(key)
        return keys
