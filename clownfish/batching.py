"""Batcher: which jobs a worker's model runs next, of many streams in one batch (DESIGN §7). Layer 0.

    add ──→ raw ──next_raw──→ in preparation ──prepared──→ ready ──take──→ in work ──finished──→ answered
             └ expired                └ unreadable           └ expired

- A batch is bounded in size and in time. It is taken when the model is free and the batch is full, or its first job
  came `wait_s` ago; before that when a job has only twice the time left that the last run took. The first batch of all
  does not wait: what a run takes is not known yet. While the model is at work, jobs gather for nothing.
- First come, first served: the router has put them in order already, fair and by deadline.
- A job that cannot be prepared fails alone. One past its deadline never reaches the model.
- `clear` forgets everything: another worker has it. What is in preparation or in work is then answered to nobody.

One job is prepared, and one batch is in work, at a time each; either may go on while the other does. Times are seconds
of a monotonic clock, given by the caller.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

P = TypeVar("P")
Q = TypeVar("Q")


@dataclass(eq=False, slots=True)
class Held(Generic[P, Q]):
    """A job that the worker holds. `raw` is as it came, `ready` is what the model takes."""

    job: int
    raw: P
    deadline: float
    came: float
    ready: Q | None = None
    forgotten: bool = False


@dataclass(frozen=True, slots=True)
class Taken(Generic[P, Q]):
    """What `take` decided."""

    batch: list[Held[P, Q]]
    """To be run at once; empty: not yet."""
    expired: list[int]
    """Jobs whose deadline has passed: tell the router."""


class Batcher(Generic[P, Q]):
    """`size`: jobs in a batch, at most, and never more than the `credit`, what the worker may hold in all.
    `wait_s`: how long the first of a batch may wait for others."""

    def __init__(self, size: int, wait_s: float, credit: int) -> None:
        if size < 1 or credit < 1 or not wait_s >= 0:
            raise ValueError(f"a batch needs room, and time that is not negative, got {size=} {wait_s=} {credit=}")
        self.size = min(size, credit)
        self.wait_s = wait_s
        self._raw: deque[Held[P, Q]] = deque()
        self._preparing: Held[P, Q] | None = None
        self._ready: list[Held[P, Q]] = []
        self._running: list[Held[P, Q]] = []
        self._began = 0.0
        self._run_s = math.inf

    @property
    def busy(self) -> bool:
        """Whether a batch is in work."""
        return bool(self._running)

    @property
    def in_work(self) -> list[int]:
        """The jobs of the batch in work that somebody still waits for."""
        return [held.job for held in self._running if not held.forgotten]

    @property
    def ready(self) -> int:
        """Jobs that the model could take."""
        return len(self._ready)

    # -- jobs come and are prepared

    def add(self, job: int, raw: P, deadline: float, now: float) -> None:
        """The router gave a job. One beyond the credit is its mistake, and held all the same."""
        self._raw.append(Held(job, raw, deadline, now))

    def next_raw(self) -> Held[P, Q] | None:
        """The job to prepare next, or None. Say `prepared` or `unreadable` of it before you ask again."""
        assert self._preparing is None, "one job at a time is prepared"
        self._preparing = self._raw.popleft() if self._raw else None
        return self._preparing

    def prepared(self, held: Held[P, Q], ready: Q) -> None:
        """The model can take it now."""
        self._preparing = None
        if not held.forgotten:
            held.ready = ready
            self._ready.append(held)

    def unreadable(self, held: Held[P, Q]) -> bool:
        """It cannot be prepared, and is over. Returns whether anybody waits to hear so."""
        self._preparing = None
        return not held.forgotten

    # -- batches

    def take(self, now: float) -> Taken[P, Q]:
        """The batch to run now, if there is one, and what has expired. Say `finished` when it has run."""
        expired = [held.job for held in self._waiting() if held.deadline <= now]
        if expired:
            self._raw = deque(held for held in self._raw if held.deadline > now)
            self._ready = [held for held in self._ready if held.deadline > now]
        due = self._due()
        if due is None or due > now:
            return Taken([], expired)
        self._running, self._ready = self._ready[: self.size], self._ready[self.size :]
        self._began = now
        return Taken(list(self._running), expired)

    def finished(self, now: float) -> list[Held[P, Q]]:
        """The batch has run, with whatever outcome: those of its jobs that somebody still waits for."""
        self._run_s = now - self._began
        wanted = [held for held in self._running if not held.forgotten]
        self._running = []
        return wanted

    def next_timer(self) -> float | None:
        """When `take` will decide something though nothing else happens; None: never."""
        times = [held.deadline for held in self._waiting()]
        due = self._due()
        return min(times if due is None else [*times, due], default=None)

    def clear(self) -> None:
        """Forget all jobs: the router that gave them has gone, or has given them to another worker."""
        self._raw.clear()
        self._ready.clear()
        for held in (*self._running, *([self._preparing] if self._preparing is not None else [])):
            held.forgotten = True

    # -- inside

    def _waiting(self) -> Iterator[Held[P, Q]]:
        yield from self._raw
        yield from self._ready

    def _due(self) -> float | None:
        """When the jobs that are ready become a batch; None: when something else has happened."""
        if self._running or not self._ready:
            return None
        first = min(held.came for held in self._ready)
        if len(self._ready) >= self.size:
            return first
        return min(first + self.wait_s, *(held.deadline - 2 * self._run_s for held in self._ready))
