"""The one file that speaks ZeroMQ: typed messages in, typed messages out, every drop counted (layer 2).

What was measured and is built in here:
- A high-water mark is back-pressure on ipc, but not on tcp; there credit is (`backlog`). Senders wait only if asked to.
- A socket belongs to one thread and one loop. One reader task per socket; no time-out is put around a receive.
- A busy socket is read without the loop ever turning, so each receive yields once.
- An idle bound socket keeps what its gone peers left until somebody reads its EVENTS: `Bus` does, each second.
- ROUTER drops what it cannot route unless MANDATORY; a DEALER queues for dead peers unless IMMEDIATE.
- `copy=False` pays above 64 kB: sockets that carry frames are opened with `large=True`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar, cast

import zmq
import zmq.asyncio

from clownfish import wire
from clownfish.errors import ConfigError, WireError
from clownfish.log import get_logger

Count = Callable[[str], None]
S = TypeVar("S", bound="_Socket")

_RECONNECT_MS, _RECONNECT_MAX_MS = 50, 500


def is_exposed(endpoint: str) -> bool:
    """Whether others than this host may reach the endpoint. A name other than `localhost` may mean any address."""
    if not endpoint.startswith("tcp://"):
        return False
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


class _Socket:
    """What all sockets share: a name for counters, receive, close."""

    def __init__(self, socket: zmq.asyncio.Socket, name: str, count: Count, allowed: tuple[type, ...], large: bool):
        self._socket = socket
        self.name = name
        self._count = count
        self._allowed = allowed
        self._copy = not large
        self._malformed_logged = False

    def close(self, linger_ms: int = 0) -> None:
        """Safe to call twice. `linger_ms`: how long unsent messages may still leave."""
        self._socket.close(linger=linger_ms)

    async def _parts(self) -> list[Any]:
        parts = await self._socket.recv_multipart(copy=self._copy)
        await asyncio.sleep(0)
        return list(parts) if self._copy else [cast(zmq.Frame, part).buffer for part in parts]

    def _decode(self, parts: list[Any]) -> Any | None:
        """The message, or None where it is malformed: counted, and the first one said in the log."""
        try:
            message = wire.decode(parts, self._allowed)
        except WireError as error:
            self._count(f'malformed{{socket="{self.name}"}}')
            if not self._malformed_logged:
                self._malformed_logged = True
                get_logger().warning(
                    "malformed message dropped, further ones are only counted", socket=self.name, error=str(error)
                )
            return None
        self._count(f'received{{socket="{self.name}"}}')
        return message

    def _try_send(self, parts: list[Any], dropped: str) -> bool:
        """Send now or not at all. NOBLOCK sends of pyzmq's asyncio sockets are done when the call returns."""
        future = cast("asyncio.Future[Any]", self._socket.send_multipart(parts, flags=zmq.NOBLOCK, copy=self._copy))
        try:
            if not future.done():  # a `put` waits on this socket, so it is full
                future.cancel()
                raise zmq.Again
            future.result()
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            self._count(f'dropped{{socket="{self.name}",reason="{dropped}"}}')
            return False
        self._count(f'sent{{socket="{self.name}"}}')
        return True


class Encoded:
    """A message that goes to several outboxes, encoded once."""

    def __init__(self, message: Any) -> None:
        self.parts = wire.encode(message)


def _encode(message: Any) -> list[Any]:
    return message.parts if isinstance(message, Encoded) else wire.encode(message)


class Inbox(_Socket):
    """PULL, bound: `async for message in inbox`."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            message = self._decode(await self._parts())
            if message is not None:
                yield message


class Outbox(_Socket):
    """PUSH, connected to one inbox."""

    def try_send(self, message: Any) -> bool:
        """Send if there is room; False, and counted, where the receiver does not keep up or is away."""
        return self._try_send(_encode(message), "full")

    async def put(self, message: Any) -> None:
        """Wait for room, then send: for streams that are not live, which the graph slows down to its own pace."""
        await self._socket.send_multipart(_encode(message), copy=self._copy)
        self._count(f'sent{{socket="{self.name}"}}')

    async def insist(self, message: Any, patience_s: float = 1.0) -> bool:
        """`put`, for a message that matters more than the next ones; a receiver that is away stops nobody for ever."""
        try:
            await asyncio.wait_for(self.put(message), patience_s)
        except asyncio.TimeoutError:
            self._count(f'dropped{{socket="{self.name}",reason="full"}}')
            return False
        return True

    async def deliver(self, message: Any, live: bool) -> None:
        """`try_send` for a live stream, `put` for another."""
        if live:
            self.try_send(message)
        else:
            await self.put(message)


class Router(_Socket):
    """ROUTER, bound: `async for peer, message in router`. `peer` is a routing id: an address, not an identity."""

    async def __aiter__(self) -> AsyncIterator[tuple[bytes, Any]]:
        while True:
            peer, *parts = await self._parts()
            message = self._decode(parts)
            if message is not None:
                yield bytes(peer), message

    def try_send(self, peer: bytes, message: Any) -> bool:
        """False, and counted, where the peer is gone or does not read."""
        return self._try_send([peer, *wire.encode(message)], "unroutable")


class Dealer(_Socket):
    """DEALER, connected: talks to one router."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            message = self._decode(await self._parts())
            if message is not None:
                yield message

    def try_send(self, message: Any) -> bool:
        """False, and counted, where no router is connected or the queue is full."""
        return self._try_send(wire.encode(message), "full")

    async def put(self, message: Any) -> int:
        """Wait until a router is connected and there is room; returns the bytes sent."""
        parts = wire.encode(message)
        await self._socket.send_multipart(parts, copy=self._copy)
        self._count(f'sent{{socket="{self.name}"}}')
        return sum(len(part) for part in parts)


