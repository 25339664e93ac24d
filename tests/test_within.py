"""A time limit that no cancellation is lost in."""

from __future__ import annotations

import asyncio

import pytest

from clownfish.within import within


async def test_what_is_awaited_is_returned_or_its_time_is_over() -> None:
    assert await within(asyncio.sleep(0, "done"), 5) == "done"
    assert await within(asyncio.sleep(0, "done"), None) == "done"
    with pytest.raises(asyncio.TimeoutError):
        await within(asyncio.Event().wait(), 0.001)


async def test_a_cancellation_in_the_moment_in_which_the_work_is_done_is_not_lost() -> None:
    """As `asyncio.wait_for` loses it before Python 3.12: a service told to end then went on."""
    event = asyncio.Event()
    task = asyncio.ensure_future(within(event.wait(), 60))
    await asyncio.sleep(0)
    event.set()
    for _ in range(3):  # at whichever step of being done it comes
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("steps", range(4))
async def test_nor_one_that_comes_a_little_later(steps: int) -> None:
    event, ended = asyncio.Event(), []

    async def service() -> None:
        try:
            while True:
                event.clear()
                await within(event.wait(), 60)
        finally:
            ended.append(True)

    task = asyncio.ensure_future(service())
    await asyncio.sleep(0)
    event.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert ended
