"""The page's HTTP server: static files, one WebSocket a viewer, and a switch for a simulated link (layer 1).

Viewers get the same bytes, made once a tick. A viewer that does not keep up misses ticks and is then told everything
anew: nothing waits for it, and what waits for it is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from clownfish.errors import ConfigError
from clownfish.web.access import COOKIE, Access

STATIC = Path(__file__).parent / "static"
MAX_VIEWERS = 64
_WAITING = 4
"""Ticks that may wait for a viewer; then it is told everything anew."""
_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
_MAX_BODY = 1000
_POLICY_VIOLATION, _TRY_AGAIN = 1008, 1013


def frame(said: Mapping[str, Any], pictures: Sequence[tuple[int, bytes]]) -> bytes:
    """One message to a viewer: the length of a JSON text (4 bytes, little-endian), the text, then for each picture the
    number of its stream (2), its length (4) and a JPEG."""
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
    parts = [struct.pack("<I", len(text)), text]
    for number, jpeg in pictures:
        parts += [struct.pack("<HI", number, len(jpeg)), jpeg]
    return b"".join(parts)


class _Viewer:
    def __init__(self) -> None:
        self.waiting: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self.behind = False
        """Missed something: its next message says everything."""


class Page:
    """`whole` makes what a viewer is told who comes anew, or was behind. `steer` is asked to change the link, and
    raises ValueError in words for people; None: there is no link to change. `missed` is called for each tick that a
    viewer did not get, `refused` for each request that was not let in."""

    def __init__(
        self,
        access: Access,
        whole: Callable[[], bytes],
        steer: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
        missed: Callable[[], None] = lambda: None,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._access = access
        self._whole = whole
        self._steer = steer
        self._missed = missed
        self._viewers: set[_Viewer] = set()
        self._server: uvicorn.Server | None = None
        self.app: ASGIApp = _Guarded(
            Starlette(
                routes=[
                    WebSocketRoute("/live", self._live),
                    Route("/link", self._link, methods=["POST"]),
                    Mount("/", StaticFiles(directory=STATIC, html=True)),
                ]
            ),
            access,
            refused,
        )

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    def broadcast(self, message: bytes) -> None:
        """To every viewer that keeps up."""
        for viewer in self._viewers:
            if viewer.behind:
                continue
            try:
                viewer.waiting.put_nowait(message)
            except asyncio.QueueFull:
                viewer.behind = True
                self._missed()

    async def serve(self, host: str, port: int, listens: Callable[[], None] = lambda: None) -> None:
        """Until cancelled; calls `listens` when a browser can come. Raises ConfigError where the port is taken or is
        none of ours.
        """
        listening = listen(host, port)
        listens()
        config = uvicorn.Config(
            self.app, log_config=None, access_log=False, lifespan="off", ws="websockets-sansio", server_header=False,
            ws_max_size=4096, ws_ping_interval=20, limit_concurrency=2 * MAX_VIEWERS, timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = self._server = _Quiet(config)
        try:
            await server.serve(sockets=[listening])
        finally:
            listening.close()

    def close(self) -> None:
        """Let viewers go, so that the server can end."""
        for viewer in self._viewers:
            with contextlib.suppress(asyncio.QueueFull):
                viewer.waiting.put_nowait(None)
        if self._server is not None:
            self._server.should_exit = True

    async def _live(self, websocket: WebSocket) -> None:
        if not self._access.same_origin(websocket.headers):
            await websocket.close(_POLICY_VIOLATION, "opened by another site's page")
            return
        if len(self._viewers) >= MAX_VIEWERS:
            await websocket.close(_TRY_AGAIN, f"{MAX_VIEWERS} viewers look already")
            return
        await websocket.accept()
        viewer = _Viewer()
        viewer.waiting.put_nowait(self._whole())
        self._viewers.add(viewer)
        telling = asyncio.ensure_future(self._tell(websocket, viewer))
        try:
            while True:
                await websocket.receive_text()  # a page says nothing; this notices when it is closed
        except (WebSocketDisconnect, KeyError):
            pass
        finally:
            self._viewers.discard(viewer)
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _tell(self, websocket: WebSocket, viewer: _Viewer) -> None:
        while True:
            message = await viewer.waiting.get()
            if message is None:
                await websocket.close()
                return
            await websocket.send_bytes(message)
            if viewer.behind and viewer.waiting.empty():
                viewer.behind = False
                viewer.waiting.put_nowait(self._whole())

    async def _link(self, request: Request) -> Response:
        if self._steer is None:
            return PlainTextResponse("this graph's link is a real one: there is nothing to steer", 404)
        if not self._access.same_origin(request.headers) or "origin" not in request.headers:
            return PlainTextResponse("sent by another site's page", 403)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MAX_BODY:
                return PlainTextResponse(f"longer than {_MAX_BODY} bytes", 413)
        try:
            wanted = json.loads(body)
            if not isinstance(wanted, dict):
                raise ValueError("expected an object with rate_mbit, delay_ms and cut")
            return JSONResponse(self._steer(wanted))
        except (ValueError, TypeError) as error:
            return PlainTextResponse(str(error), 400)


class _Guarded:
    """Lets in who may look, sets the cookie, and says what a browser may do with what it gets."""

    def __init__(self, app: ASGIApp, access: Access, refused: Callable[[], None]) -> None:
        self._app = app
        self._access = access
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        given = connection.query_params.get("token")
        refusal = self._access.refusal(connection.headers, connection.cookies, given)
        if refusal is not None:
            self._refused()
        if refusal is not None and scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(_POLICY_VIOLATION, refusal[:100])
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if refusal is None and given is not None and self._access.knows(given):
                    headers.append("set-cookie", f"{COOKIE}={given}; HttpOnly; SameSite=Strict; Path=/")
            await send(message)

        if refusal is not None:
            await PlainTextResponse(refusal, 403)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


class _Quiet(uvicorn.Server):
    """Signals are the service's own business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigError where there can be none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(128)
    except OSError as error:
        made.close()
        raise ConfigError(
            f"page.listen {host}:{port}: cannot be listened on ({error.strerror or error}); choose another port"
        ) from error
    return made


async def ticks(period_s: float) -> AsyncIterator[float]:
    """The loop's time, every `period_s`; a tick that comes late is not made up for."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(due + period_s, loop.time())
        await asyncio.sleep(due - loop.time())
        yield loop.time()
