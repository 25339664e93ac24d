"""WaitingRoom: the jobs of a pool that wait for a worker: who is next, who is overdue, who has most (layer 0)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count
from typing import Generic, NamedTuple, TypeVar

from clownfish.alarms import Alarms
from clownfish.jobs import Job, Line
from clownfish.roster import Kind
from clownfish.turns import Most, Turns

P = TypeVar("P")


class Queue(NamedTuple):
    """Jobs that the same workers may take: what they ask for, and which worker has failed them."""

    asks: Kind
    failed_by: bytes | None


class WaitingRoom(Generic[P]):
    """There are as many queues as things asked for, and workers that have failed a job which still waits: few."""

    def __init__(self) -> None:
        self._ticks = count()
        self._queues: dict[Queue, Turns[Job[P]]] = {}  # none is empty
        self._most: Most[bytes] = Most()
        self._deadlines: Alarms[int] = Alarms()
        self._jobs: dict[int, Job[P]] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job[P]]:
        return chain.from_iterable(self._queues.values())

    def put(self, job: Job[P]) -> None:
        """It waits, in its line."""
        job.waits = True
        self._jobs[job.number] = job
        queue = _queue(job)
        if queue not in self._queues:
            self._queues[queue] = Turns(self._ticks)
        self._queues[queue].put(job)
        self._most.add(job.owner, 1)
        self._deadlines.set(job.number, job.deadline)

    def remove(self, job: Job[P]) -> None:
        """It leaves, and its turn is not used up."""
        self._queues[_queue(job)].remove(job)
        self._left(job)

    def served(self, job: Job[P]) -> None:
        """It leaves, and its turn is used up."""
        self._queues[_queue(job)].served(job)
        self._left(job)

    def queues(self) -> list[tuple[Queue, Turns[Job[P]]]]:
        """In the order in which they are served: what has been given before, then whose turn is the longest ago."""
        if len(self._queues) < 2:
            return list(self._queues.items())
        return sorted(self._queues.items(), key=lambda each: (each[0].failed_by is None, each[1].turn))

    def next_deadline(self) -> float | None:
        """The earliest."""
        return self._deadlines.next()

    def overdue(self, now: float) -> list[Job[P]]:
        """Those whose deadline has passed, the earliest first; they leave."""
        jobs = [self._jobs[number] for number in self._deadlines.due(now)]
        for job in jobs:
            self.remove(job)
        return jobs

    def lose(self) -> Job[P]:
        """The earliest deadline in the longest line of whoever has most waiting, of several the one that asked last.
        It leaves. There must be one."""
        lines: dict[Line, list[Job[P]]] = {}
        for queue in self._queues.values():
            for line in queue.lines(self._most.top()):
                lines.setdefault(line[0].line, []).extend(line)
        longest: list[Job[P]] = max(lines.values(), key=len)
        job = min(longest, key=lambda each: (each.deadline, each.number))
        self.remove(job)
        return job

    def _left(self, job: Job[P]) -> None:
        job.waits = False
        del self._jobs[job.number]
        queue = _queue(job)
        if not self._queues[queue]:
            del self._queues[queue]
        self._most.add(job.owner, -1)
        self._deadlines.drop(job.number)


def _queue(job: Job[P]) -> Queue:
    return Queue(job.asks, job.failed_by)