class Bus:
    """A process's sockets. Receivers bind, senders connect; a router binds both of its sides."""

    def __init__(self, count: Count) -> None:
        self._context = zmq.asyncio.Context()
        self._count = count
        self._bound: list[zmq.asyncio.Socket] = []
        self._sockets: list[_Socket] = []
        self._housekeeping = asyncio.ensure_future(self._housekeep())

    def inbox(
        self, endpoint: str, name: str, allowed: tuple[type, ...], *, hwm: int = 100, large: bool = False
    ) -> Inbox:
        """Bind a PULL socket. Only messages of the `allowed` kinds come out of it."""
        socket = self._open(zmq.PULL, hwm, wire.MAX_WINDOW_BYTES)
        self._bind(socket, endpoint)
        return self._keep(Inbox(socket, name, self._count, allowed, large))

    def outbox(self, endpoint: str, name: str, *, hwm: int = 100, large: bool = False) -> Outbox:
        """Connect a PUSH socket. What waits for a receiver that is away is kept, up to `hwm` messages."""
        socket = self._open(zmq.PUSH, hwm, -1)
        socket.connect(endpoint)
        return self._keep(Outbox(socket, name, self._count, (), large))

    def router(
        self,
        endpoint: str,
        name: str,
        allowed: tuple[type, ...],
        *,
        max_bytes: int,
        insecure: bool,
        large: bool = False,
    ) -> Router:
        """Bind a ROUTER socket. Raises ConfigError where the endpoint is open to other hosts and not `insecure`."""
        if is_exposed(endpoint) and not insecure:
            raise ConfigError(
                f"{name} would listen on {endpoint}, where other hosts reach it without authentication; "
                "bind it to 127.0.0.1, or say insecure = true (--insecure) on a network that you trust"
            )
        socket = self._open(zmq.ROUTER, 1000, max_bytes)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._bind(socket, endpoint)
        return self._keep(Router(socket, name, self._count, allowed, large))

    def dealer(
        self,
        endpoint: str,
        name: str,
        allowed: tuple[type, ...],
        *,
        routing_id: bytes,
        hwm: int = 100,
        large: bool = False,
    ) -> Dealer:
        """Connect a DEALER socket under a fresh random `routing_id`; it queues nothing while no router is there."""
        socket = self._open(zmq.DEALER, hwm, wire.MAX_FRAME_BYTES)
        socket.setsockopt(zmq.ROUTING_ID, routing_id)
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.connect(endpoint)
        return self._keep(Dealer(socket, name, self._count, allowed, large))

    def close(self, linger_ms: int = 500) -> None:
        """Close every socket; unsent messages may leave for `linger_ms`, then they are gone."""
        self._housekeeping.cancel()
        for socket in self._sockets:
            socket.close(linger_ms)
        self._context.destroy(linger=linger_ms)

    # -- sockets

    def _open(self, kind: int, hwm: int, max_bytes: int) -> zmq.asyncio.Socket:
        socket = self._context.socket(kind)
        for option, value in (
            (zmq.SNDHWM, hwm),
            (zmq.RCVHWM, hwm),
            (zmq.LINGER, 0),
            (zmq.MAXMSGSIZE, max_bytes),
            (zmq.RECONNECT_IVL, _RECONNECT_MS),
            (zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS),
            # A peer whose host lost power says no goodbye: without this its connection is kept for ever.
            (zmq.TCP_KEEPALIVE, 1),
            (zmq.TCP_KEEPALIVE_IDLE, 60),
            (zmq.TCP_KEEPALIVE_INTVL, 10),
            (zmq.TCP_KEEPALIVE_CNT, 6),
        ):
            socket.setsockopt(option, value)
        return socket

    def _bind(self, socket: zmq.asyncio.Socket, endpoint: str) -> None:
        try:
            socket.bind(endpoint)
        except zmq.ZMQError as error:
            socket.close()
            what = "is taken: another graph or router listens there" if error.errno == zmq.EADDRINUSE else str(error)
            raise ConfigError(f"cannot listen on {endpoint}: {what}") from error
        self._bound.append(socket)

    def _keep(self, socket: S) -> S:
        self._sockets = [s for s in self._sockets if not s._socket.closed]
        self._sockets.append(socket)
        return socket

    async def _housekeep(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(1)
                self._read_events()

    def _read_events(self) -> None:
        for socket in self._bound:
            if not socket.closed:
                # `get`, not `getsockopt`: reading EVENTS takes the wake-up from a reader that waits, and only `get`
                # gives it back
                socket.get(zmq.EVENTS)


def fresh_routing_id() -> bytes:
    """Random, 16 bytes; the first is not 0, which ZeroMQ keeps for itself."""
    return b"c" + os.urandom(15)
