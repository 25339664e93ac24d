"""A small HTTP server for pages that machines read: GET and HEAD, one answer a connection, all bounded (layer 2).

For probes and scrapes inside a box or a cluster; what people look at, or what holds connections open, needs more.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clownfish import __version__
from clownfish.within import within

_HEAD_BYTES = 16 * 1024
_PATIENCE_S = 5.0
_CONNECTIONS = 32

_REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
    500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """What was asked for. Names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]

    def bears(self, token: str) -> bool:
        """Whether it carries this bearer token, compared in constant time. Everyone bears the empty one."""
        given = self.headers.get("authorization", "")
        return not token or hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


@dataclass(frozen=True)
class Response:
    """What it gets."""

    status: int
    body: str = ""
    content_type: str = "text/plain; charset=utf-8"

    def encode(self, with_body: bool = True) -> bytes:
        body = self.body.encode()
        lines = [
            f"HTTP/1.1 {self.status} {_REASONS[self.status]}",
            f"Server: clownfish/{__version__}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "Connection: close",
            *(["WWW-Authenticate: Bearer"] if self.status == 401 else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + (body if with_body else b"")


class Server:
    """Serves what `answer` says. `refused` is told why a request got nothing: busy, slow, malformed, method."""

    def __init__(self, answer: Callable[[Request], Response], refused: Callable[[str], None]) -> None:
        self._answer = answer
        self._refused = refused
        self._open: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> None:
        """Begin. Raises OSError where the port is taken, or the host is not of this box."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_HEAD_BYTES)

    async def close(self) -> None:
        """Stop listening; who has not got an answer gets none."""
        if self._server is not None:
            self._server.close()
            for writer in self._open.values():
                writer.transport.abort()  # its task sees the end of the connection, and ends
            await asyncio.gather(*self._open, return_exceptions=True)
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= _CONNECTIONS:
            self._refused("busy")
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None  # it runs in one
        self._open[task] = writer
        try:
            await within(self._converse(reader, writer), _PATIENCE_S)
        except asyncio.TimeoutError:
            self._refused("slow")
        except OSError:  # the peer went away
            pass
        finally:
            del self._open[task]
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = parse(await reader.readuntil(b"\r\n\r\n"))
        except (ValueError, asyncio.LimitOverrunError):
            self._refused("malformed")
            writer.write(Response(400, "no HTTP request\n").encode())
        except asyncio.IncompleteReadError:
            return  # a probe that only connects
        else:
            if request.method not in ("GET", "HEAD"):
                self._refused("method")
                writer.write(Response(405, "GET or HEAD\n").encode())
            else:
                writer.write(self._answer(request).encode(request.method == "GET"))
        await writer.drain()


def parse(head: bytes) -> Request:
    """A request's first lines. Raises ValueError for what is none."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(f"HTTP/1.1 expected, got {version[:20]!r}")
    pairs = [line.partition(":") for line in lines if line]
    if not all(colon for _, colon, _ in pairs):
        raise ValueError("a header without a colon")
    return Request(method, target.partition("?")[0], {name.lower(): value.strip() for name, _, value in pairs})
