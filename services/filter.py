"""filter: chooses which windows are worth sending to the cloud (§III-D); the gate joins each window with its ρ."""

from __future__ import annotations

import asyncio
import time

from clownfish.filters import FILTERS
from clownfish.gate import Decision, Gate, Send
from clownfish.messages import End, Event, Pace, Rho, StreamKey, Window, WindowKey
from clownfish.notes import Notes
from clownfish.process import Process, every, run
from clownfish.tracer import Tracer


class _Filter:
    def __init__(self, process: Process) -> None:
        config = process.config
        section = config.filter
        self._process = process
        section.policy.build(FILTERS)  # a wrong option shows now, not with the first stream
        self._gate: Gate[Window] = Gate(
            lambda: section.policy.build(FILTERS), timeout_s=section.timeout_ms / 1000, capacity=section.capacity
        )
        self._notes = Notes(process)
        self._tracer = Tracer(process)
        self._patience_s = section.timeout_ms / 1000
        streams = max(1, len(config.streams))  # those that began together deliver together
        self._windows = process.bus.inbox(config.ipc("filter"), "windows", (Window, End), hwm=4 * streams, large=True)
        self._rhos = process.bus.inbox(config.ipc("filter-rho"), "rhos", (Rho, End), hwm=256)
        self._paces = process.bus.inbox(config.ipc("filter-pace"), "paces", (Pace,), hwm=4)
        self._uplink = process.bus.outbox(config.ipc("uplink"), "uplink", hwm=4, large=True)
        self._pace: Pace | None = None
        self._noted: dict[StreamKey, Pace] = {}
        """The pace that each stream's record has last."""
        self._ends: dict[StreamKey, tuple[set[str], float, End]] = {}
        self.wake = asyncio.Event()
        process.before_status(lambda: process.counters.set("streams_open", self._gate.open))

    async def take_windows(self) -> None:
        async for message in self._windows:
            if isinstance(message, End):
                await self._end(message, "window")
            else:
                now = time.monotonic()
                self._tracer.say(message.key, "formed")
                decisions = self._gate.window(message.key, message, now, message.live)
                await self._do(decisions, now, "window", message.key)

    async def take_rhos(self) -> None:
        async for message in self._rhos:
            if isinstance(message, End):
                await self._end(message, "local")
            else:
                now = time.monotonic()
                decisions = self._gate.rho(message.key, message.rho, now, message.p)
                await self._do(decisions, now, "rho", message.key, message.rho)
                self._goes_on(StreamKey(message.key.stream, message.key.epoch))

    async def take_paces(self) -> None:
        """Of an uplink that adapts; any other says nothing."""
        async for message in self._paces:
            self._pace = message
            self._gate.pace(message)

    async def _do(
        self,
        decisions: list[Decision[Window]],
        now: float,
        asked: str,
        key: WindowKey | None = None,
        rho: float | None = None,
    ) -> None:
        """What the gate said when it was told of a window or its ρ, of the time or an end (`asked`)."""
        for each in decisions:
            self._tracer.say(each.key, f"{'sent' if isinstance(each, Send) else 'released'} {each.why}")
        if self._notes.wanted:
            self._note(decisions, now, asked, key, rho)
        self.wake.set()
        self._process.counters.mirror(self._gate.counts)
        self._process.counters.set("waiting", self._gate.waiting)
        for decision in decisions:
            if isinstance(decision, Send):
                await self._uplink.deliver(decision.payload, decision.payload.live)

    def _note(
        self, decisions: list[Decision[Window]], now: float, asked: str, key: WindowKey | None, rho: float | None
    ) -> None:
        """Without a key it is the decisions' windows that the gate was asked about."""
        keys = [key] if key is not None else [each.key for each in decisions]
        events = []
        for each in keys:
            stream = StreamKey(each.stream, each.epoch)
            if self._pace is not None and self._noted.get(stream) != self._pace:
                self._noted[stream] = self._pace
                events.append(Event(*each, self._pace.words, now, None))
            events.append(Event(*each, asked, now, rho))
        for decision in decisions:
            said = "sent" if isinstance(decision, Send) else "released"
            events.append(Event(*decision.key, f"{said} {decision.why}", now, None))
        self._notes.take(events)

    async def _end(self, end: End, who: str) -> None:
        """A stream is over when `window` has sent its last window and `local` its last ρ, or takes too long for it."""
        key = StreamKey(end.stream, end.epoch)
        said, _, _ = self._ends.get(key, (set(), 0.0, end))
        said.add(who)
        self._ends[key] = (said, time.monotonic() + self._patience_s, end)
        if said == {"window", "local"}:
            await self._close(key)
        self.wake.set()

    def _goes_on(self, key: StreamKey) -> None:
        """`local` is behind `window`, and at work: its End will come."""
        said = self._ends.get(key)
        if said is not None:
            self._ends[key] = (said[0], time.monotonic() + self._patience_s, said[2])

    async def _close(self, key: StreamKey) -> None:
        said = self._ends.pop(key, None)
        if said is None:  # another task closed it while this one waited
            return
        now = time.monotonic()
        await self._do(self._gate.end(key, now), now, "end")
        self._noted.pop(key, None)
        await self._uplink.insist(said[-1])

    def next_timer(self) -> float | None:
        times = [due for said, due, _ in self._ends.values() if "window" in said]
        gate = self._gate.next_timer()
        return min([*times, *([gate] if gate is not None else [])], default=None)

    async def timer(self) -> None:
        now = time.monotonic()
        await self._do(self._gate.timer(now), now, "timer")
        for key in [key for key, (said, due, _) in self._ends.items() if "window" in said and due <= now]:
            await self._close(key)


async def serve(process: Process) -> None:
    service = _Filter(process)
    process.ready(process.config.filter.policy.kind)
    await process.run_together(
        service.take_windows(),
        service.take_rhos(),
        service.take_paces(),
        every(service.next_timer, service.wake, service.timer),
    )


if __name__ == "__main__":
    run("filter", serve)
