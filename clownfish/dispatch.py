"""WorkerPool: the router's machine. Windows wait here for a worker that is ready and are watched till done (DESIGN §7).

A job is one window that one edge session asks about. Each job ends exactly once: Answered, or a Drop with its reason.

    submit ──→ waiting ──Assign──→ held by a worker ──finished──→ Answered
                  ↑                      │
                  └──worker fails, once──┘        from either place also: Drop

- Choice. Edges take turns, an edge's streams take turns in its own, and a stream's earliest deadline goes first
  (`turns`). A job asks for its edge's class tuple, and for a model by name or for any: only such a worker serves it.
- Full queue. Whoever has most waiting loses the earliest deadline of its longest line ("superseded"): newest wins, as
  in the edge's backlog. Under overload that job would be served last in time, or too late, and whoever asks most pays.
- Workers. READY tells how many jobs a worker may hold. It is evicted when it says nothing for `liveness_s` ("silent"),
  when it holds jobs and finishes none for `lease_s`, or keeps one for longer than `lease_s` times the jobs it held when
  that came ("hung"), or when its peer vanishes ("gone"). An evicted worker that speaks again is asked to send READY.
- A job that its worker fails goes to another worker, once: the second time it is "lost" (eviction) or "failed" (the
  worker's own error). One that two workers held as they were evicted is "quarantined", and refused if sent again. A
  worker holds one such suspect at a time, so that whoever was merely held beside a killer is not taken for one.
- A worker that drains (Goodbye) or starts over (READY again) hands its jobs back; that is nobody's failure.
- A canary (`canary`) is given its share as long as its workers have room, beside all turns. Its failures count for no
  job. It serves nobody else who did not name it, unless it is the only one that can.

No event takes time that grows with the jobs, edges or workers that there are, but for the logarithm of their number.
Times are seconds of a monotonic clock, given by the caller. Nothing here reads a clock or owns a socket.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Generic, TypeVar

from clownfish.alarms import Alarms
from clownfish.canary import Canary
from clownfish.jobs import Answered, AskReady, Assign, Drop, Evicted, Instruction, Job, Shadowed
from clownfish.messages import WindowKey
from clownfish.roster import Classes, Kind, Member, Roster
from clownfish.waiting import WaitingRoom

P = TypeVar("P")


class WorkerPool(Generic[P]):
    """Jobs of all edges over all workers of one router. `payload` is whatever the caller wants back to send.

    `capacity` bounds the jobs that wait, `max_credit` what one worker may hold whatever its READY says, `memory` the
    keys that are remembered because a worker held them as it was evicted. `owner` says whose turn a session takes.
    """

    def __init__(
        self,
        capacity: int,
        lease_s: float,
        liveness_s: float,
        max_credit: int = 64,
        memory: int = 1024,
        *,
        canary: Canary | None = None,
        owner: Callable[[bytes], bytes] = lambda edge: edge,
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
        self.canary = canary
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
        self._owner = owner
        self._roster: Roster[Job[P]] = Roster("" if canary is None else canary.model)
        self._room: WaitingRoom[P] = WaitingRoom()
        self._edges: dict[bytes, dict[WindowKey, Job[P]]] = {}  # every job that has not ended
        self._live: dict[int, Job[P]] = {}  # likewise
        self._dues: Alarms[bytes] = Alarms()  # when workers are evicted
        self._trials: Alarms[int] = Alarms()  # when the canary has had its time
        self._kills: OrderedDict[WindowKey, int] = OrderedDict()
        self._numbers = 0

    # ---- workers

    def ready(
        self, worker: bytes, name: str, model: str, classes: Classes, credit: int, now: float
    ) -> list[Instruction[P]]:
        """A worker says READY: it holds nothing and may hold `credit` jobs. What it held before waits again."""
        before = self._roster.pop(worker)
        member: Member[Job[P]] = Member(worker, name, Kind(classes, model), min(credit, self.max_credit), now, now)
        self._roster.add(member)
        self._watch(member)
        return self._hand_back(before.jobs.values() if before is not None else (), now)

    def progress(self, worker: bytes, done: int, now: float) -> list[Instruction[P]]:
        """A sign of life from the worker's loop. `done` counts the jobs that it finished since READY."""
        known = self._roster.get(worker)
        if known is None:
            return [AskReady(worker)]
        known.seen = now
        if done > known.done:
            known.done, known.advanced = done, now
        self._watch(known)
        return []

    def goodbye(self, worker: bytes, now: float, keeps: tuple[int, ...] = ()) -> list[Instruction[P]]:
        """The worker drains: it finishes the jobs that it `keeps`, and then leaves. All others wait again."""
        known = self._roster.get(worker)
        if known is None:
            return []
        known.credit, known.leaving = 0, True
        back = [job for number, job in known.jobs.items() if number not in keeps]
        for job in back:
            self._take_from(known, job)
        self._watch(known)
        return self._hand_back(back, now)

    def gone(self, worker: bytes, now: float) -> list[Instruction[P]]:
        """The worker's peer has vanished, or cannot be sent to."""
        known = self._roster.get(worker)
        return self._evict(known, "gone") + self._settle(now) if known is not None else []

    # ---- jobs

    def submit(
        self, edge: bytes, key: WindowKey, classes: Classes, payload: P, deadline: float, now: float, model: str = ""
    ) -> list[Instruction[P]]:
        """An edge session asks about a window; `classes` are its local model's, `model` is who shall answer, if that
        matters. It is assigned, waits, or is dropped.

        A window that this session has a job for already is ignored; the first job answers it.
        """
        if key in self._edges.get(edge, ()):
            self.repeated += 1
            return []
        self.submitted += 1
        job = self._new(edge, key, Kind(classes, model), payload, deadline)
        self._live[job.number] = job
        self._edges.setdefault(edge, {})[key] = job
        if deadline <= now:
            return [self._drop(job, "expired")]
        if self._kills.get(key, 0) >= 2:
            return [self._drop(job, "quarantined")]
        todo = self._try_canary(job, now)
        if not job.trial:
            if not self._room and (worker := self._roster.free_for(job.asks)) is not None:
                return [*todo, self._give(job, worker, now)]  # as if it had waited, and its turn had come at once
            self._room.put(job)
        return todo + self._settle(now)

    def finished(self, worker: bytes, job: int, ok: bool, now: float) -> list[Instruction[P]]:
        """A worker returned a job, with an answer (`ok`) or with an error, which another worker may try once."""
        known = self._roster.get(worker)
        held = known.jobs.get(job) if known else None
        if known is None or held is None:
            self.stale += 1
            return [] if known else [AskReady(worker)]
        self._take_from(known, held)
        known.seen = known.advanced = now
        self._watch(known)
        if not ok and self.canary is not None:
            self.canary.failed(known.kind.model)
        todo: list[Instruction[P]] = []
        took_s = now - held.given
        if held.forgotten:
            if ok and held.trial:
                todo.append(Shadowed(held.edge, held.key, known.kind.model, took_s))
        elif ok:
            self._end(held)
            self.answered += 1
            todo.append(Answered(held.edge, held.key, held.number, known.kind.model, took_s))
        elif held.trial:
            self._requeue(held)
        elif held.deadline <= now:
            todo.append(self._drop(held, "expired"))
        elif held.failed_by is not None or not any(
            other is not known and self._roster.serves(other.kind, held.asks) for other in self._roster
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
        for job in list(self._edges.get(edge, {}).values()):
            if job.waits:
                self._room.remove(job)
            else:
                job.forgotten = True
            drops.append(self._drop(job, "edge_gone"))
        return drops

    # ---- time

    def next_timer(self) -> float | None:
        """When `timer` has something to do, in seconds of the caller's clock; None: nothing to wait for."""
        times = (self._room.next_deadline(), self._dues.next(), self._trials.next())
        return min([each for each in times if each is not None], default=None)

    def timer(self, now: float) -> list[Instruction[P]]:
        """Evicts workers that are silent or hung, and drops what has waited past its deadline."""
        todo: list[Instruction[P]] = []
        for worker in self._dues.due(now):
            known = self._roster.get(worker)
            if known is not None:
                todo += self._evict(known, known.due(self.lease_s, self.liveness_s)[1])
        for number in self._trials.due(now):
            self._give_up_trial(self._live[number])
        return todo + self._settle(now)

    # ---- what can be asked

    @property
    def waiting(self) -> int:
        return len(self._room)

    @property
    def held(self) -> int:
        """Jobs that workers hold for an edge that still waits."""
        return len(self._live) - len(self._room)

    @property
    def workers(self) -> int:
        return len(self._roster)

    def why_refused(self, classes: Classes, model: str = "") -> str | None:
        """Why no worker can serve an edge with these classes that asks for this model, in words; None where one can."""
        return self._roster.why_not(Kind(classes, model))

    def validate(self) -> None:
        """Raises AssertionError where an invariant is broken; tests call it after every step."""
        waiting = list(self._room)
        held = [job for worker in self._roster for job in worker.jobs.values()]
        assert len(waiting) == len(self._room) <= self.capacity
        assert len(self._kills) <= self.memory
        assert all(len(worker.jobs) <= max(worker.credit, 0) or worker.leaving for worker in self._roster)
        for worker in self._roster:
            assert all(worker.kind.classes == job.asks.classes for job in worker.jobs.values())
            assert worker.suspects == sum(job.failed_by is not None for job in worker.jobs.values()) <= 1
            assert worker.jobs or not worker.leaving
        assert {id(job) for job in waiting + held if not job.forgotten} == {id(job) for job in self._live.values()}
        by_edge = [job for jobs in self._edges.values() for job in jobs.values()]
        assert {id(job) for job in by_edge} == {id(job) for job in self._live.values()}
        assert all(self._edges.values())
        assert all(job.waits and not job.forgotten and not job.trial for job in waiting)
        assert not any(job.waits for job in held)
        assert self.submitted == self.answered + sum(self.drops.values()) + self.waiting + self.held
        for job in waiting:
            for worker in self._roster:
                could = self._roster.serves(worker.kind, job.asks) and len(worker.jobs) < worker.credit
                suspect = job.failed_by is not None and (worker.suspects or worker.id == job.failed_by)
                assert not could or suspect, "a job waits although a worker could take it"

    # ---- inside

    def _new(self, edge: bytes, key: WindowKey, asks: Kind, payload: P, deadline: float) -> Job[P]:
        self._numbers += 1
        return Job(self._numbers, edge, key, asks, payload, deadline, self._owner(edge))

    def _watch(self, worker: Member[Job[P]]) -> None:
        """Sets the time of its eviction, or lets it go: it leaves, and holds nothing any more."""
        if worker.leaving and not worker.jobs:
            self._roster.pop(worker.id)
            self._dues.drop(worker.id)
        else:
            self._dues.set(worker.id, worker.due(self.lease_s, self.liveness_s)[0])

    def _settle(self, now: float) -> list[Instruction[P]]:
        """Ends every event: drops what is overdue, assigns what can be assigned, makes the queue fit."""
        if not self._room:
            return []
        todo: list[Instruction[P]] = [self._drop(job, "expired") for job in self._room.overdue(now)]
        while (pick := self._pick()) is not None:
            job, worker = pick
            self._room.served(job)
            todo.append(self._give(job, worker, now))
        while len(self._room) > self.capacity:
            todo.append(self._drop(self._room.lose(), "superseded"))
        return todo

    def _pick(self) -> tuple[Job[P], Member[Job[P]]] | None:
        """The next job that can be assigned, and its worker: of those with room, the one that holds least."""
        if not self._roster.has_room:
            return None
        for queue, turns in self._room.queues():
            best = self._roster.free_for(queue.asks, queue.failed_by)
            if best is not None:
                return turns.first(), best
        return None

    def _give(self, job: Job[P], worker: Member[Job[P]], now: float) -> Assign[P]:
        if not worker.jobs:
            worker.advanced = now
        worker.jobs[job.number] = job
        worker.suspects += job.failed_by is not None
        job.held_by, job.given = worker.id, now
        job.lease_until = now + self.lease_s * len(worker.jobs)
        self._roster.moved(worker)
        self._watch(worker)
        return Assign(worker.id, job.number, job.edge, job.key, job.payload, job.deadline)

    def _take_from(self, worker: Member[Job[P]], job: Job[P]) -> None:
        del worker.jobs[job.number]
        worker.suspects -= job.failed_by is not None
        self._trials.drop(job.number)
        self._roster.moved(worker)

    def _try_canary(self, job: Job[P], now: float) -> list[Instruction[P]]:
        """Give a job, or its shadow, to the canary, if it is of its share; else nothing."""
        canary = self.canary
        if canary is None or job.asks.model == canary.model or not canary.chooses(job.key):
            return []
        worker = self._roster.freest(Kind(job.asks.classes, canary.model))
        if worker is None:
            canary.counts["canary_no_room"] += 1
            return []
        if canary.shadow:
            job = self._new(job.edge, job.key, job.asks, job.payload, job.deadline)
            job.forgotten = True
        else:
            self._trials.set(job.number, (now + job.deadline) / 2)
        job.trial = True
        return [self._give(job, worker, now)]

    def _give_up_trial(self, job: Job[P]) -> None:
        """The canary goes on holding it, since it cannot be called back; another may answer now."""
        assert self.canary is not None
        worker = self._roster.get(job.held_by)
        assert worker is not None
        self.canary.counts["canary_late"] += 1
        worker.jobs[job.number] = replace(job, forgotten=True)
        self._requeue(job)

    def _evict(self, worker: Member[Job[P]], reason: str) -> list[Instruction[P]]:
        self._roster.pop(worker.id)
        self._dues.drop(worker.id)
        self.evictions[reason] += 1
        todo: list[Instruction[P]] = [Evicted(worker.id, worker.name, reason)]
        for job in worker.jobs.values():
            if self.canary is not None:
                self.canary.failed(worker.kind.model)
            kills = 0 if job.trial else self._blame(job.key)
            if job.forgotten:
                continue
            if kills >= 2:
                todo.append(self._drop(job, "quarantined"))
            elif job.failed_by is not None:
                todo.append(self._drop(job, "lost"))
            else:
                job.failed_by = None if job.trial else worker.id
                self._requeue(job)
        return todo

    def _blame(self, key: WindowKey) -> int:
        """How many workers were evicted while they held this window, with the one that just was."""
        kills = self._kills[key] = self._kills.pop(key, 0) + 1
        if len(self._kills) > self.memory:
            self._kills.popitem(last=False)
        return kills

    def _hand_back(self, jobs: Iterable[Job[P]], now: float) -> list[Instruction[P]]:
        for job in jobs:
            if not job.forgotten:
                self._requeue(job)
        return self._settle(now)

    def _requeue(self, job: Job[P]) -> None:
        self.requeued += 1
        job.trial = False
        self._trials.drop(job.number)
        self._room.put(job)

    def _end(self, job: Job[P]) -> None:
        del self._live[job.number]
        of_edge = self._edges[job.edge]
        del of_edge[job.key]
        if not of_edge:
            del self._edges[job.edge]

    def _drop(self, job: Job[P], reason: str) -> Drop:
        self._end(job)
        self._trials.drop(job.number)
        self.drops[reason] += 1
        return Drop(job.edge, job.key, reason)
