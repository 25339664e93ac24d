"""Test tool: an IP camera (motion JPEG over HTTP) that can stop delivering without a word, or hang up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from clownfish.codecs.jpeg import Jpeg
from tests.videos import frame

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"


class IpCamera:
    """`flowing` cleared: it is connected and silent."""

    def __init__(self) -> None:
        self.url = ""
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._frames = [Jpeg().encode(frame(n)) for n in range(64)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        n = 0
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            writer.write(_HEAD)
            while not writer.is_closing():
                await self.flowing.wait()
                data = self._frames[n % len(self._frames)]
                head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
                writer.write(head + data + b"\r\n")
                await writer.drain()
                n += 1
                await asyncio.sleep(1 / 30)  # the camera's pace
        self._writers.discard(writer)
        writer.close()

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def ip_camera() -> AsyncIterator[IpCamera]:
    camera = IpCamera()
    server = await asyncio.start_server(camera.serve, "127.0.0.1", 0)
    camera.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/live.mjpg"
    try:
        yield camera
    finally:
        camera.hang_up()
        camera.flowing.set()
        server.close()
        await server.wait_closed()
