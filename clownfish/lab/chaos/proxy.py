"""A network that an edge can leave without a word: a TCP proxy between uplink and router.

`roam` is what a box meets that goes from one network to another: what was on its way is lost, neither end hears of it,
and its next connections come from another address. Each side finds out by the other's silence alone.
"""

from __future__ import annotations

import asyncio
import contextlib

from clownfish.section import host_port

_CHUNK = 64 * 1024


class _Connection:
    """One connection of the edge, and the one to the router that stands for it."""

    def __init__(self, near: asyncio.StreamWriter, far: asyncio.StreamWriter) -> None:
        self.ends = (near, far)
        self.tasks: list[asyncio.Task[None]] = []

    def silence(self) -> None:
        """Nothing is read or written any more; both ends are left open, and hear nothing."""
        for task in self.tasks:
            task.cancel()

    def close(self) -> None:
        self.silence()
        for end in self.ends:
            end.transport.abort()


class Proxy:
    """Listens on a port of its own of 127.0.0.1, for each of the `endpoints` (tcp://…); see `at`."""

    def __init__(self, endpoints: tuple[str, ...]) -> None:
        self._endpoints = endpoints
        self._servers: list[asyncio.Server] = []
        self._live: set[_Connection] = set()
        self._silent: set[_Connection] = set()
        self._network = 0
        self.at: tuple[str, ...] = ()
        """The endpoints that stand for those of the router."""

    async def start(self) -> None:
        for endpoint in self._endpoints:
            host, port = host_port(endpoint)

            async def connect(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str = host, port: int = port
            ) -> None:
                await self._connect(reader, writer, host, port)

            self._servers.append(await asyncio.start_server(connect, "127.0.0.1", 0))
        self.at = tuple(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in self._servers)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        try:
            far_reader, far = await asyncio.open_connection(host, port, local_addr=(self.address, 0))
        except OSError:
            writer.transport.abort()  # the router is away: so it looks to the edge, too
            return
        connection = _Connection(writer, far)
        self._live.add(connection)
        ways = ((reader, far), (far_reader, writer))
        connection.tasks = [asyncio.ensure_future(_pass(*way)) for way in ways]
        await asyncio.wait(connection.tasks, return_when=asyncio.FIRST_COMPLETED)
        if connection in self._live:
            self._live.remove(connection)
            connection.close()

    @property
    def address(self) -> str:
        """From which the edge's next connections come: each network gives it another."""
        return f"127.0.0.{2 + self._network % 250}"

    @property
    def connections(self) -> int:
        """Connections that carry something."""
        return len(self._live)

    def roam(self) -> bool:
        """Cut what there is, silently, and go to another network. False where there was nothing to cut."""
        self._network += 1
        cut = bool(self._live)
        for connection in self._live:
            connection.silence()
        self._silent |= self._live
        self._live.clear()
        return cut

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for connection in self._live | self._silent:
            connection.close()
        tasks = [task for connection in self._live | self._silent for task in connection.tasks]
        self._live.clear()
        self._silent.clear()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
