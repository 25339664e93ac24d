"""What a router is measured with: many edge sessions, and workers that answer at once.

`python -m clownfish.lab.load` reads its plan from standard input and prints what each phase measured; plan and results
are JSON, one line each. Every session is a pair of DEALER sockets, as an uplink has, and beats as one, each at moments
of its own. One epoll over all of them, and no asyncio: the load must cost less than the router that it loads.

Of each window four moments are taken: (1) before its frames and its request are handed to the kernel; (2) when its job
had come to the worker, (3) before the worker's answer is handed to the kernel, (4) when that had come to the edge.
What the router added is (2) − (1) and (4) − (3); what the load did with the job in between is its own. Without keys
the kernel stamps (2) and (4), so that a load that reads late makes nothing longer; where it reads several messages at
once they bear the last one's stamp, which makes what was added longer, never shorter.
"""

from __future__ import annotations

import heapq
import json
import math
import os
import resource
import select
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import psutil

from clownfish import wire
from clownfish.bus import fresh_routing_id
from clownfish.errors import ClownfishError
from clownfish.lab.peers import Peer, Peers
from clownfish.protocol import (
    Again,
    Answer,
    Credit,
    Done,
    Dropped,
    FrameData,
    Hello,
    Job,
    Missing,
    Ping,
    Progress,
    Pulse,
    Ready,
    Refused,
    WindowRequest,
    beat_s,
    in_messages,
)

SIZE, STRIDE, N_W = 16, 4, 6
CLASSES = tuple(f"class-{i}" for i in range(9))
_BEAT_S = beat_s(3000)
"""As an uplink does under the lease that a router grants where it is told nothing else."""
_SETTLE_S = 1.0
"""Of each phase, before what is measured."""
_READY_S = 30.0
_CONNECTING = 32
"""Sessions at a time that have no credit yet: a listening socket has room for a hundred that nobody has taken."""
_LATE_S = 2.0
"""How long after a phase its last answers are waited for."""
_WHOSE = struct.Struct("<IQ")
"""What a window's first picture begins with: the session's number, and t."""


@dataclass(frozen=True)
class Phase:
    """`per_s` windows a second, evenly over all sessions; or (`per_s` 0) always `in_flight` of them unanswered.

    `most_of_full`: no more than this share of what the phase before was answered in a second.
    """

    name: str
    seconds: float
    per_s: float = 0.0
    in_flight: int = 0
    most_of_full: float = math.inf


@dataclass(frozen=True)
class Plan:
    """`keys`: (public, secret) of each session's device and then of each worker, where the router has keys."""

    control: str
    data: str
    workers: str
    sessions: int
    window_bytes: int
    stub_workers: int
    phases: tuple[Phase, ...]
    router_pid: int
    router_key: str = ""
    keys: tuple[tuple[str, str], ...] = ()


@dataclass
class Result:
    """What one phase measured, once it had settled."""

    name: str
    seconds: float = 0.0
    sent: int = 0
    answered: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    added_ms: dict[str, float] = field(default_factory=dict)
    """What the router added to a window; p50, p99, max."""
    latency_ms: dict[str, float] = field(default_factory=dict)
    """From before a window's frames are sent until its answer is read, with all that the load took; likewise."""
    late_ms: dict[str, float] = field(default_factory=dict)
    """By how much the load sent later than it meant to; likewise."""
    router_cpu: float = 0.0
    load_cpu: float = 0.0
    """Of one core."""


@dataclass(slots=True)
class _Asked:
    """A window's moments, in ns of the wall clock."""

    sent: int
    at_worker: int = 0
    worker_sent: int = 0


class _Session:
    def __init__(self, number: int, control: Peer, data: Peer) -> None:
        self.number, self.control, self.data = number, control, data
        self.stream = f"camera-{number}"
        self.epoch = number + 1
        self.window = 0
        self.sequence = 0
        self.asked: dict[int, _Asked] = {}
        """By window; those that are not answered yet."""
        self.credited = False


