"""worker: the large model in the cloud. It says READY, takes jobs as its credit allows, and answers each.

Signs of life come from the loop that does the work, with the number of jobs done: a worker that hangs in its model
shows no progress, and the router gives its windows to another.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from importlib.util import find_spec

import numpy as np

from clownfish.bus import Dealer, credentials, fresh_routing_id
from clownfish.codecs import CODECS, ON_THE_WIRE
from clownfish.codecs.base import RunCodec
from clownfish.codecs.runs import as_run_codec, decode_job
from clownfish.errors import ClownfishError, ConfigError
from clownfish.messages import Vector
from clownfish.models.base import WindowModel
from clownfish.models.load import load_model
from clownfish.process import Process, run
from clownfish.protocol import Again, Done, Goodbye, Job, Progress, Pulse, Ready, Refused
from clownfish.sources.windows import calibration_windows

_PROGRESS_S = 0.5
_RETRY_S, _TROUBLE_S = 0.1, 2.0
_SILENCE_S = 3.0
"""Without a Pulse for this long the socket is replaced: the router may have given up its address."""


class _SocketOver(Exception):
    """Ends one socket's tasks; the next one introduces itself again."""


class _Worker:
    def __init__(self, process: Process, name: str, model: WindowModel) -> None:
        settings = process.config.worker
        assert settings is not None  # serve has checked it
        self._process = process
        self._settings = settings
        self._curve = credentials(settings.key, settings.router_key)
        self._name = name
        self._model = model
        self._jobs: asyncio.Queue[tuple[Job, float]] = asyncio.Queue()
        self._done = 0
        self._heard = 0.0
        self._codecs: dict[str, RunCodec] = {}

    async def sockets(self) -> None:
        """One socket after the other, for ever."""
        while True:
            dealer = self._process.bus.dealer(
                self._settings.router,
                "router",
                (Job, Pulse, Refused, Again),
                routing_id=fresh_routing_id(),
                large=True,
                curve=self._curve,
            )
            try:
                await self._process.run_together(self._hold(dealer), self._end_in_trouble(dealer))
            except _SocketOver as over:
                self._process.log.info("connecting anew", reason=str(over))
            except asyncio.CancelledError:
                dealer.try_send(Goodbye(self._name))
                raise
            finally:
                dealer.close(linger_ms=200)
            await asyncio.sleep(_RETRY_S)

    async def _hold(self, dealer: Dealer) -> None:
        await self._introduce(dealer)
        await self._process.run_together(self._hear(dealer), self._beat(dealer), self._work(dealer))

    async def _end_in_trouble(self, dealer: Dealer) -> None:
        why = await dealer.trouble()
        self._process.counters.add("handshakes_failed")
        if self._process.text != why:
            self._process.log.error("no way to the router", reason=why)
            self._process.say("ready", why)
        await asyncio.sleep(_TROUBLE_S)
        raise _SocketOver(why)

    async def _introduce(self, dealer: Dealer) -> None:
        while not self._jobs.empty():
            self._jobs.get_nowait()  # they were the last socket's; the router has given them to another
        self._done = 0
        model = self._model
        await dealer.put(Ready(self._name, model.name, model.classes, self._settings.credit))
        self._heard = time.monotonic()

    async def _hear(self, dealer: Dealer) -> None:
        async for message in dealer:
            self._heard = time.monotonic()
            if isinstance(message, Job):
                self._jobs.put_nowait((message, self._heard + message.deadline_ms / 1000))
            elif isinstance(message, Again):
                self._process.log.info("introduced again", reason=message.reason)
                await self._introduce(dealer)
            elif isinstance(message, Refused):
                self._process.log.error("this worker is of no use here", reason=message.reason)
                self._process.say("ready", message.reason)

    async def _beat(self, dealer: Dealer) -> None:
        while time.monotonic() - self._heard < _SILENCE_S:
            dealer.try_send(Progress(self._name, self._done))
            await asyncio.sleep(_PROGRESS_S)
        raise _SocketOver("the router says nothing any more")

    async def _work(self, dealer: Dealer) -> None:
        while True:
            job, deadline = await self._jobs.get()
            begin = time.monotonic()
            p: Vector = np.empty(0, np.float32)
            error = ""
            if begin >= deadline:
                error = "expired"
                self._process.counters.add('dropped{reason="expired"}')
            else:
                try:
                    p = await self._process.in_thread(self._answer, job)
                    self._process.counters.add("jobs_done")
                except ClownfishError as bad:
                    error = str(bad)[:1000]
                    self._process.counters.add('dropped{reason="undecodable"}')
            model_ms = (time.monotonic() - begin) * 1000
            self._process.histogram("job").add(model_ms * 1e6)
            self._done += 1
            dealer.try_send(Done(job.job, p, model_ms, error))

    def _answer(self, job: Job) -> Vector:
        frames = decode_job(job, self._codec)
        if len(frames) != self._model.window_size:
            raise ConfigError(f"{len(frames)} frames in a window; this model expects {self._model.window_size}")
        p: Vector = self._model.infer([frames]).p[0]
        return p

    def _codec(self, kind: str) -> RunCodec:
        """Loaded when a job first names it: some need a library that only those who use them have."""
        if kind not in self._codecs:
            if kind not in ON_THE_WIRE:  # never module:attribute, which would import what a peer names
                raise ConfigError(f"unknown codec {kind[:40]!r}; known: {', '.join(sorted(ON_THE_WIRE))}")
            self._codecs[kind] = as_run_codec(CODECS.get(kind)())
        return self._codecs[kind]


async def serve(process: Process) -> None:
    settings = process.config.worker
    if settings is None:
        raise ConfigError("[worker] is missing")
    process.log.info("loading", model=settings.model)
    capture, source = process.config.capture, settings.calibration
    calibration = partial(calibration_windows, source, capture.width, capture.height) if source else None
    model = await process.in_thread(
        load_model, settings.model, settings.device, settings.precision, settings.engine, calibration
    )
    if find_spec("av") is None:
        process.log.warning(
            "windows that an edge codes as h264, as it does where it has PyAV and is told nothing else, cannot be "
            "decoded here: pip install 'clownfish[video]', or give the edges [uplink] codec = { kind = \"jpeg\" }"
        )
    process.ready(f"{model.name}, {len(model.classes)} classes")
    with contextlib.suppress(asyncio.CancelledError):
        await _Worker(process, process.service, model).sockets()


if __name__ == "__main__":
    run("worker", serve)
