"""router: the cloud's front. Edges send windows as its credit allows; each goes to a worker, and the answer goes home.

Three sockets, all bound here: control and data towards edges, one towards workers. A peer's routing id is an address
that is good for one session, never an identity: with `keys`, a device is the public key that it proved to have, its
sessions are those of that key, and its limits hold over all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Iterable
from pathlib import Path

from clownfish.bus import Guard, is_exposed
from clownfish.bus import Router as RouterSocket
from clownfish.canary import Canary
from clownfish.dispatch import WorkerPool
from clownfish.edges import EdgeInstruction, Edges, Submit, Tell
from clownfish.errors import ConfigError
from clownfish.framecache import Found
from clownfish.heap import tend_heap
from clownfish.jobs import Answered, AskReady, Assign, Drop, Evicted, Instruction, Shadowed
from clownfish.keys import Key, KeyFolder, Role
from clownfish.limits import DeviceLimits
from clownfish.messages import WindowKey
from clownfish.process import Alarm, Process, run
from clownfish.protocol import (
    FRAMES_BYTES,
    Again,
    Answer,
    Done,
    Dropped,
    FrameData,
    Frames,
    Goodbye,
    Hello,
    Job,
    Ping,
    Progress,
    Pulse,
    Ready,
    Refused,
    WindowRequest,
)
from clownfish.settings import Router as Settings
from clownfish.tracer import Tracer
from clownfish.within import within

_CONTROL_BYTES = 256 * 1024
_DROPS = ("expired", "superseded")
"""Counted from 0 on, so that the first one shows as a rise."""
_DRAIN_S = 2.0
"""How long a router that is told to end waits for the answers to windows that it has: `process.DRAIN_S` ends it."""
_READ_S = 0.5
"""And then for its edges to read the last of them: with IMMEDIATE, libzmq throws away what a DEALER has not read when
its connection ends."""
_HELLO_COST = 100
"""A Hello counts as so many messages of a device: it ends a session, begins another, and is written to the log."""


class _Router:
    def __init__(self, process: Process, settings: Settings) -> None:
        self._process = process
        self._limits: DeviceLimits | None = None
        self._guard: Guard | None = None
        if settings.keys:
            self._guard = process.bus.guard(KeyFolder(Path(settings.keys)), self._revoked)
            self._limits = DeviceLimits(
                messages_per_s=settings.messages_per_s,
                bytes_per_s=settings.bytes_per_s,
                streams=settings.streams_per_device,
            )

        def bind(
            endpoint: str, name: str, kinds: tuple[type, ...], max_bytes: int, large: bool, role: Role = "edge"
        ) -> RouterSocket:
            return process.bus.router(
                endpoint, name, kinds, max_bytes=max_bytes, insecure=settings.insecure, large=large, role=role
            )

        self._control = bind(settings.control, "control", (Hello, Ping), _CONTROL_BYTES, False)
        self._data = bind(
            settings.data, "data", (FrameData, Frames, WindowRequest), max(settings.max_frame_bytes, FRAMES_BYTES), True
        )
        self._workers = bind(
            settings.workers, "workers", (Ready, Progress, Done, Goodbye), _CONTROL_BYTES, True, "worker"
        )
        trial = settings.canary
        self._canary = Canary(trial.model, trial.share, trial.mode) if trial is not None else None
        self._pool: WorkerPool[Found] = WorkerPool(
            settings.queue,
            settings.job_lease_ms / 1000,
            settings.liveness_ms / 1000,
            canary=self._canary,
            owner=self._control.device,
        )
        self._edges = Edges(
            self._pool.why_refused,
            windows_per_edge=settings.windows_per_edge,
            bytes_per_edge=settings.bytes_per_edge,
            lease_ms=settings.lease_ms,
            cache_bytes=settings.cache_bytes,
            device=self._control.device,
            sessions_per_device=settings.sessions_per_device,
        )
        self._tracer = Tracer(process)
        self._submitted: dict[tuple[bytes, WindowKey], float] = {}
        """When the windows came that wait for a worker."""
        self._refusals: set[str] = set()
        self._alarm = Alarm(self._next_timer, self._timer)
        self._emptied = asyncio.Event()
        """Set when no worker holds a window any more."""
        process.before_status(self._count)

    def _count(self) -> None:
        pool, edges, counters = self._pool, self._edges, self._process.counters
        counters.mirror({"windows": pool.submitted, "answered": pool.answered, "requeued": pool.requeued})
        counters.mirror({"stale_results": pool.stale, "frames_evicted": edges.cache.evicted, **edges.counts})
        counters.mirror({"frames_orphaned": edges.cache.orphans})
        drops = {**dict.fromkeys(_DROPS, 0), **pool.drops}
        counters.mirror({f'dropped{{reason="{reason}"}}': count for reason, count in drops.items()})
        counters.mirror({f'evicted{{reason="{reason}"}}': count for reason, count in pool.evictions.items()})
        if self._limits is not None:
            counters.mirror({f'limited{{reason="{reason}"}}': count for reason, count in self._limits.counts.items()})
        if self._canary is not None:
            counters.mirror(self._canary.counts)
        counters.set("workers", pool.workers)
        counters.set("edges", len(edges))
        counters.set("waiting", pool.waiting)
        counters.set("held", pool.held)
        counters.set("cache_bytes", edges.cache.size_bytes)

    async def run(self) -> None:
        """Until cancelled. A guard that fails ends the process: nobody comes in unguarded."""
        guards = [self._guard.run()] if self._guard is not None else []
        answering = self._process.spawn(
            self._process.run_together(self._workers.each(self._from_worker), self._alarm.run(), tend_heap(), *guards)
        )
        try:
            await self._process.run_together(
                self._control.each(self._on_control), self._data.each(self._on_data), _outcome(answering)
            )
        except asyncio.CancelledError:
            await self._drain()
            raise

    async def _drain(self) -> None:
        """Takes no more windows; those that are here are answered, if they can be soon, and edges sent on."""
        if self._pool.held:
            self._emptied.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await within(self._emptied.wait(), _DRAIN_S)
        told = self._edges.farewell("this router ends")
        self._do(told)
        if told:
            await asyncio.sleep(_READ_S)

    def _on_control(self, edge: bytes, message: Hello | Ping) -> None:
        now = time.monotonic()
        if self._over(edge, now, cost=_HELLO_COST if isinstance(message, Hello) else 1) is not None:
            return  # a Ping that is not answered ends nothing: the next one is
        if isinstance(message, Hello):
            self._do(self._edges.hello(edge, message, now))
            self._process.log.info("edge connected", edge=message.edge, classes=len(message.classes))
        else:  # it puts off what is due, and brings nothing closer
            self._carry_out(self._edges.ping(edge, now, message.sequence))

    def _on_data(self, edge: bytes, message: FrameData | Frames | WindowRequest) -> None:
        now = time.monotonic()
        if isinstance(message, WindowRequest):
            self._do(self._edges.request(edge, message, now, self._over(edge, now, 0, message.stream)))
            return
        frames, over = message.together, None
        if self._limits is not None:
            over = self._over(edge, now, sum(map(len, frames.data)), frames.stream, cost=len(frames.data))
        self._edges.frames(edge, frames, over)

    def _over(
        self, edge: bytes, now: float, size_bytes: int = 0, stream: str | None = None, cost: float = 1
    ) -> str | None:
        """Which of its limits this message of a device is over. Without keys there are no devices, and no limits."""
        if self._limits is None:
            return None
        return self._limits.message(self._control.device(edge), now, size_bytes, stream, cost)

    def _revoked(self, key: Key) -> None:
        """The guard has shut this key out: end what it has here, and cut its connections."""
        device, now = key.public.encode(), time.monotonic()
        if self._limits is not None:
            self._limits.forget(device)
        self._do(self._edges.revoke(device))
        for socket in (self._control, self._data, self._workers):
            for peer in socket.cut(device):
                self._do(self._pool.gone(peer, now))

    def _from_worker(self, worker: bytes, message: Ready | Progress | Done | Goodbye) -> None:
        now = time.monotonic()
        if isinstance(message, Done):
            if message.error:
                self._process.log.warning("a worker could not answer", job=message.job, error=message.error)
            self._do(self._pool.finished(worker, message.job, not message.error, now), message)
        elif isinstance(message, Progress):
            todo = self._pool.progress(worker, message.done, now)
            if not todo:
                self._workers.try_send(worker, Pulse(message.done))
            self._do(todo)
        elif isinstance(message, Ready):
            self._ready(worker, message, now)
        else:
            self._process.log.info("worker drained", worker=message.worker)
            self._do(self._pool.goodbye(worker, now, message.keeps))
        if not self._pool.held:
            self._emptied.set()

    def _ready(self, worker: bytes, ready: Ready, now: float) -> None:
        self._process.log.info("worker ready", worker=ready.worker, model=ready.model, classes=len(ready.classes))
        self._do(self._pool.ready(worker, ready.worker, ready.model, ready.classes, ready.credit, now))
        wanted = self._edges.classes_wanted()
        if wanted and ready.classes not in wanted:
            reason = f"no connected edge has the classes of worker {ready.worker!r} (model {ready.model!r})"
            self._process.log.error("worker has nothing to do", reason=reason)
            self._workers.try_send(worker, Refused(reason))
        self._do(self._edges.regrant())

    def _do(self, instructions: Iterable[Instruction[Found] | EdgeInstruction], done: Done | None = None) -> None:
        """Carry out what pool and edges decided; `done` is the worker's answer that they decided on."""
        self._carry_out(instructions, done)
        self._alarm.look()

    def _carry_out(
        self, instructions: Iterable[Instruction[Found] | EdgeInstruction], done: Done | None = None
    ) -> None:
        for each in instructions:
            now = time.monotonic()
            if isinstance(each, Tell):
                self._tell(each)
            elif isinstance(each, Submit):
                self._submitted[each.edge, each.key] = now
                self._tracer.say(each.key, "submitted")
                job = (each.edge, each.key, each.classes, each.found, each.deadline)
                self._carry_out(self._pool.submit(*job, now, each.model))
            elif isinstance(each, Assign):
                self._process.histogram("queued").add((now - self._submitted.pop((each.edge, each.key), now)) * 1e9)
                self._tracer.say(each.key, "assigned")
                self._assign(each, now)
            elif isinstance(each, Answered):
                assert done is not None  # only a worker's Done can end so
                self._submitted.pop((each.edge, each.key), None)  # one that was asked for again meanwhile
                self._tracer.say(each.key, "done", done.model_ms)
                self._tracer.say(each.key, "answered")
                self._compare(each, done)
                answer = Answer(*each.key, done.p, each.model, done.model_ms)
                self._carry_out(self._edges.finished(each.edge, answer))
            elif isinstance(each, Shadowed):
                assert done is not None  # likewise
                self._compare(each, done)
            elif isinstance(each, Drop):
                self._submitted.pop((each.edge, each.key), None)
                self._tracer.say(each.key, f"dropped {each.reason}")
                self._carry_out(self._edges.finished(each.edge, Dropped(*each.key, each.reason)))
            elif isinstance(each, Evicted):
                self._process.log.warning("worker evicted", worker=each.name, reason=each.reason)
                self._workers.try_send(each.worker, Again(f"evicted: {each.reason}"))
                self._carry_out(self._edges.regrant())
            elif isinstance(each, AskReady):
                self._workers.try_send(each.worker, Again("this worker is not known here"))
            else:
                self._process.log.info("edge gone", edge=each.name)
                for drop in self._pool.edge_gone(each.edge):
                    self._submitted.pop((drop.edge, drop.key), None)

    def _compare(self, answered: Answered | Shadowed, done: Done) -> None:
        if self._canary is not None:
            which = self._canary.answered(answered.edge, answered.key, answered.model, done.p)
            self._process.histogram(f"{which}_answer").add(answered.took_s * 1e9)

    def _tell(self, tell: Tell) -> None:
        message = tell.message
        if isinstance(message, Refused) and message.reason not in self._refusals:
            self._refusals = {message.reason, *list(self._refusals)[:99]}
            self._process.log.error("edge refused", edge=self._edges.name(tell.edge), reason=message.reason)
        self._control.try_send(tell.edge, message)

    def _assign(self, assign: Assign[Found], now: float) -> None:
        found = assign.payload
        left_ms = max(0, int((assign.deadline - now) * 1000))
        job = Job(assign.job, found.codecs, found.places, found.frames, found.width, found.height, left_ms, found.data)
        if not self._workers.try_send(assign.worker, job):
            self._carry_out(self._pool.gone(assign.worker, now))

    def _timer(self) -> None:
        now = time.monotonic()
        self._do(self._pool.timer(now))
        self._do(self._edges.timer(now))

    def _next_timer(self) -> float | None:
        pool, edges = self._pool.next_timer(), self._edges.next_timer()
        if pool is None or edges is None:
            return pool if edges is None else edges
        return min(pool, edges)


async def _outcome(task: asyncio.Future[None]) -> None:
    """Waits for the task, and does not end it."""
    await asyncio.shield(task)


def _collect_seldom() -> None:
    """What a thousand edges have in the cache is no garbage; looking through it stopped the loop for 50 ms each time.

    What is here from the beginning is never looked at again, all of it hardly ever, and what is new soon, while it is
    little: objects that go count against those that come, so 50,000 of them were many times as many, and took 17 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 5, 100_000)


async def serve(process: Process) -> None:
    settings = process.config.router
    if settings is None:
        raise ConfigError("[router] is missing: it says where edges and workers find this router")
    service = _Router(process, settings)
    if (
        settings.insecure
        and not settings.keys
        and any(map(is_exposed, (settings.control, settings.data, settings.workers)))
    ):
        process.log.warning("listening beyond this host without authentication, as told")
    _collect_seldom()
    process.ready(f"{settings.control}, {settings.data}, workers on {settings.workers}")
    await service.run()


if __name__ == "__main__":
    run("router", serve)
