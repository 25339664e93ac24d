"""WorkerPool: the router's machine. Windows wait here for a worker that is ready and are watched till done (DESIGN §7).

A job is one window that one edge session asks about. Each job ends exactly once: Answered, or a Drop with its reason.

    submit ──→ waiting ──Assign──→ held by a worker ──finished──→ Answered
                  ↑                      │
                  └──worker fails, once──┘        from either place also: Drop

- Choice. Every (edge, stream) has a line, and lines take turns, so a hungry stream delays only itself. Within a line
  the earliest deadline goes first. Only a worker with the very class tuple of the edge's local model may serve a job.
- Full queue. The longest line loses its earliest deadline ("superseded"): newest wins, as in the edge's backlog. Under
  overload that job would be served last in time, or too late, and whoever asks most pays.
- Workers. READY tells how many jobs a worker may hold. It is evicted when it says nothing for `liveness_s` ("silent"),
  when it holds jobs and finishes none for `lease_s`, or keeps one for longer than `lease_s` times the jobs it held when
  that came ("hung"), or when its peer vanishes ("gone"). An evicted worker that speaks again is asked to send READY.
- A job that its worker fails goes to another worker, once: the second time it is "lost" (eviction) or "failed" (the
  worker's own error). One that two workers held as they were evicted is "quarantined", and refused if sent again.
- A worker that drains (Goodbye) or starts over (READY again) hands its jobs back; that is nobody's failure.

Times are seconds of a monotonic clock, given by the caller. Nothing here reads a clock or owns a socket.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from clownfish.classes import difference
from clownfish.messages import WindowKey

P = TypeVar("P")

Classes = tuple[str, ...]
Line = tuple[bytes, str]
"""(edge session, stream name): what takes turns. A restarted capture stays in its stream's line."""


@dataclass(frozen=True, slots=True)
class Assign(Generic[P]):
    """Send this job to this worker. If that fails, tell `WorkerPool.gone`."""

    worker: bytes
    job: int
    edge: bytes
    key: WindowKey
    payload: P
    deadline: float
    """When the answer stops to matter: seconds of the caller's clock."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer that just came is this window's: pass it on to the edge. `model` is the worker's."""

    edge: bytes
    key: WindowKey
    job: int
    model: str


@dataclass(frozen=True, slots=True)
class Drop:
    """This window will not be answered: tell the edge. `reason` is a key of `WorkerPool.drops`."""

    edge: bytes
    key: WindowKey
    reason: str


@dataclass(frozen=True, slots=True)
class Evicted:
    """This worker is not one of the pool any more; for the log. `reason` is silent, hung or gone."""

    worker: bytes
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class AskReady:
    """The pool does not know this worker (any more): ask it to send READY."""

    worker: bytes


Instruction = Assign[P] | Answered | Drop | Evicted | AskReady


@dataclass(eq=False, slots=True)
class _Job(Generic[P]):
    number: int
    edge: bytes
    key: WindowKey
    classes: Classes
    payload: P
    deadline: float
    failed_by: bytes | None = None  # "another worker" is one that is not this; None: not failed yet
    lease_until: float = 0.0  # while held
    forgotten: bool = False  # its edge has gone and its drop is counted; the worker does not know

    @property
    def line(self) -> Line:
        return self.edge, self.key.stream


@dataclass(eq=False, slots=True)
class _Worker(Generic[P]):
    id: bytes
    name: str
    model: str
    classes: Classes
    credit: int
    seen: float
    advanced: float  # when it last finished a job, or last began to hold one
    done: int = 0
    jobs: dict[int, _Job[P]] = field(default_factory=dict)  # in the order they were assigned


