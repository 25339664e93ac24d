"""fusion: fuses local and remote answers, and corrects what it said when a late one comes (FUSE and REINFORCE, §IV)."""

from __future__ import annotations

import asyncio
import time

from clownfish.fused_streams import FusedStreams
from clownfish.fusions import build_fusion
from clownfish.fusions.base import FusionMethod
from clownfish.gains import STREAMS, Gains
from clownfish.messages import End, Event, FusedResult, LocalResult, RemoteResult, StreamKey
from clownfish.notes import Notes
from clownfish.process import Process, every, run
from clownfish.recording import BEGAN
from clownfish.sinks.base import wanted
from clownfish.tracer import Tracer
from clownfish.watermarks import BUFFER_BYTES, Watermarks
from clownfish.zoo import read_classes

_LAGS = 16
"""Lags counted one by one; longer ones together."""


class _Fusion:
    def __init__(self, process: Process) -> None:
        config = process.config
        section = config.fusion
        classes = read_classes(config.local.model) if config.local else ()
        self._notes = notes = Notes(process)

        def make(key: StreamKey) -> FusionMethod:
            return build_fusion(section, stream=key.stream, epoch=key.epoch, classes=classes)

        def begin(key: StreamKey) -> FusionMethod:
            notes.take([Event(*key, 0, BEGAN, time.monotonic(), None)])
            return make(key)

        make(StreamKey("", 0))  # a method that cannot be built shows now, not with the first window
        self._streams = FusedStreams(
            begin,
            size=config.window.size,
            stride=config.window.stride,
            remote=config.uplink is not None,
            drain_s=section.drain_ms / 1000,
            watermarks=Watermarks(process.mapped("watermarks", BUFFER_BYTES)),
        )
        self._tracer = Tracer(process)
        self._gains = Gains(process.lineup.streams, process.counters)
        self._own = process.lineup.own
        self._process = process
        self._local = process.bus.inbox(config.ipc("fusion-local"), "local", (LocalResult, End), hwm=256)
        self._remote = process.bus.inbox(config.ipc("fusion-remote"), "remote", (RemoteResult, End), hwm=256)
        self._sinks = [
            # events are made of all revisions, whichever of the events the sink wants
            (
                process.bus.outbox(config.ipc(f"sink-{sink.name}"), f"sink-{sink.name}", hwm=1000),
                sink.mode if sink.what == "results" else "revisions",
            )
            for sink in config.sinks
        ]
        self.wake = asyncio.Event()
        process.before_status(self._count)
        process.before_status(self._follow)
        process.lineup.follow(self._follow)

    def _count(self) -> None:
        self._process.counters.mirror(self._streams.counts)
        self._process.counters.set("streams_open", self._streams.open)

    def _follow(self) -> None:
        """Streams come and go; one that was removed has its figures until its last epoch is finished."""
        lineup = self._process.lineup
        gone = sorted(self._streams.names - lineup.streams.keys())
        self._own = lineup.own | frozenset(gone[: STREAMS - len(lineup.own)])
        self._gains.follow(self._own)

    def _know(self, stream: str) -> None:
        """One that is new has figures of its own from its first window on."""
        if stream not in self._own:
            self._process.lineup.get(stream)
            self._follow()

    async def take_local(self) -> None:
        async for message in self._local:
            now = time.monotonic()
            if isinstance(message, End):
                await self._emit(self._streams.local_end(message, now))
                continue
            before = self._streams.rejected
            answers = self._streams.local(message, now)
            self._know(message.stream)
            self._gains.local(message, answers)
            await self._emit(answers, message if self._streams.rejected == before else None)
            if self._streams.rejected == before:
                self._tracer.say(message.key, "fused", message.capture_ns / 1e9)
            latency_ns = time.monotonic_ns() - message.capture_ns
            self._process.histogram("capture_to_fused").add(latency_ns)
            self._process.histogram("graph_overhead").add(latency_ns - message.model_ns)

    async def take_remote(self) -> None:
        async for message in self._remote:
            now = time.monotonic()
            if isinstance(message, End):
                await self._emit(self._streams.remote_end(message, now))
                continue
            before, unused = self._streams.rejected, self._streams.unused
            revised = self._streams.remote(message, now)
            if self._streams.unused == unused:
                self._know(message.stream)
                lag = self._gains.remote(message, revised)
                self._tracer.say(message.key, "applied", lag)
            await self._emit(revised, message if self._streams.rejected == before else None)

    async def timer(self) -> None:
        await self._emit(self._streams.timer(time.monotonic()))

    def next_timer(self) -> float | None:
        return self._streams.next_timer()

    async def finish(self) -> None:
        await self._emit(self._streams.finish())

    async def _emit(self, messages: list[FusedResult | End], taken: LocalResult | RemoteResult | None = None) -> None:
        """Give the sinks what came of `taken`, which a machine took, or of an end or the clock."""
        self._notes.take(messages if taken is None else [taken, *messages])
        self._gains.close(messages)
        self.wake.set()
        self._count()  # at once: a count that waits for the next status dies with the process
        for message in messages:
            if isinstance(message, FusedResult):
                self._count_result(message)
            for outbox, mode in self._sinks:
                if isinstance(message, End):
                    await outbox.insist(message, patience_s=0.2)
                elif wanted(mode, message):
                    outbox.try_send(message)
            if isinstance(message, End):
                self._process.publish()

    def _count_result(self, result: FusedResult) -> None:
        add = self._process.counters.add
        if result.revision == 0:
            add("windows_answered")
            add(f'answers{{source="{result.source}"}}')
        elif not result.final:
            add("revisions")
        if result.source == "remote" and not result.final and result.lag is not None:
            add(f'lag{{windows="{result.lag if result.lag < _LAGS else f"{_LAGS}+"}"}}')


async def serve(process: Process) -> None:
    service = _Fusion(process)
    process.ready()
    try:
        await process.run_together(
            service.take_local(), service.take_remote(), every(service.next_timer, service.wake, service.timer)
        )
    finally:
        await service.finish()


if __name__ == "__main__":
    run("fusion", serve)
