"""Viewers of the live page, without a browser: `python -m clownfish.lab.viewers URL COUNT` looks until it is ended.

They read what they are sent and look at none of it: what is measured is the graph, and not a browser that draws. They
give way to it: viewers have machines of their own.
"""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from clownfish.priority import give_way


async def _look(url: str) -> None:
    while True:
        try:
            async with connect(url, max_size=None, compression=None) as socket:
                async for _ in socket:
                    pass
        except (OSError, WebSocketException):
            await asyncio.sleep(0.2)  # the page comes up later than we do, and goes before


async def _all(url: str, count: int) -> None:
    await asyncio.gather(*(_look(url) for _ in range(count)))


if __name__ == "__main__":
    give_way(19)
    asyncio.run(_all(sys.argv[1], int(sys.argv[2])))
