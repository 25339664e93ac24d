"""Turns: jobs that wait, in the order in which they are fairly served (layer 0).

Owners take turns; within an owner's turn, its lines do; within a line the earliest deadline goes first. So an owner
with ten streams gets no more than one with a single stream, and a hungry stream delays only its owner's others. Who
has waited for nothing joins at the end.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)


class Waits(Protocol):
    """What `Turns` asks of a job."""

    @property
    def number(self) -> int: ...

    @property
    def deadline(self) -> float: ...

    @property
    def owner(self) -> bytes: ...

    @property
    def line(self) -> Hashable: ...


J = TypeVar("J", bound=Waits)

_Entry = tuple[float, int, J]


@dataclass(slots=True)
class _Owner(Generic[J]):
    turn: int
    lines: OrderedDict[Hashable, list[_Entry[J]]] = field(default_factory=OrderedDict)  # none is empty


class Turns(Generic[J]):
    """One queue. Several that share `ticks`, an endless count, compare by `turn` whose first job is next."""

    def __init__(self, ticks: Iterator[int]) -> None:
        self._ticks = ticks
        self._owners: OrderedDict[bytes, _Owner[J]] = OrderedDict()  # the first has the next turn; none is empty

    def __bool__(self) -> bool:
        return bool(self._owners)

    def __iter__(self) -> Iterator[J]:
        return (job for owner in self._owners.values() for line in owner.lines.values() for _, _, job in line)

    @property
    def turn(self) -> int:
        """Since when its first job's owner has had no turn: the smaller, the longer. The queue must not be empty."""
        return next(iter(self._owners.values())).turn

    def first(self) -> J:
        """The job whose turn it is. The queue must not be empty."""
        owner = next(iter(self._owners.values()))
        return next(iter(owner.lines.values()))[0][2]

    def put(self, job: J) -> None:
        """It waits in its line, by its deadline."""
        owner = self._owners.get(job.owner)
        if owner is None:
            owner = self._owners[job.owner] = _Owner(next(self._ticks))
        insort(owner.lines.setdefault(job.line, []), (job.deadline, job.number, job), key=_order)

    def served(self, job: J) -> None:
        """It leaves, and its line and its owner have had their turn."""
        owner = self._owners[job.owner]
        owner.turn = next(self._ticks)
        owner.lines.move_to_end(job.line)
        self._owners.move_to_end(job.owner)
        self.remove(job)

    def remove(self, job: J) -> None:
        """It leaves without having been served."""
        owner = self._owners[job.owner]
        line = owner.lines[job.line]
        at = bisect_left(line, (job.deadline, job.number), key=_order)
        assert line[at][2] is job
        del line[at]
        if not line:
            del owner.lines[job.line]
        if not owner.lines:
            del self._owners[job.owner]

    def lines(self, owner: bytes) -> Iterator[list[J]]:
        """This owner's lines, each by deadline."""
        known = self._owners.get(owner)
        return ([job for _, _, job in line] for line in (known.lines.values() if known is not None else ()))


def _order(entry: tuple[float, int] | _Entry[J]) -> tuple[float, int]:
    return entry[0], entry[1]


class Most(Generic[K]):
    """A count for each key, and whose is highest. Every call takes the same time, however many there are."""

    def __init__(self) -> None:
        self._counts: dict[K, int] = {}
        self._having: dict[int, OrderedDict[K, None]] = {}
        self._top = 0

    def add(self, key: K, by: int) -> None:
        """`by` is 1 or −1."""
        before = self._counts.pop(key, 0)
        count = before + by
        if before:
            del self._having[before][key]
            if not self._having[before]:
                del self._having[before]
        if count:
            self._counts[key] = count
            self._having.setdefault(count, OrderedDict())[key] = None
        self._top = max(count, self._top if self._top in self._having else self._top - 1)

    def top(self) -> K:
        """Whose count is highest; of several the one that came to it last. There must be one."""
        return next(reversed(self._having[self._top]))
