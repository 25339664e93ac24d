"""Test tools: workers that follow a script, speaking the real protocol over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from clownfish.bus import Bus, Dealer, fresh_routing_id
from clownfish.protocol import Again, Done, Job, Progress, Pulse, Ready, Refused
from tests.model_files import CLASSES

_FROM_ROUTER = (Job, Pulse, Refused, Again)


@dataclass
class Script:
    """What a scripted worker has done."""

    taken: int = 0
    done: int = 0


@asynccontextmanager
async def answering_late(
    endpoint: str, delay_s: float, classes: tuple[str, ...] = CLASSES, credit: int = 4
) -> AsyncIterator[Script]:
    """A worker whose model takes `delay_s` for each window; its loop lives, so it shows progress all the time."""
    script = Script()
    bus = Bus(lambda name: None)
    dealer = bus.dealer(endpoint, "router", _FROM_ROUTER, routing_id=fresh_routing_id(), large=True)
    ready = Ready("late", "late", classes, credit)

    async def answer(job: Job) -> None:
        script.taken += 1
        await asyncio.sleep(delay_s)
        script.done += 1
        p = np.full(len(classes), 1 / len(classes), np.float32)
        dealer.try_send(Done(job.job, p, delay_s * 1000, ""))

    async def hear(dealer: Dealer) -> None:
        async for message in dealer:
            if isinstance(message, Job):
                answers.append(asyncio.ensure_future(answer(message)))
            elif isinstance(message, Again):
                await dealer.put(ready)

    async def beat() -> None:
        while True:
            dealer.try_send(Progress("late", script.done))
            await asyncio.sleep(0.5)

    answers: list[asyncio.Future[None]] = []
    await dealer.put(ready)
    tasks = [asyncio.ensure_future(hear(dealer)), asyncio.ensure_future(beat())]
    try:
        yield script
    finally:
        for task in [*tasks, *answers]:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, *answers, return_exceptions=True)
        bus.close(0)
