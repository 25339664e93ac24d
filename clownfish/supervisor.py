"""The supervisor: starts the process graph, watches it, brings back what dies, drains it at the end (layer 2).

Receivers bind and senders connect, so processes may start in any order; only `capture` waits until the edge is ready,
so that a stream's first window is answered like the others. A process that ends is started again after a back-off. One
that ends for a reason that a user must mend (exit status 2) before it was ever ready ends the graph, and says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clownfish.backoff import Backoff
from clownfish.bus import Bus
from clownfish.control import Control
from clownfish.errors import ClownfishError
from clownfish.health import SUPERVISOR, Seen, judge, verdict_gauges, verdict_text
from clownfish.log import get_logger
from clownfish.messages import Status
from clownfish.process import (
    NICE_VARIABLE,
    STATUS_SOCKET,
    SUPERVISOR_VARIABLE,
    WATCH_SOCKET,
    WORKING,
    private_folder,
)
from clownfish.runfolder import take_folder
from clownfish.sdnotify import VARIABLES, Notifier
from clownfish.settings import Config, to_tree
from clownfish.within import within

if TYPE_CHECKING:  # else every pool would have pydantic with it
    from clownfish.kept_streams import KeptStreams

EDGE = ("window", "local", "filter", "uplink", "fusion", "sink", "record")
_WATCHERS = ("page", "metrics", "trace")
_ASIDE = ("sink", *_WATCHERS)
"""Without them the edge answers all the same."""
_GIVE_WAY = ("router", "worker", "pool", *_ASIDE)
"""A cloud on the edge's own box gives way to the edge, and so does whoever only looks on, or takes what is answered."""
_NICE = "10"
_BACKOFF_S, _MAX_BACKOFF_S, _HEALTHY_S = 0.1, 10.0, 10.0
_READY_S = 60.0
"""A process that is not ready by then (a model loads from a slow card) holds nothing up any more."""
_STOP_S = 4.0
_TRIES = 5
"""A process that ends this often without ever having been ready ends the graph."""


@dataclass(frozen=True)
class Spec:
    """One process: `python -m services.SERVICE --config … [--name NAME]`."""

    service: str
    name: str = ""

    @property
    def process(self) -> str:
        return f"{self.service}-{self.name}" if self.name else self.service


def plan(config: Config) -> list[Spec]:
    """The processes of this configuration, receivers before senders, `capture` last. The sections decide."""
    specs = []
    if config.router is not None:
        specs.append(Spec("router"))
    if config.pool is not None:
        specs.append(Spec("pool"))
    elif config.worker is not None:
        specs += [Spec("worker", str(i)) for i in range(config.worker.count)]
    if config.streams:
        specs += [Spec("sink", sink.name) for sink in config.sinks]
        if config.record is not None:
            specs.append(Spec("record"))
        if config.link is not None:
            specs.append(Spec("link"))
        specs.append(Spec("fusion"))
        if config.uplink is not None:
            specs += [Spec("uplink"), Spec("filter")]
        specs += [Spec("local"), Spec("window"), Spec("capture")]
    watchers = [Spec(name) for name in _WATCHERS if getattr(config, name) is not None]
    return [*watchers, *specs]


