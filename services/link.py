"""link: stands between uplink and router, and makes a bad network of loopback, for a demonstration that one can steer.

Two ports, control and data; each connection is passed on both ways through a `Shaper`. Not for measuring: `clownfish
lab` has real networks.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from clownfish.errors import ConfigError
from clownfish.messages import LinkShape
from clownfish.process import Process, run
from clownfish.section import host_port
from clownfish.shaping import Shape, Shaper
from clownfish.within import within

_READ_BYTES = 4096
"""At most at once, so that a slow link's queue is made of small pieces."""


class _Direction:
    """Bytes of one connection, one way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, shape: Shape) -> None:
        self._reader = reader
        self._writer = writer
        self._shaper = Shaper(shape, time.monotonic())
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._over = False

    def reshape(self, shape: Shape) -> None:
        self._shaper.reshape(shape, time.monotonic())
        self._wake.set()

    async def pass_on(self) -> int:
        """Until the sender is at its end, or either side breaks. Returns the bytes that went through."""
        reading = asyncio.ensure_future(self._read())
        passed = 0
        try:
            while True:
                data = self._shaper.take(time.monotonic())
                if data:
                    passed += len(data)
                    self._writer.write(data)
                    self._room.set()
                    await self._writer.drain()
                due = self._shaper.next_timer()
                if due is None and self._over:
                    return passed
                timeout = None if due is None else max(0.0, due - time.monotonic())
                with contextlib.suppress(asyncio.TimeoutError):
                    await within(self._wake.wait(), timeout)
                self._wake.clear()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(_READ_BYTES):
                self._shaper.feed(data, time.monotonic())
                self._wake.set()
                while self._shaper.full:
                    self._room.clear()
                    await self._room.wait()
        self._over = True
        self._wake.set()


class _Link:
    def __init__(self, process: Process) -> None:
        settings = process.config.link
        if settings is None:
            raise ConfigError("[link] is missing: it says between which ports the simulated link stands")
        self._process = process
        self._shape = Shape(settings.rate_mbit, settings.delay_ms)
        self._settings = settings
        self._directions: set[_Direction] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._inbox = process.bus.inbox(process.config.ipc("link"), "shapes", (LinkShape,), hwm=8)

    async def run(self) -> None:
        """Until cancelled."""
        servers = []
        try:
            settings = self._settings
            for near, far in ((settings.control, settings.to_control), (settings.data, settings.to_data)):
                servers.append(await self._listen(near, far))
            self._process.ready(_words(self._shape))
            async for message in self._inbox:
                self._shape = Shape(message.rate_mbit, message.delay_ms, message.cut)
                for direction in self._directions:
                    direction.reshape(self._shape)
                self._process.say("ready", _words(self._shape))
        finally:
            for server in servers:
                server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _listen(self, near: str, far: str) -> asyncio.Server:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._connection(reader, writer, far))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

        host, port = host_port(near)
        try:
            return await asyncio.start_server(connected, host, port, limit=2 * _READ_BYTES)
        except OSError as error:
            raise ConfigError(f"link: {near} cannot be listened on ({error.strerror}); choose another port") from error

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far: str) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*host_port(far), limit=2 * _READ_BYTES)
        except OSError:  # no router yet: the uplink tries again
            writer.close()
            return
        up, down = _Direction(reader, far_writer, self._shape), _Direction(far_reader, writer, self._shape)
        self._directions |= {up, down}
        works = [asyncio.ensure_future(up.pass_on()), asyncio.ensure_future(down.pass_on())]
        try:
            await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)
            self._directions -= {up, down}
            writer.close()
            far_writer.close()


def _words(shape: Shape) -> str:
    if shape.cut:
        return "cut"
    rate = "no cap" if shape.rate_mbit is None else f"{shape.rate_mbit:g} Mbit/s"
    return f"{rate}, {shape.delay_ms:g} ms each way"


async def serve(process: Process) -> None:
    await _Link(process).run()


if __name__ == "__main__":
    run("link", serve)
