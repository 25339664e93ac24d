"""Test tools: one service of a graph, run in this process's loop, with the test in the place of its neighbours."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from clownfish.bus import Bus
from clownfish.config import validate
from clownfish.process import Process
from tests.graph.harness import Tree, until


class Collector:
    """The messages that came to one of the service's neighbours."""

    def __init__(self, inbox: Any) -> None:
        self.messages: list[Any] = []
        self._task = asyncio.ensure_future(self._take(inbox))

    async def _take(self, inbox: Any) -> None:
        async for message in inbox:
            self.messages.append(message)

    async def count(self, count: int) -> list[Any]:
        """Wait until so many have come."""
        await until(lambda: len(self.messages) >= count, f"{count} messages, not {self.messages}", 20)
        return self.messages

    async def of(self, kind: type, count: int = 1) -> list[Any]:
        """Wait until so many of this kind have come."""
        await until(lambda: len(self.each(kind)) >= count, f"{count} {kind.__name__}, not {self.messages}", 20)
        return self.each(kind)

    def each(self, kind: type) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]

    def close(self) -> None:
        self._task.cancel()


@asynccontextmanager
async def serving(service: str, tree: Tree, name: str = "", config: str = "") -> AsyncIterator[Process]:
    """`service` at its work; what it raises, the test raises. `config`: the file that its supervisor writes."""
    arguments = argparse.Namespace(name=name, config=config)
    process = Process(f"{service}-{name}" if name else service, validate(tree, "test"), arguments)
    task = asyncio.ensure_future(importlib.import_module(f"services.{service}").serve(process))
    try:
        await until(lambda: process.state == "ready" or task.done(), f"{service} is ready", 20)
        if task.done():
            task.result()
        yield process
    finally:
        failed = task.done() and not task.cancelled() and task.exception()
        task.cancel()
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(task, return_exceptions=not failed)
        finally:
            await process.close()


@asynccontextmanager
async def neighbour() -> AsyncIterator[Bus]:
    """Sockets for the test's own side."""
    bus = Bus(lambda name: None)
    try:
        yield bus
    finally:
        bus.close(0)
