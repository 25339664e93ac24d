"""The sockets of `Bus`: what goes in and comes out of each kind, and what is counted (layer 2)."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Any

import zmq
import zmq.asyncio
from zmq.backend import Socket as PlainSocket

from clownfish import wire
from clownfish.bus.curve import Connection, Credentials, Guard, trouble, user_id
from clownfish.errors import WireError
from clownfish.keys import KEY_CHARACTERS, Role
from clownfish.log import get_logger
from clownfish.within import within

Count = Callable[[str], None]

_CONNECTIONS = 16_384
"""Connections that a guarded socket remembers; the longest silent is forgotten, and known again when it speaks."""
_TURN_S = 0.001
"""A socket on which messages do not cease lets others have the loop after so long."""
# plain numbers: pyzmq's enums cost more than what they ask for
_EVENTS, _FD, _MORE = int(zmq.EVENTS), int(zmq.FD), int(zmq.RCVMORE)
_NOBLOCK, _SEND_MORE = int(zmq.NOBLOCK), int(zmq.SNDMORE)
_IN, _OUT = int(zmq.POLLIN), int(zmq.POLLOUT)


class Socket:
    """What all sockets share: a name for counters, receive, send, close.

    The loop watches the socket's descriptor, and everything else happens at once: a message costs no future and no turn
    of the loop. The descriptor gives one sign for all that has come, and whoever reads EVENTS, or sends, may take it.
    """

    def __init__(self, socket: zmq.asyncio.Socket, name: str, count: Count, allowed: tuple[type, ...], large: bool):
        self._socket = socket
        self._plain = PlainSocket(shadow=socket.underlying)  # the same one, without pyzmq's asyncio around it
        self.name = name
        self._count = count
        self._allowed = allowed
        self._copy = not large
        self._malformed_logged = False
        self._watched_by: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[int, asyncio.Future[None]] = {}  # one reads, and one at a time waits to write
        self._puts = asyncio.Lock()

    @property
    def closed(self) -> bool:
        return self._socket.closed

    def close(self, linger_ms: int = 0) -> None:
        """Safe to call twice. `linger_ms`: how long unsent messages may still leave."""
        if self._watched_by is not None and not self.closed:
            self._watched_by.remove_reader(int(self._plain.get(_FD)))
            for waiting in self._waiting.values():
                waiting.cancel()
        self._socket.close(linger=linger_ms)

    def look(self) -> None:
        """Read EVENTS, and wake whoever waits for what is possible now."""
        events = self._plain.get(_EVENTS)
        for event, waiting in self._waiting.items():
            if int(events) & event and not waiting.done():
                waiting.set_result(None)

    async def _until(self, event: int) -> None:
        """Until the socket can be read (_IN) or written (_OUT)."""
        loop = asyncio.get_running_loop()
        if self._watched_by is None:
            self._watched_by = loop
            loop.add_reader(int(self._plain.get(_FD)), self.look)
        waiting = self._waiting[event] = loop.create_future()
        self.look()
        try:
            await waiting
        finally:
            del self._waiting[event]

    async def _messages(self) -> AsyncIterator[list[Any]]:
        """The parts of each message. The loop turns when there is none, and each millisecond."""
        turned = time.monotonic()
        while True:
            try:
                parts = self._receive()
            except zmq.Again:
                await self._until(_IN)
                turned = time.monotonic()
                continue
            yield parts
            if time.monotonic() - turned > _TURN_S:
                await asyncio.sleep(0)
                turned = time.monotonic()

    def _receive(self) -> list[Any]:
        """Raises zmq.Again where nothing has come."""
        if self._copy:
            return [self._plain.recv(_NOBLOCK), *self._rest()]
        frames = [self._plain.recv(_NOBLOCK, copy=False)]
        while frames[-1].more:
            frames.append(self._plain.recv(_NOBLOCK, copy=False))
        return [frame.buffer for frame in frames]

    def _rest(self) -> list[bytes]:
        """What follows the first part of a message that has come: it is here as well."""
        parts = []
        while self._plain.get(_MORE):
            parts.append(self._plain.recv(_NOBLOCK))
        return parts

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
        """Send now or not at all."""
        if self._puts.locked() or not self._send(parts):  # where a `put` waits the socket is full
            self._count(f'dropped{{socket="{self.name}",reason="{dropped}"}}')
            return False
        self._count(f'sent{{socket="{self.name}"}}')
        return True

    async def _put(self, parts: list[Any]) -> None:
        """Send as soon as there is room, those who wait in turn."""
        async with self._puts:
            while not self._send(parts):
                await self._until(_OUT)
        self._count(f'sent{{socket="{self.name}"}}')

    def _send(self, parts: list[Any]) -> bool:
        """False where there is no room, or nobody to send to."""
        send, copy = self._plain.send, self._copy
        try:
            for part in parts[:-1]:
                send(part, _NOBLOCK | _SEND_MORE, copy)
            send(parts[-1], _NOBLOCK, copy)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            return False
        finally:
            if self._waiting:
                self.look()
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
        async for parts in self._messages():
            message = self._decode(parts)
            if message is not None:
                yield message


class Outbox(Socket):
    """PUSH, connected to one inbox."""

    def try_send(self, message: Any) -> bool:
        """Send if there is room; False, and counted, where the receiver does not keep up or is away."""
        return self._try_send(_encode(message), "full")

    async def put(self, message: Any) -> None:
        """Wait for room, then send: for streams that are not live, which the graph slows down to its own pace."""
        await self._put(_encode(message))

    async def insist(self, message: Any, patience_s: float = 1.0) -> bool:
        """`put`, for a message that matters more than the next ones; a receiver that is away stops nobody for ever."""
        try:
            await within(self.put(message), patience_s)
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
        async for peer, *parts in self._messages():
            message = self._decode(parts)
            if message is not None:
                yield peer, message

    def _receive(self) -> list[Any]:
        """What is kept of messages from many peers must not hold their buffers: a copy, always."""
        return [self._plain.recv(_NOBLOCK), *self._rest()]

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
        async for frame, *parts in self._messages():
            device = user_id(frame)
            peer = device.encode() + frame.bytes
            connection = self._connections.pop(peer, None)
            shunned = self._guard.shuns(device)
            if connection is None or (connection.is_cut and not shunned):  # it came back under the same routing id
                connection = Connection.of(frame, device)
            if not device or self._guard.keys.device(device, self._role) is None:
                self._count(f'cut{{socket="{self.name}",reason="revoked"}}')  # it was let in before
                connection.cut()
                continue
            self._connections[peer] = connection
            if len(self._connections) > _CONNECTIONS:
                self._connections.popitem(last=False)
            if shunned:  # what it had sent before it was cut, or before another of its connections was
                self._count(f'shunned{{socket="{self.name}"}}')
                connection.cut()
                continue
            message = self._decode(parts)
            if message is not None:
                yield peer, message
                continue
            if self._guard.malformed(device):
                self._count(f'cut{{socket="{self.name}",reason="malformed"}}')
                connection.cut()

    def _receive(self) -> list[Any]:
        try:
            parts = [self._plain.recv(_NOBLOCK, copy=False), *self._rest()]  # a zmq.Frame knows whose it is
        except zmq.Again:
            self._guard.door.read(self.name, drained=True)
            raise
        self._guard.door.read(self.name, drained=False)
        return parts

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

    async def met(self) -> None:
        """Wait until a router is there and has let this device in. Nothing is sent."""
        await self._until(_OUT)

    def close(self, linger_ms: int = 0) -> None:
        """Safe to call twice. `linger_ms`: how long unsent messages may still leave."""
        if self.troubles is not None:
            self._socket.disable_monitor()  # first: libzmq would wait for room in a queue that nobody reads
            self.troubles[0].close(0)
            self.troubles = None
        super().close(linger_ms)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for parts in self._messages():
            message = self._decode(parts)
            if message is not None:
                yield message

    def try_send(self, message: Any) -> bool:
        """False, and counted, where no router is connected or the queue is full."""
        return self._try_send(_encode(message), "full")

    async def put(self, message: Any) -> int:
        """Wait until a router is connected and there is room; returns the bytes sent."""
        parts = _encode(message)
        await self._put(parts)
        return sum(len(part) for part in parts)
