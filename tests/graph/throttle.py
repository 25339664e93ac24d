"""A TCP proxy that lets so many bytes a second through, towards the server; the way back is free."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

_CHUNK = 1024


class Throttle:
    """`bytes_per_s` may be changed at any time; None: no limit."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._bytes_per_s: float | None = None

    def limit(self, bytes_per_s: float | None) -> None:
        """From now on; also for what is being waited for."""
        self._bytes_per_s = bytes_per_s
        self._changed.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection("127.0.0.1", self._port)
        pumps = {asyncio.ensure_future(self._pump(reader, out, True)), asyncio.ensure_future(self._pump(there, writer))}
        self._tasks |= pumps
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        for each in (writer, out):
            each.close()

    async def _pump(self, come: asyncio.StreamReader, go: asyncio.StreamWriter, slow: bool = False) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await come.read(_CHUNK):
                if slow and self._bytes_per_s is not None:
                    self._changed.clear()
                    with contextlib.suppress(asyncio.TimeoutError):  # the link takes that long
                        await asyncio.wait_for(self._changed.wait(), len(data) / self._bytes_per_s)
                go.write(data)
                await go.drain()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()


@contextlib.asynccontextmanager
async def throttled(port: int) -> AsyncIterator[tuple[str, Throttle]]:
    """(the endpoint to connect to, the proxy) before the server that listens on this port of this host."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # else the kernel takes megabytes ahead of us
    listener.bind(("127.0.0.1", 0))
    throttle = Throttle(port)
    server = await asyncio.start_server(throttle._serve, sock=listener, limit=4096)
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", throttle
    finally:
        server.close()
        throttle.close()