@dataclass
class Child:
    """A process as the supervisor sees it."""

    spec: Spec
    process: asyncio.subprocess.Process | None = None
    status: Status | None = None
    """The newest that it published; of the one before while a new one starts."""
    restarts: int = 0
    ever_ready: bool = False
    started: float = 0.0
    ready_s: float | None = None
    """From the first start to the first work."""
    heard: float = 0.0
    """When it last gave a sign of life, or was first started."""
    failure: str = ""
    failed: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it was ready once, or nobody waits for it any more."""

    def seen(self, now: float) -> Seen:
        """What `health` is to judge."""
        status, process = self.status, self.process
        if process is None:  # its turn has not come
            return Seen("starting", 0.0)
        silent_s = now - self.heard
        if status is None or process.returncode is not None or status.pid != process.pid:
            return Seen("starting", silent_s, text="" if self.ever_ready else self.failure)
        return Seen(status.state, silent_s, status.gauges.get(WORKING, 0.0), status.text)


class Supervisor:
    """Runs one graph. `log_dir`: where each process's log goes; None: to this process's standard error.

    `launch` says what to put before a process's command, so that it runs elsewhere: in a network namespace, say.
    `specs`: the processes, where they are not those that the configuration's sections say.
    `kept`: where `config` comes from; then its streams may be changed meanwhile. `keep_going`: a sink, page, metrics or
    trace that cannot start ends nothing; it is tried again and again.
    """

    def __init__(
        self,
        config: Config,
        log_dir: Path | None = None,
        launch: Callable[[Spec], Sequence[str]] = lambda spec: (),
        specs: Sequence[Spec] | None = None,
        kept: KeptStreams | None = None,
        keep_going: bool = False,
    ) -> None:
        self.config = config
        self._kept = kept
        self._keep_going = keep_going
        self.children = {spec.process: Child(spec) for spec in (plan(config) if specs is None else specs)}
        self.on_status: Callable[[], None] = lambda: None
        """Called after each status."""
        self._log_dir = log_dir
        self._launch = launch
        self._log = get_logger()
        self._run_dir = private_folder(config.run_dir())
        self._lock = take_folder(self._run_dir)
        self._config_file = self._run_dir / "config.json"
        self._config_file.write_text(json.dumps(to_tree(config)), encoding="utf-8")
        self._stopping = asyncio.Event()
        self._failed: asyncio.Future[None] | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._bus: Bus | None = None
        self._notifier = Notifier()
        self._started = False

    async def start(self, wait_for_all: bool = False) -> None:
        """Start everything; returns when `capture` has been started.

        `wait_for_all`: the cloud's processes, too, must be ready before `capture` starts; else only the edge's.
        Raises ClownfishError where a process cannot start for a reason that a user must mend.
        """
        self._failed = asyncio.get_running_loop().create_future()
        self._bus = Bus(lambda name: None)
        inbox = self._bus.inbox(self.config.ipc(STATUS_SOCKET), "status", (Status,), hwm=1000)
        self._watch = self._bus.publisher(self.config.ipc(WATCH_SOCKET), "watch")
        self._tasks.append(asyncio.ensure_future(self._listen(inbox)))
        self._tasks.append(asyncio.ensure_future(self._judge_for_ever()))
        if self._kept is not None:
            self._tasks.append(asyncio.ensure_future(Control(self._bus, self._config_file, self._kept).serve()))
        before = [child for child in self.children.values() if child.spec.service != "capture"]
        for child in before:
            self._tasks.append(asyncio.ensure_future(self._keep(child)))
        awaited = [child for child in before if wait_for_all or child.spec.service in EDGE]
        with contextlib.suppress(asyncio.TimeoutError):
            await self._or_failure(within(_all_settled(awaited), _READY_S))
        capture = self.children.get("capture")
        if capture is not None:
            self._tasks.append(asyncio.ensure_future(self._keep(capture)))
        self._started = True

    async def run_until(self, finished: Callable[[], bool]) -> None:
        """Return when `finished()` holds; looked at after each status. Raises ClownfishError where the graph failed."""
        changed = asyncio.Event()
        notify = self.on_status

        def on_status() -> None:
            notify()
            changed.set()

        self.on_status = on_status
        while not finished():
            changed.clear()
            await self._or_failure(changed.wait())

    def gauge(self, process: str, name: str) -> float | None:
        """A gauge as the process last published it."""
        child = self.children.get(process)
        return child.status.gauges.get(name) if child is not None and child.status is not None else None

    async def stop(self, drain: bool = True) -> None:
        """Stop everything. `drain`: capture first; when every stream is finished, the rest in the graph's order."""
        self._stopping.set()
        self._notifier.say(STOPPING="1")
        capture = self.children.get("capture")
        if drain and capture is not None and capture.process is not None:
            await self._end([capture], _STOP_S)
            patience_s = self.config.fusion.drain_ms / 1000 + 3.0
            with contextlib.suppress(asyncio.TimeoutError, ClownfishError):
                await within(self.run_until(lambda: not self.gauge("fusion", "streams_open")), patience_s)
        order = (
            "capture", "window", "local", "filter", "uplink", "fusion", "sink", "record", "pool", "link", "worker",
            "router", "trace", "page", "metrics",
        )  # fmt: skip
        for service in order:
            await self._end([c for c in self.children.values() if c.spec.service == service], _STOP_S)
        with contextlib.suppress(asyncio.TimeoutError, ClownfishError):  # their last counters may still be on the way
            await within(self.run_until(self._all_said_goodbye), 1.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._bus is not None:
            self._bus.close(0)
        os.close(self._lock)

    def _all_said_goodbye(self) -> bool:
        """Whether the last status of every process that ended well is here."""
        well = [c for c in self.children.values() if c.process is not None and c.process.returncode == 0]
        return all(c.status is not None and c.status.state == "ended" for c in well)

    # -- processes

    async def _keep(self, child: Child) -> None:
        """Start the process, and again each time it ends."""
        backoff = Backoff(_BACKOFF_S, _MAX_BACKOFF_S)
        while not self._stopping.is_set():
            process = await self._spawn(child)
            code = await process.wait()
            child.ready.clear()
            if self._stopping.is_set():
                return
            reason = f"signal {-code}" if code < 0 else f"exit status {code}"
            if time.monotonic() - child.started > _HEALTHY_S:
                backoff.reset()
            child.restarts += 1
            if not child.ever_ready and (code == 2 or child.restarts >= _TRIES):
                words = await self._last_words(child)
                if not (self._keep_going and child.spec.service in _ASIDE):
                    what = "cannot start" if code == 2 else f"ended {_TRIES} times before it was ready"
                    self._fail(f"{child.spec.process} {what}: {words}")
                    return
                reason = f"{reason}: {words}"
                child.settled.set()
            self._log.warning("process ended, starting it again", process=child.spec.process, reason=reason)
            await asyncio.sleep(backoff.next_s())

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        service = f"services.{child.spec.service}"
        command = [*self._launch(child.spec), sys.executable, "-m", service, "--config", str(self._config_file)]
        if child.spec.name:
            command += ["--name", child.spec.name]
        environment = {
            # CLOWNFISH__…: they are in the file already
            **{k: v for k, v in os.environ.items() if not k.startswith("CLOWNFISH__") and k not in VARIABLES},
            SUPERVISOR_VARIABLE: str(os.getpid()),
            # Threads that only wait get no heap of their own: a third less memory for each process.
            "MALLOC_ARENA_MAX": "2",
        }
        if self.config.streams and child.spec.service in _GIVE_WAY:
            environment[NICE_VARIABLE] = _NICE
        log = None
        if self._log_dir is not None:
            log = (self._log_dir / f"{child.spec.process}.log").open("ab")
        try:
            # A session of its own, so that Ctrl-C reaches the supervisor alone, which drains the graph in order.
            child.process = await asyncio.create_subprocess_exec(
                *command, env=environment, start_new_session=True, stdin=asyncio.subprocess.DEVNULL, stderr=log
            )
        finally:
            if log is not None:
                log.close()
        child.started = time.monotonic()
        child.heard = child.heard or child.started
        return child.process

    async def _end(self, children: list[Child], patience_s: float) -> None:
        running = [c.process for c in children if c.process is not None and c.process.returncode is None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        if running:
            _, late = await asyncio.wait([asyncio.ensure_future(p.wait()) for p in running], timeout=patience_s)
            for process in running:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
            if late:
                await asyncio.wait(late)

    def kill_all(self) -> None:
        """The second Ctrl-C."""
        for child in self.children.values():
            if child.process is not None and child.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.process.kill()

    # -- what they say

    async def _listen(self, inbox: Any) -> None:
        async for status in inbox:
            child = self.children.get(status.service)
            if child is None or child.process is None or status.pid != child.process.pid:
                continue
            child.status, child.heard = status, time.monotonic()
            self._watch.publish(status)
            if status.state == "failed":
                child.failure = status.text
                child.failed.set()
            if status.state == "ready" and not child.ready.is_set():
                if not child.ever_ready:
                    child.ready_s = time.monotonic() - child.started
                child.ever_ready = True
                child.ready.set()
                child.settled.set()
            self.on_status()

    async def _judge_for_ever(self) -> None:
        """Once a second, or as often as systemd wants to hear of us: say how the graph fares."""
        pause_s = min(1.0, (self._notifier.watchdog_s or 3.0) / 3)
        while True:
            now = time.monotonic()
            seen = {name: child.seen(now) for name, child in self.children.items()}
            verdict = judge(seen)
            state: Any = "draining" if self._stopping.is_set() else "ready" if verdict.ready else "starting"
            restarts = {f'restarts{{process="{name}"}}': child.restarts for name, child in self.children.items()}
            text, gauges = verdict_text(verdict), verdict_gauges(seen, verdict)
            self._watch.publish(Status(SUPERVISOR, os.getpid(), state, text, restarts, gauges, {}))
            self._notifier.say(STATUS=text or "all is well", **({"READY": "1"} if self._started else {}))
            if verdict.live:
                self._notifier.feed()
            await asyncio.sleep(pause_s)

    async def _or_failure(self, work: Any) -> None:
        assert self._failed is not None  # start makes it
        task = asyncio.ensure_future(work)
        await asyncio.wait([task, self._failed], return_when=asyncio.FIRST_COMPLETED)
        if self._failed.done():
            task.cancel()
            self._failed.result()
        await task

    def _fail(self, text: str) -> None:
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(ClownfishError(text))

    async def _last_words(self, child: Child) -> str:
        with contextlib.suppress(asyncio.TimeoutError):  # its exit may overtake what it published
            await within(child.failed.wait(), 0.5)
        if child.failure:
            return child.failure
        if self._log_dir is None:
            return "its log says why"
        path = self._log_dir / f"{child.spec.process}.log"
        lines = path.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"{path} is empty"


async def _all_settled(children: list[Child]) -> None:
    for child in children:
        await child.settled.wait()
