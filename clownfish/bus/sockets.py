"""The sockets of `Bus`: what goes in and comes out of each kind, and what is counted (layer 2)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import zmq
import zmq.asyncio

from clownfish import wire
from clownfish.bus.curve import Connection, Credentials, Guard, trouble, user_id
from clownfish.errors import WireError
from clownfish.keys import KEY_CHARACTERS, Role
from clownfish.log import get_logger

Count = Callable[[str], None]

_MALFORMED = 100
"""A guarded connection that sends so many malformed messages is cut."""
_CONNECTIONS = 16_384
"""Connections that a guarded socket remembers; the longest silent is forgotten, and known again when it speaks."""


class Socket:
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
        self.parts: list[Any] = wire.encode(message)

    @classmethod
    def raw(cls, parts: list[bytes]) -> Encoded:
        """Bytes that need not be a message: what a hostile peer sends."""
        it = cls.__new__(cls)
        it.parts = parts
        return it


def _encode(message: Any) -> list[Any]:
    return message.parts if isinstance(message, Encoded) else wire.encode(message)


class Inbox(Socket):
    """PULL, bound: `async for message in inbox`."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            message = self._decode(await self._parts())
            if message is not None:
                yield message


class Outbox(Socket):
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


class Publisher(Socket):
    """PUB, bound: whoever listens hears it; one that does not keep up misses some, and nobody waits."""

    def publish(self, message: Any) -> None:
        self._try_send(_encode(message), "full")


class Router(Socket):
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

    def device(self, peer: bytes) -> bytes:
        """Whose session this is. Without keys a routing id is all that there is to tell peers apart."""
        return peer

    def cut(self, device: bytes) -> list[bytes]:
        """Cut the device's connections; returns its peers. Without keys there is none to cut."""
        return []


class GuardedRouter(Router):
    """ROUTER behind CURVE. `peer` begins with the device's public key, as ZAP found it, and its routing id follows.

    Another device that takes the same routing id is another peer: it can claim no session that is not its own.
    """

    def __init__(
        self, socket: zmq.asyncio.Socket, name: str, count: Count, allowed: tuple[type, ...], guard: Guard, role: Role
    ):
        super().__init__(socket, name, count, allowed, large=True)
        self._guard = guard
        self._role = role
        self._connections: OrderedDict[bytes, Connection] = OrderedDict()

    async def __aiter__(self) -> AsyncIterator[tuple[bytes, Any]]:
        while True:
            frames = await self._socket.recv_multipart(copy=False)
            await asyncio.sleep(0)
            device = user_id(frames[0])
            peer = device.encode() + frames[0].bytes
            connection = self._connections.pop(peer, None) or Connection.of(frames[0], device)
            if not device or self._guard.keys.device(device, self._role) is None:
                self._count(f'cut{{socket="{self.name}",reason="revoked"}}')  # it was let in before
                connection.cut()
                continue
            self._connections[peer] = connection
            if len(self._connections) > _CONNECTIONS:
                self._connections.popitem(last=False)
            message = self._decode([frame.buffer for frame in frames[1:]])
            if message is not None:
                yield peer, message
                continue
            connection.malformed += 1
            if connection.malformed >= _MALFORMED:
                connection.malformed = 0
                self._count(f'cut{{socket="{self.name}",reason="malformed"}}')
                connection.cut()

    def try_send(self, peer: bytes, message: Any) -> bool:
        """False, and counted, where the peer is gone or does not read."""
        return super().try_send(peer[KEY_CHARACTERS:], message)

    def device(self, peer: bytes) -> bytes:
        """The public key that the peer proved to have."""
        return peer[:KEY_CHARACTERS]

    def cut(self, device: bytes) -> list[bytes]:
        """Cut the device's connections; returns its peers."""
        peers = [peer for peer in self._connections if self.device(peer) == device]
        for peer in peers:
            self._connections.pop(peer).cut()
        return peers


class Dealer(Socket):
    """DEALER, connected: talks to one router."""

    troubles: tuple[zmq.asyncio.Socket, str, Credentials | None] | None = None

    async def trouble(self) -> str:
        """Wait until the router and this device cannot come together; returns why, in words. For ever where they can.

        libzmq mostly does not try again then: open a new dealer, later.
        """
        if self.troubles is None:
            await asyncio.get_running_loop().create_future()
        assert self.troubles is not None
        return await trouble(*self.troubles)

    def close(self, linger_ms: int = 0) -> None:
        """Safe to call twice. `linger_ms`: how long unsent messages may still leave."""
        if self.troubles is not None:
            self._socket.disable_monitor()  # first: libzmq would wait for room in a queue that nobody reads
            self.troubles[0].close(0)
            self.troubles = None
        super().close(linger_ms)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            message = self._decode(await self._parts())
            if message is not None:
                yield message

    def try_send(self, message: Any) -> bool:
        """False, and counted, where no router is connected or the queue is full."""
        return self._try_send(_encode(message), "full")

    async def put(self, message: Any) -> int:
        """Wait until a router is connected and there is room; returns the bytes sent."""
        parts = _encode(message)
        await self._socket.send_multipart(parts, copy=self._copy)
        self._count(f'sent{{socket="{self.name}"}}')
        return sum(len(part) for part in parts)
