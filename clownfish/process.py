"""The life of one service process: start, lock, signals, status once a second, drain, close (layer 2).

A service is a coroutine `serve(process)`. It runs until it returns, fails, or is cancelled by the first SIGTERM or
SIGINT; what it must still say it says in its `finally`. A second signal, or a drain that takes too long, ends it.
Exit status: 0 done, 2 what a user can mend (the log says what), 1 a bug.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import contextlib
import ctypes
import fcntl
import glob
import math
import mmap
import os
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Literal, TypeVar

from clownfish import log as logging
from clownfish.bus import Bus
from clownfish.errors import ClownfishError, ConfigError
from clownfish.lineup import Lineup
from clownfish.messages import Status
from clownfish.metrics import BUFFER_BYTES, Counters, Histogram
from clownfish.priority import give_way
from clownfish.settings import Config, load_validated
from clownfish.within import within

T = TypeVar("T")

DRAIN_S = 3.0
"""A service that has not ended this long after the first signal is ended."""
SUPERVISOR_VARIABLE = "CLOWNFISH_SUPERVISOR"
NICE_VARIABLE = "CLOWNFISH_NICE"
STATUS_SOCKET = "status"
WATCH_SOCKET = "watch"
"""Where the supervisor publishes every status that it hears, and its own, for any number of readers."""
WORKING = "working_seconds"
"""Gauge: how long the working thread has been at what it does now, 0 when it does nothing: one that hangs shows."""
_LOCK_WAIT_S = 2.0
_PR_SET_PDEATHSIG = 1


class Process:
    """What a service has at hand."""

    def __init__(self, service: str, config: Config, arguments: argparse.Namespace) -> None:
        self.service = service
        """Name of this process in the graph: `local`, `worker-0`, `sink-answers`."""
        self.config = config
        self.arguments = arguments
        self.run_dir = private_folder(config.run_dir())
        self._lock = _lock(self.run_dir / f"{service}.lock", service)
        self.log = logging.get_logger()
        counters = self.run_dir / f"{service}.counters"
        buffer, whole = _mapped(counters, BUFFER_BYTES)
        self.counters = Counters(buffer)
        if not whole or self.counters.origin == "reset":
            self.state_lost("counters", counters)
        self.bus = Bus(self.counters.add)
        self.state: Literal["starting", "ready", "draining", "failed", "ended"] = "starting"
        self.text = ""
        self._histograms: dict[str, Histogram] = {}
        for path in self.run_dir.glob(f"{glob.escape(service)}.*.histogram"):  # of the process before, to go on from
            name = path.name[len(service) + 1 : -len(".histogram")]
            if "." not in name:  # else of a service whose name begins like this one's
                self.histogram(name)
        self.lineup = Lineup(config, getattr(arguments, "config", ""))
        """The streams of now; `config` is as it was at the start."""
        self._mirrors: list[Callable[[], None]] = [self.lineup.refresh]
        self._working_since: float | None = None
        self._threaded = False
        self._executor = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="work")
        self._tasks: set[asyncio.Task[Any]] = set()
        self._status = self.bus.outbox(config.ipc(STATUS_SOCKET), "status", hwm=4)

    def mapped(self, name: str, size_bytes: int) -> mmap.mmap:
        """A file of this service in the run folder, in memory: what is stored there outlives a killed process."""
        return self._mapped(name, self.run_dir / f"{self.service}.{name}", size_bytes)

    def kept(self, name: str, size_bytes: int) -> mmap.mmap:
        """Likewise in the state folder: it outlives a restart of the box, too, but for what a cut of power takes of it
        (half a minute, as Linux writes back). Raises ConfigError where that folder cannot be used.
        """
        folder = self.config.state_dir()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"state folder {folder}: {error.strerror}; set XDG_STATE_HOME to a folder of yours"
            ) from error
        return self._mapped(name, folder / f"{self.service}.{name}", size_bytes)

    def _mapped(self, name: str, path: Path, size_bytes: int) -> mmap.mmap:
        buffer, whole = _mapped(path, size_bytes)
        if not whole:
            self.state_lost(name.rpartition(".")[2], path)
        return buffer

    def state_lost(self, what: str, where: Path) -> None:
        """Say, and count, that state of a process before was found damaged, and that `what` begins anew."""
        self.log.warning("state was damaged and begins anew", what=what, where=str(where))
        self.counters.add(f'state_lost{{what="{what}"}}')

    def ready(self, text: str = "") -> None:
        """Say that the service does its work now."""
        self.say("ready", text)
        self.log.info("ready", **({"note": text} if text else {}))

    def say(self, state: Literal["starting", "ready", "draining", "failed"], text: str) -> None:
        """Publish a change of state at once."""
        self.state, self.text = state, text
        self.publish()

    def publish(self) -> None:
        """Counters, gauges and histograms as they are now, to whoever watches."""
        for mirror in self._mirrors:
            mirror()
        if self._threaded:
            since = self._working_since
            self.counters.set(WORKING, 0.0 if since is None else time.monotonic() - since)
        self._status.try_send(
            Status(
                service=self.service,
                pid=os.getpid(),
                state=self.state,
                text=self.text,
                counters=self.counters.as_dict(),
                gauges=self.counters.gauges(),
                histograms={name: histogram.as_dict() for name, histogram in self._histograms.items()},
            )
        )

    def histogram(self, name: str) -> Histogram:
        """The latency histogram called `name`, in nanoseconds. Like a counter it outlives the process."""
        if name not in self._histograms:
            mapped = self.mapped(f"{name}.histogram", Histogram.BUFFER_BYTES)
            self._histograms[name] = Histogram(buffer=mapped)
        return self._histograms[name]

    def before_status(self, mirror: Callable[[], None]) -> None:
        """Call `mirror` before each status, to copy a machine's counts into the counters."""
        self._mirrors.append(mirror)

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run `work` in this process's one working thread, with the loop free."""

        def timed() -> T:
            self._working_since = time.monotonic()
            try:
                return work(*arguments)
            finally:
                self._working_since = None

        self._threaded = True
        return await asyncio.get_running_loop().run_in_executor(self._executor, timed)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run beside `serve`; when it fails the process does."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        return task

    async def run_together(self, *works: Coroutine[Any, Any, None]) -> None:
        """Run all until one fails, or all are done; then cancel the rest."""
        tasks = [self.spawn(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.difference_update(tasks)  # what ended it is remembered nowhere: sessions come and go for years

    async def _publish_each_second(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.publish()

    async def close(self) -> None:
        """Cancel what runs beside, publish a last status, close sockets. Unsent messages get half a second."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.state != "failed":
            self.state = "ended"
        self.publish()
        self.bus.close(linger_ms=500)


async def every(
    next_timer: Callable[[], float | None], wake: asyncio.Event, fire: Callable[[], Awaitable[None]]
) -> None:
    """Drive a machine's clock: call `fire` when its next timer is due. Set `wake` when that may have come closer."""
    while True:
        due = next_timer()
        timeout = None if due is None else max(0.0, due - time.monotonic())
        with contextlib.suppress(asyncio.TimeoutError):
            await within(wake.wait(), timeout)
        await fire()
        wake.clear()  # whatever was set meanwhile, next_timer sees it: nothing is awaited in between


class Alarm:
    """`every` where events are many: `look` after each one costs a comparison, not a turn of a task.

    `fire` may be called when nothing is due: the machine decides.
    """

    def __init__(self, next_timer: Callable[[], float | None], fire: Callable[[], None]) -> None:
        self._next_timer = next_timer
        self._fire = fire
        self._due = math.inf
        self._handle: asyncio.TimerHandle | None = None
        self._rung = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                self.look()
                await self._rung.wait()
                self._rung.clear()
                self._due = math.inf
                self._fire()
        finally:
            self._set(math.inf)

    def look(self) -> None:
        """The next timer may have come closer."""
        due = self._next_timer()
        if due is not None and due < self._due:
            self._set(due)

    def _set(self, due: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._due = due
        if due < math.inf:
            self._handle = asyncio.get_running_loop().call_later(max(0.0, due - time.monotonic()), self._rung.set)


def run(service: str, serve: Callable[[Process], Awaitable[None]]) -> None:
    """Entry point of `python -m services.NAME`. Does not return."""
    parser = argparse.ArgumentParser(prog=f"python -m services.{service}")
    parser.add_argument("--config", required=True, help="TOML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one value")
    parser.add_argument("--name", default="", help="which one, where there are several (a sink's or worker's)")
    arguments = parser.parse_args()
    name = f"{service}-{arguments.name}" if arguments.name else service
    logging.configure(name)
    try:
        config = _load(Path(arguments.config), arguments.set)
        logging.configure(name, config.log.format, config.log.level)
        _follow_supervisor()
        if nice := os.environ.get(NICE_VARIABLE):
            give_way(int(nice))
        most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # a router has two for each edge
        with contextlib.suppress(ImportError):
            import uvloop

            uvloop.install()
        code = asyncio.run(_live(name, config, arguments, serve))
    except ClownfishError as error:
        logging.get_logger().error("cannot go on", error=str(error))
        code = 2
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a model or a camera that hangs in its thread must not keep the process alive


def _load(path: Path, sets: list[str]) -> Config:
    if path.suffix == ".json":  # the supervisor's, validated
        return load_validated(path)
    from clownfish.config import load_config  # pydantic: a fifth of a small process's memory

    return load_config(path, sets)


async def _live(
    name: str, config: Config, arguments: argparse.Namespace, serve: Callable[[Process], Awaitable[None]]
) -> int:
    process = Process(name, config, arguments)
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(serve(process))

    def stop() -> None:
        if process.state == "draining":
            os._exit(1)
        process.say("draining", "")
        loop.call_later(DRAIN_S, os._exit, 1)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    process.spawn(process._publish_each_second())
    process.publish()
    try:
        await task
    except asyncio.CancelledError:
        pass
    except ClownfishError as error:
        process.log.error("cannot go on", error=str(error))
        process.say("failed", str(error))
        await process.close()
        return 2
    except Exception as error:
        process.log.exception("bug")
        process.say("failed", f"{type(error).__name__}: {error}")
        await process.close()
        return 1
    await process.close()
    return 0


def private_folder(path: Path) -> Path:
    """Make the run folder, mode 0700. Raises ConfigError where it is somebody else's or open to others."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError as error:
        raise ConfigError(f"run folder {path}: {error}; set graph.run_dir to a folder of yours") from error
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigError(
            f"run folder {path} belongs to user {status.st_uid} with mode {status.st_mode & 0o777:o}; expected user "
            f"{os.getuid()} and mode 700, or others could speak to the graph: chmod 700, or set graph.run_dir"
        )
    return path


def _mapped(path: Path, size_bytes: int) -> tuple[mmap.mmap, bool]:
    """The file in memory, and whether it was whole: one that is cut off is filled up with zeros."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); remove it, or name another folder") from error
    try:
        found = os.fstat(descriptor).st_size
        if found < size_bytes:
            os.posix_fallocate(descriptor, 0, size_bytes)
        return mmap.mmap(descriptor, size_bytes), not 0 < found < size_bytes
    except OSError as error:
        raise ConfigError(
            f"{path}: no room for {size_bytes} bytes ({error}); free some, or name another folder"
        ) from error
    finally:
        os.close(descriptor)


def _lock(path: Path, service: str) -> int:
    """Hold the file's lock as long as this process lives. Waits a moment for a predecessor that is still dying."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    give_up = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except OSError:
            if time.monotonic() > give_up:
                os.close(descriptor)
                raise ConfigError(
                    f"{service} runs already in {path.parent}; stop that graph, or give this one another graph.name"
                ) from None
            time.sleep(0.05)


def _follow_supervisor() -> None:
    """End when the supervisor is gone, even if it was killed and could say nothing, and even if this process hangs."""
    supervisor = os.environ.get(SUPERVISOR_VARIABLE)
    if not supervisor or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(supervisor):  # it died before the call above
        os._exit(1)