class Load:
    """Opens everything at once; `run` goes through the plan's phases."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._peers = Peers(2 * plan.sessions + plan.stub_workers, plan.router_key)
        self._poll = select.epoll()
        self._hear: dict[int, Callable[[], None]] = {}
        self._beats: list[tuple[float, int, Callable[[], None]]] = []
        self._sends: list[tuple[float, int]] = []
        self._period_s = 0.0
        self._idle: deque[_Session] = deque()
        self._closed = False
        self._result = Result("")
        self._added: list[float] = []
        self._took: list[float] = []
        self._late: list[float] = []
        self._dropped: Counter[str] = Counter()
        self._chance = np.random.default_rng(0)
        self._picture = os.urandom(max(plan.window_bytes // SIZE, _WHOSE.size))
        self._p = np.full(len(CLASSES), 1 / len(CLASSES), np.float32)
        keys = iter(plan.keys)
        for i in range(plan.stub_workers):
            self._open_worker(i, plan.keys[plan.sessions + i] if plan.keys else None)
        self.sessions: list[_Session] = []
        for i in range(plan.sessions):
            self.sessions.append(self._open_session(i, next(keys, None)))
            self._until_credit(_CONNECTING)
        self._until_credit(0)

    def run(self) -> Iterable[Result]:
        """Phase by phase."""
        full_per_s = math.inf
        for phase in self._plan.phases:
            result = self._phase(replace(phase, per_s=min(phase.per_s, phase.most_of_full * full_per_s)))
            full_per_s = result.answered / result.seconds
            yield result

    def close(self) -> None:
        self._peers.close()

    # -- phases

    def _phase(self, phase: Phase) -> Result:
        self._begin(phase)
        self._turn_until(time.monotonic() + min(_SETTLE_S, phase.seconds))
        self._result, self._added, self._took, self._late = Result(phase.name), [], [], []
        self._dropped = Counter()
        router, mine = psutil.Process(self._plan.router_pid), psutil.Process()
        before, begin = (_cpu_s(router), _cpu_s(mine)), time.monotonic()
        self._turn_until(begin + phase.seconds)
        while not self._took and time.monotonic() < begin + phase.seconds + _READY_S:
            self._turn(0.05)  # a machine that is busy with other things; without one answer nothing is measured
        result, elapsed_s = self._result, time.monotonic() - begin
        result.seconds = elapsed_s
        result.router_cpu = (_cpu_s(router) - before[0]) / elapsed_s
        result.load_cpu = (_cpu_s(mine) - before[1]) / elapsed_s
        result.dropped = dict(self._dropped)
        result.added_ms, result.latency_ms = _percentiles(self._added), _percentiles(self._took)
        result.late_ms = _percentiles(self._late)
        self._result = Result("")  # what is answered from here on is nobody's
        self._sends, self._closed = [], False
        give_up = time.monotonic() + _LATE_S
        while any(each.asked for each in self.sessions) and time.monotonic() < give_up:
            self._turn(0.05)
        for session in self.sessions:
            session.asked.clear()
        return result

    def _begin(self, phase: Phase) -> None:
        now = time.monotonic()
        if phase.per_s:
            self._period_s = len(self.sessions) / phase.per_s
            phases = self._chance.uniform(0, self._period_s, len(self.sessions))
            self._sends = [(now + float(at), i) for i, at in enumerate(phases)]
            heapq.heapify(self._sends)
            return
        self._closed = True
        self._idle = deque(self.sessions)
        for _ in range(phase.in_flight):
            self._send_next()

    def _send_next(self) -> None:
        self._send_window(self._idle.popleft())

    def _send_window(self, session: _Session) -> None:
        t, first = session.window * N_W, session.window * N_W * STRIDE
        session.window += 1
        numbers = tuple(range(first, first + SIZE))
        stream, epoch = session.stream, session.epoch
        whose = _WHOSE.pack(session.number, t) + self._picture[_WHOSE.size :]
        coded = [
            FrameData(stream, epoch, n, n, 0, "jpeg", 172, 128, whose if n == first else self._picture) for n in numbers
        ]
        messages = [*in_messages(coded), WindowRequest(stream, epoch, t, numbers, 8000)]
        parts = [wire.encode(message) for message in messages]
        self._result.sent += 1
        session.asked[t] = _Asked(time.time_ns())
        session.data.send(*parts)

    # -- the loop

    def _until_credit(self, most_without: int) -> None:
        give_up = time.monotonic() + _READY_S
        while (waiting := sum(not each.credited for each in self.sessions)) > most_without:
            self._turn(0.01)
            if time.monotonic() > give_up:
                raise ClownfishError(f"{waiting} of {len(self.sessions)} sessions had no credit within {_READY_S:g} s")

    def _turn_until(self, end: float) -> None:
        while (now := time.monotonic()) < end:
            self._turn(end - now)

    def _turn(self, most_s: float) -> None:
        """Send what is due, hear what has come."""
        now = time.monotonic()
        while self._beats and self._beats[0][0] <= now:
            due, number, beat = heapq.heappop(self._beats)
            heapq.heappush(self._beats, (due + _BEAT_S, number, beat))
            beat()
        while self._sends and self._sends[0][0] <= now:
            due, number = heapq.heappop(self._sends)
            heapq.heappush(self._sends, (due + self._period_s, number))
            self._late.append(time.monotonic() - due)
            self._send_window(self.sessions[number])
        due = min(self._beats[0][0], self._sends[0][0] if self._sends else now + most_s)
        wait_s = max(0.0, min(most_s, due - time.monotonic()))
        select.select([self._poll], [], [], wait_s)  # epoll counts in milliseconds: what is due would go out in bursts
        for descriptor, _ in self._poll.poll(0):
            self._hear[descriptor]()

    def _add(self, peer: Peer, hear: Callable[[list[bytes], int], None], beat: Callable[[], None]) -> None:
        """Hear what comes, and beat, from some moment of the next period on: peers do not know of each other."""

        def hear_all() -> None:
            for parts, at_ns in peer.hear():
                hear(parts, at_ns)

        def beat_and_hear() -> None:  # sending may have taken the sign that something came
            beat()
            hear_all()

        self._hear[peer.descriptor] = hear_all
        self._poll.register(peer.descriptor, select.EPOLLIN)
        first = time.monotonic() + float(self._chance.uniform(0, _BEAT_S))
        heapq.heappush(self._beats, (first, peer.descriptor, beat_and_hear))

    # -- sessions

    def _open_session(self, number: int, key: tuple[str, str] | None) -> _Session:
        routing_id = fresh_routing_id()
        control, data = (self._peers.open(each, routing_id, key) for each in (self._plan.control, self._plan.data))
        session = _Session(number, control, data)
        control.send(wire.encode(Hello(session.stream, CLASSES)))
        answer, dropped = _prefix(Answer), _prefix(Dropped)

        def hear(parts: list[bytes], at_ns: int) -> None:
            kind = parts[0][:4]
            if kind in (answer, dropped):
                self._finished(session, wire.decode(parts, (Answer, Dropped)), at_ns)
            elif not session.credited:
                self._first_words(session, parts)

        def beat() -> None:
            session.sequence += 1
            control.send(wire.encode(Ping(session.sequence)))

        self._add(control, hear, beat)
        return session

    def _first_words(self, session: _Session, parts: list[bytes]) -> None:
        message = wire.decode(parts, (Credit, Refused, Again, Missing))
        if isinstance(message, Refused):
            raise ClownfishError(f"the router refuses {session.stream}: {message.reason}")
        if isinstance(message, Again):  # its first Ping overtook nothing, but a limit may have stopped its Hello
            session.control.send(wire.encode(Hello(session.stream, CLASSES)))
        session.credited = isinstance(message, Credit)

    def _finished(self, session: _Session, message: Answer | Dropped, at_ns: int) -> None:
        asked = session.asked.pop(message.t, None)
        if asked is None:
            return
        if isinstance(message, Dropped):
            self._dropped[message.reason] += 1
        else:
            self._result.answered += 1
            self._took.append((time.time_ns() - asked.sent) / 1e9)
            self._added.append((asked.at_worker - asked.sent + at_ns - asked.worker_sent) / 1e9)
        if self._closed:
            self._idle.append(session)
            self._send_next()

    # -- workers

    def _open_worker(self, number: int, key: tuple[str, str] | None) -> None:
        peer = self._peers.open(self._plan.workers, fresh_routing_id(), key)
        name, done = f"stub-{number}", 0
        ready = wire.encode(Ready(name, "stub", CLASSES, 64))
        peer.send(ready)

        def hear(parts: list[bytes], at_ns: int) -> None:
            nonlocal done
            message = wire.decode(parts, (Job, Pulse, Refused, Again))
            if isinstance(message, Job):
                done += 1
                answer = wire.encode(Done(message.job, self._p, 0.0, ""))
                session, t = _WHOSE.unpack_from(message.data[0])
                asked = self.sessions[session].asked.get(t)
                if asked is not None:
                    asked.at_worker, asked.worker_sent = at_ns, time.time_ns()
                peer.send(answer)
            elif isinstance(message, Again):
                peer.send(ready)
            elif isinstance(message, Refused):
                raise ClownfishError(f"the router refuses {name}: {message.reason}")

        def beat() -> None:
            peer.send(wire.encode(Progress(name, done)))

        self._add(peer, hear, beat)


def _prefix(kind: type) -> bytes:
    return wire.MAGIC + bytes((wire.VERSION, wire.KINDS.index(kind)))


def _percentiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {}
    p50, p99, most = np.percentile(seconds, (50, 99, 100)) * 1000
    return {"p50": float(p50), "p99": float(p99), "max": float(most)}


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _main() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    tree: dict[str, Any] = json.loads(sys.stdin.readline())
    plan = Plan(**{**tree, "phases": tuple(Phase(**each) for each in tree["phases"])})
    load = Load(plan)
    try:
        for result in load.run():
            print(json.dumps(asdict(result)), flush=True)
    finally:
        load.close()


if __name__ == "__main__":
    _main()
