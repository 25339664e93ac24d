"""sink: writes answers, or the events in them, to one place. Each configured sink is a process of its own, so that none
can slow the edge; where it writes events it makes them itself, of all revisions of the answers."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from clownfish.errors import ConfigError, SinkError
from clownfish.eventing import Clock, Events, StreamEvents
from clownfish.messages import End, Frame, FusedResult, StreamKey
from clownfish.process import Process, run
from clownfish.rates import read_rate
from clownfish.settings import Config, SinkSection
from clownfish.sinks import SINKS
from clownfish.sinks.base import Counting, Item, Running, Sink, SinkContext, StreamInfo, Watching, wanted
from clownfish.timeline import Rules
from clownfish.zoo import read_classes

T = TypeVar("T")

_SLACK = 8
"""Windows by which a closing answer may come after those of later windows: what has not come then was lost."""
_SETTLE_S, _SETTLES = 0.1, 5
_DRAIN_S = 1.0


def context_of(process: Process, section: SinkSection) -> SinkContext:
    """What the configuration says, as far as a sink is concerned."""
    config = process.config
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return SinkContext(
        name=section.name,
        graph=config.graph.name,
        edge=config.uplink.edge if config.uplink is not None else "edge",
        streams={s.name: StreamInfo(s.source, s.fps, s.loop, s.seconds) for s in config.streams},
        size=config.window.size,
        stride=config.window.stride,
        classes=read_classes(config.local.model) if config.local is not None else (),
        background=config.events.background,
        mode=section.mode,
        state_folder=state / "clownfish" / config.graph.name,
        tell=process.log.warning,
    )


def events_of(config: Config, run_dir: Path) -> Events:
    """The machine that makes events."""
    window, said = config.window, config.events

    def make(key: StreamKey) -> StreamEvents:
        stream = next((each for each in config.streams if each.name == key.stream), None)
        fps = (stream.fps if stream is not None else None) or read_rate(run_dir, key.stream)
        rules = Rules.in_seconds(
            said.background,
            said.enter,
            said.leave,
            min_s=said.min_s,
            gap_s=said.gap_s,
            window_s=window.stride / fps,
        )
        return StreamEvents(key, rules, Clock(window.size, window.stride, fps), config.fusion.horizon + _SLACK)

    return Events(make)


class _Sink:
    def __init__(self, process: Process, section: SinkSection) -> None:
        config = process.config
        self._process = process
        self._mode = section.mode
        factory: Any = SINKS.get(section.sink.kind)
        wants_context = "context" in inspect.signature(factory).parameters
        given = {"context": context_of(process, section)} if wants_context else {}
        self.sink: Sink = section.sink.build(SINKS, **given)
        self._events = events_of(config, process.run_dir) if section.what == "events" else None
        allowed = (FusedResult, End, Frame) if isinstance(self.sink, Watching) else (FusedResult, End)
        self._inbox = process.bus.inbox(config.ipc(f"sink-{section.name}"), "results", allowed, hwm=1000)
        self._failing = False
        self._taken = 0
        process.before_status(self._count)

    async def take(self) -> None:
        async for message in self._inbox:
            self._taken += 1
            if isinstance(message, Frame):
                if isinstance(self.sink, Watching):
                    self._attempt(self.sink.frame, message)
            elif isinstance(message, End):
                for event in self._events.end(message) if self._events is not None else ():
                    self._write(event)
                self._attempt(self.sink.end, message)
                self._process.counters.add("streams_ended")
                self._process.publish()
            elif self._events is None:
                self._write(message)
            else:
                for event in self._events.result(message):
                    self._process.counters.add(f'events{{state="{event.state}"}}')
                    self._write(event)

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
        with contextlib.suppress(SinkError):  # it counted what it could not write
            sink.close()
        process.publish()


if __name__ == "__main__":
    run("sink", serve)
