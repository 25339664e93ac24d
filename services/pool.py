"""pool: as many workers as the router's queue needs, on this host or in a Ray cluster.

It hears what the router says of itself once a second; `autoscale` says how many workers there should be, `crew` which
are started, drained and replaced, and `pools` where they run. Workers find the router by themselves.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable

from clownfish.autoscale import Autoscaler, Load
from clownfish.bus import is_exposed
from clownfish.crew import Crew, Instruction, Start
from clownfish.errors import ConfigError
from clownfish.messages import Status
from clownfish.pools.base import Pool, Worker
from clownfish.pools.local import LocalPool
from clownfish.process import WATCH_SOCKET, Process, every, run
from clownfish.settings import Config
from clownfish.settings import Pool as Settings

_DRAIN_S = 2.0
"""At the end all workers drain together; whoever takes longer ends with this process."""
_MISSED = ('dropped{reason="expired"}', 'dropped{reason="superseded"}')


class _Pool:
    def __init__(self, process: Process, settings: Settings, pool: Pool) -> None:
        self._process = process
        self._pool = pool
        self._scaler = Autoscaler(
            least=settings.min_workers,
            most=settings.max_workers,
            up_delay_s=settings.up_delay_ms / 1000,
            up_after_s=settings.up_after_s,
            down_load=settings.down_load,
            down_after_s=settings.down_after_s,
            cooldown_s=settings.cooldown_s,
        )
        self._crew = Crew(f"{os.urandom(2).hex()}-")  # of this process: those of one before may still be known
        self._inbox = process.bus.subscriber(process.config.ipc(WATCH_SOCKET), "watch", (Status,))
        self._workers: dict[str, Worker] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._stops: set[asyncio.Task[None]] = set()
        self._ever_ready = False
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._place = ""
        self._wake = asyncio.Event()
        process.before_status(self._count)

    def _count(self) -> None:
        counters, scaler, crew = self._process.counters, self._scaler, self._crew
        counters.mirror({"workers_started": crew.started, "workers_lost": crew.lost})
        counters.mirror({'scaled{to="more"}': scaler.ups, 'scaled{to="fewer"}': scaler.downs})
        counters.set("workers_wanted", scaler.target)
        counters.set("workers_ready", crew.count("ready"))
        counters.set("workers_starting", crew.count("starting"))
        counters.set("workers_draining", crew.count("draining"))

    async def run(self) -> None:
        """Until cancelled. Raises ConfigError where no worker can start at all for a reason that a user must mend."""
        self._place = await self._pool.open()
        self._process.log.info("pool open", place=self._place)
        try:
            self._do(self._crew.want(self._scaler.target, time.monotonic()))
            await self._process.run_together(
                self._hear(), every(self._crew.next_timer, self._wake, self._timer), self._fail()
            )
        finally:
            await self._drain()

    async def _hear(self) -> None:
        async for status in self._inbox:
            if status.service != "router" or status.state != "ready":
                continue
            gauges, counters, now = status.gauges, status.counters, time.monotonic()
            load = Load(
                int(gauges.get("waiting", 0)),
                int(gauges.get("held", 0)),
                counters.get("answered", 0),
                sum(counters.get(name, 0) for name in _MISSED),
            )
            before = self._scaler.target
            after = self._scaler.see(load, self._crew.count("ready"), now)
            if after != before:
                self._process.log.info("scaling", workers=after, before=before, waiting=load.waiting, held=load.held)
                self._do(self._crew.want(after, now))

    async def _timer(self) -> None:
        self._do(self._crew.timer(time.monotonic()))

    async def _fail(self) -> None:
        await self._failed

    def _do(self, instructions: Iterable[Instruction]) -> None:
        self._wake.set()
        for each in instructions:
            if isinstance(each, Start):
                self._workers[each.name] = self._pool.worker(each.name)
                life = self._lives[each.name] = asyncio.ensure_future(self._live(each.name))
                life.add_done_callback(self._check)
            else:
                self._process.log.info("draining a worker", worker=each.name)
                stop = asyncio.ensure_future(self._workers[each.name].stop())
                self._stops.add(stop)
                stop.add_done_callback(self._check)
        self._say()

    async def _live(self, name: str) -> None:
        """One worker, from its start to its end."""

        def on_ready(text: str) -> None:
            self._process.log.info("worker ready", worker=name, note=text)
            self._ever_ready = True
            self._crew.ready(name, time.monotonic())
            self._say()

        try:
            why = await self._workers[name].run(on_ready)
        except ConfigError as error:
            if not self._ever_ready:
                raise
            why = str(error)
        del self._workers[name], self._lives[name]
        self._process.log.info("worker ended", worker=name, reason=why)
        self._do(self._crew.ended(name, time.monotonic()))

    def _check(self, task: asyncio.Task[None]) -> None:
        """A task of a worker that failed ends this process."""
        self._stops.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)

    def _say(self) -> None:
        """Ready as soon as one worker is; a pool that may have none is at once."""
        ready, target = self._crew.count("ready"), self._scaler.target
        bounds = f"{self._scaler.least} to {self._scaler.most}"
        text = f"{ready} of {target} workers ready ({bounds}), {self._place}"
        if self._process.state == "starting" and not (self._ever_ready or target == 0):
            self._process.say("starting", text)
        elif self._process.state == "starting":
            self._process.ready(text)
        else:
            self._process.text = text

    async def _drain(self) -> None:
        self._do(self._crew.want(0, time.monotonic()))
        if self._lives:
            await asyncio.wait(list(self._lives.values()), timeout=_DRAIN_S)
        for task in (*self._lives.values(), *self._stops):
            task.cancel()
        await self._pool.close()


def make_pool(config: Config, settings: Settings) -> Pool:
    """The place of this kind. Raises ConfigError where what it needs is not installed."""
    if settings.kind == "local":
        return LocalPool(config)
    try:
        from clownfish.pools.ray import RayPool
    except ImportError as error:
        raise ConfigError(f"pool.kind 'ray' needs Ray ({error}): pip install 'clownfish[ray]'") from error
    return RayPool(config)


async def serve(process: Process) -> None:
    settings, worker = process.config.pool, process.config.worker
    if settings is None or worker is None:
        raise ConfigError("[pool] and [worker] are needed: how many workers there may be, and what they are")
    if settings.kind == "ray" and settings.address != "local" and not is_exposed(worker.router):
        process.log.warning(
            "workers on other hosts would not find the router: worker.router is an address of this host alone",
            router=worker.router,
        )
    await _Pool(process, settings, make_pool(process.config, settings)).run()


if __name__ == "__main__":
    run("pool", serve)
