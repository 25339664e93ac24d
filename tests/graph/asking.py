"""Test tool: an edge that asks what the test tells it to ask, speaking the real protocol over real sockets."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from clownfish.bus import Bus, Dealer, fresh_routing_id
from clownfish.codecs.raw import Raw
from clownfish.protocol import Again, Answer, Credit, Dropped, FrameData, Hello, Missing, Ping, Refused, WindowRequest
from tests.graph.harness import Endpoints, until

_FROM_ROUTER = (Credit, Refused, Missing, Answer, Dropped, Again)
SIZE = 16


_EPOCHS = itertools.count(7)
"""One for each session: a router remembers by their keys what windows did to workers."""


class Edge:
    """One session. What the router said is in `answers`, `dropped`, `refused` and `again`."""

    def __init__(self, control: Dealer, data: Dealer) -> None:
        self._epoch = next(_EPOCHS)
        self._control = control
        self._data = data
        self.credit = 0
        self.answers: dict[int, Answer] = {}
        self.dropped: dict[int, str] = {}
        self.refused: list[str] = []
        self.again: list[str] = []

    async def hear(self) -> None:
        async for message in self._control:
            if isinstance(message, Credit):
                self.credit = message.windows_total
            elif isinstance(message, Answer):
                assert message.t not in self.answers, f"window {message.t} was answered twice"
                self.answers[message.t] = message
            elif isinstance(message, Dropped):
                self.dropped[message.t] = message.reason
            elif isinstance(message, Refused):
                self.refused.append(message.reason)
            elif isinstance(message, Again):
                self.again.append(message.reason)

    async def beat(self) -> None:
        sequence = 0
        while True:
            sequence += 1
            self._control.try_send(Ping(sequence))
            await asyncio.sleep(0.3)

    async def ask(self, t: int, colour: int = 10, deadline_ms: int = 30_000) -> None:
        """A window of one colour, with frames of its own; sent when there is credit for it."""
        await until(lambda: self.credit > t, f"credit for window {t}")
        numbers = tuple(range(16 * t, 16 * t + 16))
        data = Raw().encode(np.full((SIZE, SIZE, 3), colour, np.uint8))
        for n in numbers:
            await self._data.put(FrameData("cam", self._epoch, n, n, 0, "raw", SIZE, SIZE, data))
        await self._data.put(WindowRequest("cam", self._epoch, t, numbers, deadline_ms))

    async def over(self, *windows: int) -> None:
        """Wait until these are answered or dropped."""
        wanted = set(windows)
        try:
            await until(lambda: wanted <= {*self.answers, *self.dropped}, f"all of {wanted} are over")
        except AssertionError as error:
            said = f"answered {sorted(self.answers)}, dropped {self.dropped}, {self.again=}, {self.refused=}"
            raise AssertionError(f"{error}: {said}") from None


@asynccontextmanager
async def asking(at: Endpoints, classes: tuple[str, ...], model: str = "") -> AsyncIterator[Edge]:
    """A session of an edge with these classes that asks for this model."""
    bus, routing_id = Bus(lambda name: None), fresh_routing_id()
    control = bus.dealer(at.control, "control", _FROM_ROUTER, routing_id=routing_id)
    data = bus.dealer(at.data, "data", (), routing_id=routing_id, large=True)
    edge = Edge(control, data)
    await control.put(Hello("asking", classes, model))
    tasks = [asyncio.ensure_future(edge.hear()), asyncio.ensure_future(edge.beat())]
    try:
        yield edge
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        bus.close(0)
