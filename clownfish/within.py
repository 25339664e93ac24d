"""A time limit for what is awaited (layer 0)."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from async_timeout import timeout

T = TypeVar("T")


async def within(work: Awaitable[T], seconds: float | None) -> T:
    """What `work` returns; it is cancelled after so many seconds (None: never). Raises asyncio.TimeoutError.

    In place of `asyncio.wait_for`, which before Python 3.12 loses a cancellation that comes in the moment in which the
    work is done: a process that is told to end then goes on for ever.
    """
    async with timeout(seconds):
        return await work
