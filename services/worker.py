"""worker: the large model in the cloud. It says READY, takes jobs as its credit allows, and answers each.

Jobs of whatever streams are decoded one by one, in a thread beside the model's, and run in batches (`batching`).
Signs of life come from the loop that does the work, with the number of jobs done: a worker that hangs in its model
shows no progress, the router gives its windows to another, and takes it back when its model has returned.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import time
from functools import partial
from importlib.util import find_spec

import numpy as np

from clownfish.batching import Batcher, Held
from clownfish.bus import Credentials, Dealer, credentials, fresh_routing_id
from clownfish.codecs import CODECS, ON_THE_WIRE
from clownfish.codecs.base import RunCodec
from clownfish.codecs.runs import as_run_codec, decode_job
from clownfish.errors import ClownfishError, ConfigError, ModelError
from clownfish.messages import Pixels, Vector
from clownfish.models.base import WindowModel
from clownfish.models.batch import batch_size, infer_each
from clownfish.models.load import load_model
from clownfish.process import Process, run
from clownfish.protocol import Again, Done, Goodbye, Job, Progress, Pulse, Ready, Refused
from clownfish.sources.windows import calibration_windows
from clownfish.within import within

_PROGRESS_S = 0.5
_RETRY_S, _TROUBLE_S = 0.1, 2.0
_SILENCE_S = 3.0
"""Without a Pulse for this long the socket is replaced: the router may have given up its address."""
_DRAIN_S = 2.5
"""How long a worker that is told to end works on at its batch: `process.DRAIN_S` is the end of it."""
_HUNG_S = 60.0
"""A model that is still at a batch this long after the router gave it up never returns: only a new process helps."""

_Held = Held[Job, tuple[list[Pixels], float]]
"""Prepared: the window's frames, and the seconds that decoding took."""


_Outcome = tuple[list[Vector | str], float]
"""What a batch gave: each window's probabilities, or why it has none; and the seconds that it took."""

_Answer = tuple[_Held, Vector | str, float]
"""One job of it."""


class _SocketOver(Exception):
    """Ends one socket's tasks; the next one introduces itself again."""


