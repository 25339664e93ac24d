"""The sockets of a router, which many peers connect to: without keys, and behind CURVE (layer 2)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import zmq
import zmq.asyncio

from clownfish.bus.connections import Connections
from clownfish.bus.curve import Guard, admitted
from clownfish.bus.sockets import IN, NOBLOCK, TURN_S, Count, Socket, parts_of
from clownfish.keys import KEY_CHARACTERS, Role

Take: TypeAlias = Callable[[bytes, Any], None]


class Router(Socket):
    """ROUTER, bound: `each`, or `async for peer, message in router`. A `peer` is a routing id: no identity."""

    _taking: _Taking | None = None

    async def __aiter__(self) -> AsyncIterator[tuple[bytes, Any]]:
        async for parts in self._messages():
            heard = self._heard(parts)
            if heard is not None:
                yield heard

    async def each(self, take: Take) -> None:
        """Call `take(peer, message)` for whatever comes, until cancelled or `take` raises.

        What thousands of peers say costs no future and no turn of a task so; it costs the loop a callback for all that
        has come, and others have their turn each millisecond.
        """
        self._taking = _Taking(take, asyncio.get_running_loop())
        self._unwatch()
        self._watch(self._turn)
        self._turn()
        try:
            await self._taking.failed
        finally:
            self._taking = None
            self._unwatch()

    def _turn(self) -> None:
        """Hand over what has come."""
        taking = self._taking
        if taking is None or taking.failed.done():
            return
        taking.now, taking.soon = True, False
        until = time.monotonic() + TURN_S
        try:
            while time.monotonic() < until:
                heard = self._heard(self._receive())
                if heard is not None:
                    taking.take(*heard)
            self._turn_soon(taking)
        except zmq.Again:
            pass
        except Exception as error:
            taking.failed.set_exception(error)
        finally:
            taking.now = False

    def _turn_soon(self, taking: _Taking) -> None:
        if not taking.soon:
            taking.soon = True
            taking.loop.call_soon(self._turn)

    def _possible(self, events: int) -> None:
        if self._taking is not None and events & IN:
            self._turn_soon(self._taking)
        super()._possible(events)

    def _send(self, parts: list[Any]) -> bool:
        sent = super()._send(parts)
        if self._taking is not None and not self._taking.now:  # else it is read to the last anyhow
            self.look()
        return sent

    def _heard(self, parts: list[Any]) -> tuple[bytes, Any] | None:
        """Whose message this is, and which; None where it is not to be read."""
        peer, *rest = parts
        message = self._decode(rest)
        return None if message is None else (peer, message)

    def _receive(self) -> list[Any]:
        """What is kept of messages from many peers must not hold their buffers: a copy, always."""
        return [self._plain.recv(NOBLOCK), *self._rest()]

    def try_send(self, peer: bytes, message: Any) -> bool:
        """False, and counted, where the peer is gone or does not read."""
        return self._try_send([peer, *parts_of(message)], "unroutable")

    def device(self, peer: bytes) -> bytes:
        """Whose session this is. Without keys a routing id is all that there is to tell peers apart."""
        return peer

    def cut(self, device: bytes) -> list[bytes]:
        """Cut the device's connections; returns its peers. Without keys there is none to cut."""
        return []


class _Taking:
    """What `Router.each` is at."""

    def __init__(self, take: Take, loop: asyncio.AbstractEventLoop) -> None:
        self.take, self.loop = take, loop
        self.failed: asyncio.Future[None] = loop.create_future()
        self.now = False
        """In a turn, at whose end nothing is left to read."""
        self.soon = False
        """A turn is on its way."""


class GuardedRouter(Router):
    """ROUTER behind CURVE. `peer` begins with the device's public key, as ZAP found it, and its routing id follows.

    Another device that takes the same routing id is another peer: it can claim no session that is not its own.
    """

    def __init__(
        self,
        socket: zmq.asyncio.Socket,
        name: str,
        count: Count,
        allowed: tuple[type, ...],
        guard: Guard,
        role: Role,
        connections: Connections,
    ):
        super().__init__(socket, name, count, allowed, large=True)
        self._guard = guard
        self._role = role
        self._connections = connections

    def _heard(self, parts: list[Any]) -> tuple[bytes, Any] | None:
        frame, *rest = parts
        device, admission = admitted(frame)
        peer = device.encode() + frame.bytes
        connection = self._connections.of(frame, admission, peer)
        if not device or self._guard.keys.device(device, self._role) is None:
            self._count(f'cut{{socket="{self.name}",reason="revoked"}}')  # it was let in before
            self._connections.cut(connection)
            return None
        if self._guard.shuns(device):  # sent before this was cut, or before another of its connections was
            self._count(f'shunned{{socket="{self.name}"}}')
            self._connections.cut(connection)
            return None
        message = self._decode(rest)
        if message is not None:
            return peer, message
        if self._guard.malformed(device):
            self._count(f'cut{{socket="{self.name}",reason="malformed"}}')
            self._connections.cut(connection)
        return None

    def _receive(self) -> list[Any]:
        try:
            parts = [self._plain.recv(NOBLOCK, copy=False), *self._rest()]  # a zmq.Frame knows whose it is
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
        return self._connections.cut_all(device)
