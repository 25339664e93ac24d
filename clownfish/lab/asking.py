"""An edge that always has windows on the way: coded once, asked about again and again over the real protocol."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Any

from clownfish.bus import Bus, fresh_routing_id
from clownfish.codecs.jpeg import Jpeg
from clownfish.errors import ClownfishError
from clownfish.lab.workload import SIZE
from clownfish.messages import Pixels
from clownfish.protocol import (
    Again,
    Answer,
    Credit,
    Dropped,
    FrameData,
    Hello,
    Missing,
    Ping,
    Refused,
    WindowRequest,
    in_messages,
)
from clownfish.within import within

_BEAT_S = 0.5
_READY_S = 30.0
STREAMS = 8


class Asker:
    """One session, with `in_flight` windows of STREAMS streams unanswered as long as it is told to ask."""

    def __init__(self, bus: Bus, control: str, data: str, classes: tuple[str, ...], in_flight: int) -> None:
        routing_id = fresh_routing_id()
        kinds = (Credit, Refused, Missing, Answer, Dropped, Again)
        self._control = bus.dealer(control, "control", kinds, routing_id=routing_id)
        self._data = bus.dealer(data, "data", (), routing_id=routing_id, large=True)
        self._classes = classes
        self._room = asyncio.Semaphore(in_flight)
        self._credit = asyncio.Event()
        self._windows = 0
        self.answered = 0
        self.dropped: Counter[str] = Counter()

    async def measure(self, coded: Sequence[Sequence[bytes]], size: tuple[int, int], seconds: float) -> float:
        """Windows answered per second. `coded`: each window's frames; `size`: (width, height).

        Raises ClownfishError where the router refuses, or a window is dropped: then it was not the same work.
        """
        tasks = [asyncio.ensure_future(work) for work in (self._beat(), self._hear(), self._ask(coded, size))]
        try:
            await self._or_failure(within(self._credit.wait(), _READY_S), tasks)
            settled = self.answered
            while self.answered == settled:  # the first answers say that all of it runs
                await self._or_failure(asyncio.sleep(0.05), tasks)
            begin, before = time.monotonic(), self.answered
            await self._or_failure(asyncio.sleep(seconds), tasks)
            per_s = (self.answered - before) / (time.monotonic() - begin)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self.dropped:
            raise ClownfishError(f"the pool dropped windows of an edge that kept to its credit: {dict(self.dropped)}")
        return per_s

    async def _or_failure(self, work: Awaitable[Any], tasks: list[asyncio.Task[None]]) -> None:
        waited = asyncio.ensure_future(work)
        done, _ = await asyncio.wait([waited, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()

    async def _beat(self) -> None:
        await self._control.put(Hello("asker", self._classes))
        sequence = 0
        while True:
            sequence += 1
            self._control.try_send(Ping(sequence))
            await asyncio.sleep(_BEAT_S)

    async def _hear(self) -> None:
        async for message in self._control:
            if isinstance(message, Credit):
                self._credit.set()
            elif isinstance(message, Refused):
                raise ClownfishError(f"the router refuses: {message.reason}")
            elif isinstance(message, Answer | Dropped):
                if isinstance(message, Dropped):
                    self.dropped[message.reason] += 1
                else:
                    self.answered += 1
                self._room.release()

    async def _ask(self, coded: Sequence[Sequence[bytes]], size: tuple[int, int]) -> None:
        await self._credit.wait()
        while True:
            await self._room.acquire()
            number, self._windows = self._windows, self._windows + 1
            stream, t = f"camera-{number % STREAMS}", number // STREAMS
            numbers = tuple(range(t * SIZE, (t + 1) * SIZE))
            pictures = coded[number % len(coded)]
            frames = [
                FrameData(stream, 1, n, n, 0, "jpeg", *size, data) for n, data in zip(numbers, pictures, strict=True)
            ]
            for message in in_messages(frames):
                await self._data.put(message)
            await self._data.put(WindowRequest(stream, 1, t, numbers, 60_000))


def code(windows: Sequence[Sequence[Pixels]]) -> list[list[bytes]]:
    """Each window's frames as JPEG, by the uplink's default."""
    codec = Jpeg()
    return [[codec.encode(pixels) for pixels in window] for window in windows]
