"""sink: writes answers, or the events in them, to one place. Each configured sink is a process of its own, so that none
can slow the edge; where it writes events it makes them itself, of all revisions of the answers."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from clownfish.errors import ConfigError, SinkError
from clownfish.kept_events import KeptEvents
from clownfish.lineup import Lineup
from clownfish.messages import End, Frame, FusedResult
from clownfish.process import Process, run
from clownfish.settings import SinkSection
from clownfish.sinks import SINKS
from clownfish.sinks.base import Counting, Item, Running, Sink, SinkContext, StreamInfo, Watching, wanted
from clownfish.sources import is_live
from clownfish.zoo import read_classes

T = TypeVar("T")

_SETTLE_S, _SETTLES = 0.1, 5
_DRAIN_S = 1.0


def context_of(process: Process, section: SinkSection) -> SinkContext:
    """What the configuration says, as far as a sink is concerned."""
    config = process.config
    return SinkContext(
        name=section.name,
        edge=config.uplink.edge if config.uplink is not None else "edge",
        streams=_Streams(process.lineup, config.capture.fps),
        size=config.window.size,
        stride=config.window.stride,
        classes=read_classes(config.local.model) if config.local is not None else (),
        background=config.events.background,
        behind=config.fusion.horizon,
        mode=section.mode,
        state_folder=config.state_dir(),
        tell=process.log.warning,
    )


class _Streams(Mapping[str, StreamInfo]):
    """Those of now, as sinks know them."""

    def __init__(self, lineup: Lineup, live_fps: float) -> None:
        """`live_fps`: what live sources are brought to."""
        self._lineup = lineup
        self._live_fps = live_fps

    def __getitem__(self, name: str) -> StreamInfo:
        stream = self._lineup.get(name)
        if stream is None:
            raise KeyError(name)
        fps = self._live_fps if is_live(stream.source) else stream.fps
        return StreamInfo(stream.source, fps, stream.loop, stream.seconds)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lineup.streams)

    def __len__(self) -> int:
        return len(self._lineup.streams)


class _Sink:
    def __init__(self, process: Process, section: SinkSection) -> None:
        config = process.config
        self._process = process
        self._mode = section.mode
        factory: Any = SINKS.get(section.sink.kind)
        wants_context = "context" in inspect.signature(factory).parameters
        context = context_of(process, section)
        given = {"context": context} if wants_context else {}
        self.sink: Sink = section.sink.build(SINKS, **given)
        folder = context.state_folder / "events" / section.name
        self._events = None
        if section.what == "events":
            self._events = KeptEvents(config, process.run_dir, folder, process.lineup.get)
            if self._events.damaged:
                process.state_lost("events", folder)
        allowed = (FusedResult, End, Frame) if isinstance(self.sink, Watching) else (FusedResult, End)
        hwm = 250 if isinstance(self.sink, Watching) else 1000
        self._inbox = process.bus.inbox(config.ipc(f"sink-{section.name}"), "results", allowed, hwm=hwm)
        self._failing = False
        self._taken = 0
        process.before_status(self._count)

    async def take(self) -> None:
        async for message in self._inbox:
            self._taken += 1
            if isinstance(message, Frame):
                if isinstance(self.sink, Watching):
                    self._attempt(self.sink.frame, message)
                continue
            if self._events is None:
                if isinstance(message, FusedResult):
                    self._write(message)
            else:
                events = self._events.of(message)
                for event in events:
                    self._process.counters.add(f'events{{state="{event.state}"}}')
                    self._write(event)
                self._events.keep(message, bool(events))
            if isinstance(message, End):
                self._attempt(self.sink.end, message)
                self._process.counters.add("streams_ended")
                self._process.publish()

    async def settle(self) -> None:
        """Wait until nothing more is on its way, a moment at most."""
        for _ in range(_SETTLES):
            before = self._taken
            await asyncio.sleep(_SETTLE_S)
            if self._taken == before:
                return

    def _write(self, item: Item) -> None:
        if wanted(self._mode, item) and self._attempt(self.sink.write, item):
            self._process.counters.add("written")

    def _attempt(self, act: Callable[[T], None], argument: T) -> bool:
        """Do it; False, and counted, where the sink cannot."""
        try:
            act(argument)
        except SinkError as error:
            self._process.counters.add('dropped{reason="sink"}')
            if not self._failing:
                self._failing = True
                self._process.log.error("results are lost until this works again", error=str(error))
            return False
        self._failing = False
        return True

    def close(self) -> None:
        """Safe to call twice."""
        if self._events is not None:
            self._events.close()
        with contextlib.suppress(SinkError):  # it counted what it could not write
            self.sink.close()

    def _count(self) -> None:
        if isinstance(self.sink, Counting):
            self._process.counters.mirror(self.sink.counts)
            for name, value in self.sink.gauges().items():
                self._process.counters.set(name, value)
        if self._events is not None:
            self._process.counters.mirror(self._events.counts)
            self._process.counters.set("epochs_open", self._events.open)


async def serve(process: Process) -> None:
    config, name = process.config, process.arguments.name
    section = next((sink for sink in config.sinks if sink.name == name), None)
    if section is None:
        known = ", ".join(sink.name for sink in config.sinks) or "none"
        raise ConfigError(f"--name {name!r}: no such sink in [[sinks]]; known: {known}")
    service = _Sink(process, section)
    sink = service.sink
    works = [process.spawn(service.take())]
    if isinstance(sink, Running):
        works.append(process.spawn(sink.run()))
    process.ready(section.sink.kind)
    try:
        done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        for work in done:
            work.result()
    finally:
        await service.settle()
        if isinstance(sink, Running):
            await sink.drain(_DRAIN_S)
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        service.close()
        process.publish()


if __name__ == "__main__":
    run("sink", serve)