class WorkerPool(Generic[P]):
    """Jobs of all edges over all workers of one router. `payload` is whatever the caller wants back to send.

    `capacity` bounds the jobs that wait, `max_credit` what one worker may hold whatever its READY says, `memory` the
    keys that are remembered because a worker held them as it was evicted.
    """

    def __init__(
        self, capacity: int, lease_s: float, liveness_s: float, max_credit: int = 64, memory: int = 1024
    ) -> None:
        if min(capacity, max_credit, memory) < 1 or not (lease_s > 0 and liveness_s > 0):
            raise ValueError(
                f"a pool needs room and time, got {capacity=} {lease_s=} {liveness_s=} {max_credit=} {memory=}"
            )
        self.capacity = capacity
        self.lease_s = lease_s
        self.liveness_s = liveness_s
        self.max_credit = max_credit
        self.memory = memory
        self.submitted = 0
        """Jobs submitted, without repeats; submitted = answered + sum(drops) + waiting + held, always."""
        self.answered = 0
        self.drops: Counter[str] = Counter()
        self.evictions: Counter[str] = Counter()
        self.requeued = 0
        """Jobs that went back to wait after a worker failed them or handed them back."""
        self.repeated = 0
        """Submits of a window that this edge session has a job for already: ignored."""
        self.stale = 0
        """Results for jobs that the worker does not hold (any more): ignored."""
        self._workers: dict[bytes, _Worker[P]] = {}  # the least recently given a job first
        self._lines: OrderedDict[Line, list[_Job[P]]] = OrderedDict()  # the first has the next turn; none is empty
        self._live: dict[tuple[bytes, WindowKey], _Job[P]] = {}
        self._kills: OrderedDict[WindowKey, int] = OrderedDict()
        self._numbers = 0

    # ---- workers

    def ready(
        self, worker: bytes, name: str, model: str, classes: Classes, credit: int, now: float
    ) -> list[Instruction[P]]:
        """A worker says READY: it holds nothing and may hold `credit` jobs. What it held before waits again."""
        before = self._workers.pop(worker, None)
        self._workers[worker] = _Worker(worker, name, model, classes, min(credit, self.max_credit), now, now)
        return self._hand_back(before, now)

    def progress(self, worker: bytes, done: int, now: float) -> list[Instruction[P]]:
        """A sign of life from the worker's loop. `done` counts the jobs that it finished since READY."""
        known = self._workers.get(worker)
        if known is None:
            return [AskReady(worker)]
        known.seen = now
        if done > known.done:
            known.done, known.advanced = done, now
        return []

    def goodbye(self, worker: bytes, now: float) -> list[Instruction[P]]:
        """The worker has drained and leaves. A job that crossed its Goodbye on the wire waits again."""
        return self._hand_back(self._workers.pop(worker, None), now)

    def gone(self, worker: bytes, now: float) -> list[Instruction[P]]:
        """The worker's peer has vanished, or cannot be sent to."""
        return self._evict(worker, "gone", now) + self._settle(now) if worker in self._workers else []

    # ---- jobs

    def submit(
        self, edge: bytes, key: WindowKey, classes: Classes, payload: P, deadline: float, now: float
    ) -> list[Instruction[P]]:
        """An edge session asks about a window; `classes` are its local model's. It is assigned, waits, or is dropped.

        A window that this session has a job for already is ignored; the first job answers it.
        """
        if (edge, key) in self._live:
            self.repeated += 1
            return []
        self.submitted += 1
        self._numbers += 1
        job = _Job(self._numbers, edge, key, classes, payload, deadline)
        self._live[edge, key] = job
        if deadline <= now:
            return [self._drop(job, "expired")]
        if self._kills.get(key, 0) >= 2:
            return [self._drop(job, "quarantined")]
        self._lines.setdefault(job.line, []).append(job)
        return self._settle(now)

    def finished(self, worker: bytes, job: int, ok: bool, now: float) -> list[Instruction[P]]:
        """A worker returned a job, with an answer (`ok`) or with an error, which another worker may try once."""
        known = self._workers.get(worker)
        held = known.jobs.pop(job, None) if known else None
        if known is None or held is None:
            self.stale += 1
            return [] if known else [AskReady(worker)]
        known.seen = known.advanced = now
        todo: list[Instruction[P]] = []
        if held.forgotten:
            pass  # its drop was counted when the edge went
        elif ok:
            self._live.pop((held.edge, held.key))
            self.answered += 1
            todo.append(Answered(held.edge, held.key, held.number, known.model))
        elif held.failed_by is not None or not any(
            other.classes == held.classes and other is not known for other in self._workers.values()
        ):
            todo.append(self._drop(held, "failed"))
        else:
            held.failed_by = worker
            self._requeue(held)
        return todo + self._settle(now)

    def edge_gone(self, edge: bytes) -> list[Drop]:
        """The edge session is over: its jobs are forgotten. The drops are for the log; there is nobody left to tell.

        A worker that holds one goes on holding it, since it cannot be called back; its answer then goes nowhere.
        """
        drops = []
        for job in [each for (owner, _), each in self._live.items() if owner == edge]:
            if job in self._lines.get(job.line, ()):
                self._leave(job)
            else:
                job.forgotten = True
            drops.append(self._drop(job, "edge_gone"))
        return drops

    # ---- time

    def next_timer(self) -> float | None:
        """When `timer` has something to do, in seconds of the caller's clock; None: nothing to wait for."""
        times = [job.deadline for job in self._waiting()]
        times += [self._due(worker)[0] for worker in self._workers.values()]
        return min(times, default=None)

    def timer(self, now: float) -> list[Instruction[P]]:
        """Evicts workers that are silent or hung, and drops what has waited past its deadline."""
        todo: list[Instruction[P]] = []
        for worker in list(self._workers.values()):
            due, reason = self._due(worker)
            if due <= now:
                todo += self._evict(worker.id, reason, now)
        return todo + self._settle(now)

    # ---- what can be asked

    @property
    def waiting(self) -> int:
        return sum(len(line) for line in self._lines.values())

    @property
    def held(self) -> int:
        """Jobs that workers hold for an edge that still waits."""
        return sum(not job.forgotten for worker in self._workers.values() for job in worker.jobs.values())

    @property
    def workers(self) -> int:
        return len(self._workers)

    def classes_served(self) -> list[Classes]:
        """The class tuples that workers are ready for, each once."""
        return list(dict.fromkeys(worker.classes for worker in self._workers.values()))

    def why_refused(self, classes: Classes) -> str | None:
        """Why no worker that is ready can serve an edge with these classes, in words for people.

        None where one can, or where no worker is ready: one that can may still come.
        """
        if not self._workers or classes in self.classes_served():
            return None
        nearest = max(self._workers.values(), key=lambda each: len(set(classes) & set(each.classes)))
        words = difference(classes, nearest.classes)
        nearest_to = f"nearest is worker {nearest.name!r}, whose model {nearest.model!r} {words}"
        return f"no worker that is ready has the edge's classes; {nearest_to}"

    def validate(self) -> None:
        """Raises AssertionError where an invariant is broken; tests call it after every step."""
        waiting = list(self._waiting())
        held = [job for worker in self._workers.values() for job in worker.jobs.values()]
        assert len(waiting) <= self.capacity
        assert len(self._kills) <= self.memory
        assert all(len(worker.jobs) <= max(worker.credit, 0) for worker in self._workers.values())
        assert all(worker.classes == job.classes for worker in self._workers.values() for job in worker.jobs.values())
        assert len({job.number for job in waiting + held}) == len(waiting + held)
        assert {id(job) for job in waiting + held if not job.forgotten} == {id(job) for job in self._live.values()}
        assert not any(job.forgotten for job in waiting)
        assert all(line and {job.line for job in line} == {key} for key, line in self._lines.items())
        assert self.submitted == self.answered + sum(self.drops.values()) + self.waiting + self.held
        assert self._pick() is None, "a job waits although a worker could take it"

    # ---- inside

    def _waiting(self) -> Iterator[_Job[P]]:
        return (job for line in self._lines.values() for job in line)

    def _due(self, worker: _Worker[P]) -> tuple[float, str]:
        """When this worker will be evicted unless something happens, and for what."""
        silent = worker.seen + self.liveness_s
        if not worker.jobs:
            return silent, "silent"
        hung = min(worker.advanced + self.lease_s, *(job.lease_until for job in worker.jobs.values()))
        return (hung, "hung") if hung < silent else (silent, "silent")

    def _pick(self) -> tuple[_Job[P], _Worker[P]] | None:
        """The next job that can be assigned, and its worker: of those with room, the one that holds least."""
        free = sorted((w for w in self._workers.values() if len(w.jobs) < w.credit), key=lambda each: len(each.jobs))
        if not free:
            return None
        for line in self._lines.values():
            for job in sorted(line, key=lambda each: (each.deadline, each.number)):
                for worker in free:
                    if worker.classes == job.classes and worker.id != job.failed_by:
                        return job, worker
        return None

    def _settle(self, now: float) -> list[Instruction[P]]:
        """Ends every event: drops what is overdue, assigns what can be assigned, makes the queue fit."""
        todo: list[Instruction[P]] = []
        for job in [each for each in self._waiting() if each.deadline <= now]:
            self._leave(job)
            todo.append(self._drop(job, "expired"))
        while (pick := self._pick()) is not None:
            job, worker = pick
            self._lines.move_to_end(job.line)
            self._leave(job)
            self._workers[worker.id] = self._workers.pop(worker.id)
            if not worker.jobs:
                worker.advanced = now
            worker.jobs[job.number] = job
            job.lease_until = now + self.lease_s * len(worker.jobs)
            todo.append(Assign(worker.id, job.number, job.edge, job.key, job.payload, job.deadline))
        while self.waiting > self.capacity:
            longest = max(len(line) for line in self._lines.values())
            losers = [each for line in self._lines.values() if len(line) == longest for each in line]
            loser = min(losers, key=lambda each: (each.deadline, each.number))
            self._leave(loser)
            todo.append(self._drop(loser, "superseded"))
        return todo

    def _evict(self, worker: bytes, reason: str, now: float) -> list[Instruction[P]]:
        known = self._workers.pop(worker)
        self.evictions[reason] += 1
        todo: list[Instruction[P]] = [Evicted(worker, known.name, reason)]
        for job in known.jobs.values():
            kills = self._kills[job.key] = self._kills.pop(job.key, 0) + 1
            if len(self._kills) > self.memory:
                self._kills.popitem(last=False)
            if job.forgotten:
                continue
            if kills >= 2:
                todo.append(self._drop(job, "quarantined"))
            elif job.failed_by is not None:
                todo.append(self._drop(job, "lost"))
            else:
                job.failed_by = worker
                self._requeue(job)
        return todo

    def _hand_back(self, worker: _Worker[P] | None, now: float) -> list[Instruction[P]]:
        for job in worker.jobs.values() if worker else ():
            if not job.forgotten:
                self._requeue(job)
        return self._settle(now)

    def _requeue(self, job: _Job[P]) -> None:
        self.requeued += 1
        self._lines.setdefault(job.line, []).append(job)

    def _leave(self, job: _Job[P]) -> None:
        self._lines[job.line].remove(job)
        if not self._lines[job.line]:
            del self._lines[job.line]

    def _drop(self, job: _Job[P], reason: str) -> Drop:
        del self._live[job.edge, job.key]
        self.drops[reason] += 1
        return Drop(job.edge, job.key, reason)