class _Worker:
    def __init__(self, process: Process, name: str, model: WindowModel, curve: Credentials | None) -> None:
        settings = process.config.worker
        assert settings is not None  # serve has checked it
        self._process = process
        self._settings = settings
        self._curve = curve
        self._name = name
        self._model = model
        size = settings.batch or batch_size(model)
        self._credit = settings.credit or 2 * size
        self._batcher: Batcher[Job, tuple[list[Pixels], float]]
        self._batcher = Batcher(size, settings.batch_wait_ms / 1000, self._credit)
        self._decoder = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._codecs: dict[str, RunCodec] = {}
        self._running: tuple[list[_Held], asyncio.Future[_Outcome]] | None = None
        """The batch in work."""
        self._dealer: Dealer | None = None
        """Whom answers go to; None while there is no router."""
        self._done = 0
        self._heard = 0.0
        self._came = asyncio.Event()
        """Set when a job has come."""
        self._changed = asyncio.Event()
        """Set when the next batch may look different."""
        self._idle = asyncio.Event()
        """Set while no batch is in work."""
        self._idle.set()
        process.before_status(lambda: process.counters.set("decoded", self._batcher.ready))

    # -- the router

    async def sockets(self) -> None:
        """One socket after the other, for ever."""
        while True:
            await self._free()
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
                if self._dealer is not None:
                    await self._drain(dealer)
                raise
            finally:
                self._dealer = None
                self._batcher.clear()  # the router gives them to another
                dealer.close(linger_ms=200)
            await asyncio.sleep(_RETRY_S)

    async def _drain(self, dealer: Dealer) -> None:
        """Answers the batch in work, if it returns in time; everything else is another's at once."""
        dealer.try_send(Goodbye(self._name, tuple(self._batcher.in_work)))
        if self._running is None:
            return
        batch, running = self._running
        try:
            self._answer(self._finish(batch, await within(asyncio.shield(running), _DRAIN_S)))
        except asyncio.TimeoutError:
            dealer.try_send(Goodbye(self._name))

    async def _free(self) -> None:
        """Until the model can take a new job. Raises ModelError where it never will."""
        try:
            await within(self._idle.wait(), _HUNG_S)
        except asyncio.TimeoutError:
            raise ModelError(
                f"the model has not returned from a batch for more than {_HUNG_S:g} s: this process begins anew"
            ) from None

    async def _hold(self, dealer: Dealer) -> None:
        await self._introduce(dealer)
        await self._process.run_together(self._hear(dealer), self._beat(dealer))

    async def _end_in_trouble(self, dealer: Dealer) -> None:
        why = await dealer.trouble()
        self._process.counters.add("handshakes_failed")
        if self._process.text != why:
            self._process.log.error("no way to the router", reason=why)
            self._process.say("ready", why)
        await asyncio.sleep(_TROUBLE_S)
        raise _SocketOver(why)

    async def _introduce(self, dealer: Dealer) -> None:
        self._batcher.clear()
        self._done = 0
        model = self._model
        await dealer.put(Ready(self._name, model.name, model.classes, self._credit))
        self._dealer, self._heard = dealer, time.monotonic()

    async def _hear(self, dealer: Dealer) -> None:
        async for message in dealer:
            self._heard = time.monotonic()
            if isinstance(message, Job):
                self._batcher.add(message.job, message, self._heard + message.deadline_ms / 1000, self._heard)
                self._came.set()
            elif isinstance(message, Again):
                if self._batcher.busy:  # it may hang: whoever is READY is given jobs
                    raise _SocketOver(f"{message.reason}; the model is still at work")
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

    def _tell(self, job: int, p: Vector | None, model_ms: float, error: str = "") -> None:
        self._done += 1
        if self._dealer is not None:
            self._dealer.try_send(Done(job, np.empty(0, np.float32) if p is None else p, model_ms, error[:1000]))

    # -- the work

    async def prepare(self) -> None:
        """Decodes what has come, job by job, while the model works on what was decoded before."""
        loop = asyncio.get_running_loop()
        while True:
            held = self._batcher.next_raw()
            if held is None:
                self._came.clear()
                await self._came.wait()
                continue
            try:
                ready = await loop.run_in_executor(self._decoder, self._decode, held.raw)
            except ClownfishError as bad:
                self._process.counters.add('dropped{reason="undecodable"}')
                if self._batcher.unreadable(held):
                    self._tell(held.job, None, 0.0, str(bad))
            else:
                self._batcher.prepared(held, ready)
            self._changed.set()

    async def infer(self) -> None:
        """Runs batch after batch. The next begins before the answers of the last one leave."""
        last: list[_Answer] = []
        while True:
            taken = self._batcher.take(time.monotonic())
            if taken.batch:
                self._idle.clear()
                windows = [held.ready[0] for held in taken.batch if held.ready is not None]
                self._running = taken.batch, asyncio.ensure_future(self._process.in_thread(self._run, windows))
                await asyncio.sleep(0)  # it begins
            for job in taken.expired:
                self._process.counters.add('dropped{reason="expired"}')
                self._tell(job, None, 0.0, "expired")
            self._answer(last)
            last = []
            if self._running is not None:
                batch, running = self._running
                last = self._finish(batch, await asyncio.shield(running))
            else:
                await self._change()

    async def _change(self) -> None:
        """Until there is something to decide."""
        due = self._batcher.next_timer()
        with contextlib.suppress(asyncio.TimeoutError):
            await within(self._changed.wait(), None if due is None else max(0.0, due - time.monotonic()))
        self._changed.clear()

    def _run(self, windows: list[list[Pixels]]) -> _Outcome:
        begin = time.monotonic()
        answers = infer_each(self._model, windows)
        return answers, time.monotonic() - begin

    def _finish(self, batch: list[_Held], outcome: _Outcome) -> list[_Answer]:
        """The batch has run; what is to be told to those that still wait."""
        answers, model_s = outcome
        wanted = self._batcher.finished(time.monotonic())
        self._running = None
        self._idle.set()
        counters = self._process.counters
        counters.add("batches")
        counters.add(f'batch_size{{jobs="{_size_class(len(batch))}"}}')
        counters.add('dropped{reason="unwanted"}', len(batch) - len(wanted))
        self._process.histogram("model").add(model_s * 1e9)
        return [(held, answer, model_s) for held, answer in zip(batch, answers, strict=True) if held in wanted]

    def _answer(self, outcome: list[_Answer]) -> None:
        for held, answer, model_s in outcome:
            assert held.ready is not None
            self._process.histogram("job").add((held.ready[1] + model_s) * 1e9)
            if isinstance(answer, str):
                self._process.counters.add('dropped{reason="failed"}')
                self._tell(held.job, None, model_s * 1000, answer)
            else:
                self._process.counters.add("jobs_done")
                self._tell(held.job, answer, model_s * 1000)

    def _decode(self, job: Job) -> tuple[list[Pixels], float]:
        begin = time.monotonic()
        frames = decode_job(job, self._codec)
        if len(frames) != self._model.window_size:
            raise ConfigError(f"{len(frames)} frames in a window; this model expects {self._model.window_size}")
        return frames, time.monotonic() - begin

    def _codec(self, kind: str) -> RunCodec:
        """Loaded when a job first names it: some need a library that only those who use them have."""
        if kind not in self._codecs:
            if kind not in ON_THE_WIRE:  # never module:attribute, which would import what a peer names
                raise ConfigError(f"unknown codec {kind[:40]!r}; known: {', '.join(sorted(ON_THE_WIRE))}")
            self._codecs[kind] = as_run_codec(CODECS.get(kind)())
        return self._codecs[kind]


def _size_class(jobs: int) -> str:
    """1, 2, 3-4, 5-8 …: few names, whatever the batch."""
    top = 1 << (jobs - 1).bit_length()
    return str(top) if top <= 2 else f"{top // 2 + 1}-{top}"


async def serve(process: Process) -> None:
    settings = process.config.worker
    if settings is None:
        raise ConfigError("[worker] is missing")
    curve = credentials("worker", settings.key, settings.router_key, (settings.router,), settings.insecure)
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
    worker = _Worker(process, process.service, model, curve)
    with contextlib.suppress(asyncio.CancelledError):
        await process.run_together(worker.sockets(), worker.prepare(), worker.infer())


if __name__ == "__main__":
    run("worker", serve)
