"""The one place that speaks ZeroMQ: typed messages in, typed messages out, every drop counted (layer 2).

What was measured and is built in here:
- A high-water mark is back-pressure on ipc, but not on tcp; there credit is (`backlog`). Senders wait only if asked to.
- A socket belongs to one thread and one loop. One reader task per socket; no time-out is put around a receive.
- A busy socket is read without the loop ever turning, so after a millisecond of it others have their turn.
- What pyzmq's asyncio sockets do for each message costs twice what ZeroMQ itself does: they are waited for, no more.
- An idle bound socket keeps what its gone peers left until somebody reads its EVENTS: `Bus` does, each second.
- ROUTER drops what it cannot route unless MANDATORY; a DEALER queues for dead peers unless IMMEDIATE, and with it loses
  what it has not read when its connection ends: who hangs up gives it the time.
- `copy=False` pays above 64 kB: sockets that carry frames are opened with `large=True`.
- A CURVE server without a ZAP handler lets everybody in: `guard` comes before `router`, and libzmq is told to insist.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import TypeVar

import zmq
import zmq.asyncio

from clownfish import wire
from clownfish.bus.curve import WAITING, Credentials, Guard, credentials, monitor_of, new_pair, public_half
from clownfish.bus.routers import GuardedRouter, Router
from clownfish.bus.sockets import Count, Dealer, Encoded, Inbox, Outbox, Publisher, Socket
from clownfish.errors import ConfigError
from clownfish.fields import MAX_FRAME_BYTES
from clownfish.keys import Key, KeyFolder, Role
from clownfish.section import is_exposed

__all__ = [
    "Bus",
    "Credentials",
    "Dealer",
    "Encoded",
    "Guard",
    "Inbox",
    "Outbox",
    "Publisher",
    "Router",
    "credentials",
    "fresh_routing_id",
    "is_exposed",
    "new_pair",
    "public_half",
]
S = TypeVar("S", bound=Socket)

_RECONNECT_MS, _RECONNECT_MAX_MS = 50, 500


class Bus:
    """A process's sockets. Receivers bind, senders connect; a router binds both of its sides."""

    def __init__(self, count: Count) -> None:
        self._context = zmq.asyncio.Context()
        self._count = count
        self._sockets: list[Socket] = []
        self._guard: Guard | None = None
        self._housekeeping = asyncio.ensure_future(self._housekeep())

    def guard(self, keys: KeyFolder, on_revoked: Callable[[Key], None]) -> Guard:
        """From now on a router on tcp lets in whom this folder names, as it stands at any moment, and nobody else.

        Run what this returns once the routers are bound: nobody comes in before. `on_revoked` is told of each key
                that is not in the folder any more; its messages are refused already.
        """
        self._guard = Guard(self._context, keys, self._count, on_revoked)
        return self._guard

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

    def publisher(self, endpoint: str, name: str, *, hwm: int = 100) -> Publisher:
        """Bind a PUB socket: any number of subscribers, or none."""
        socket = self._open(zmq.PUB, hwm, -1)
        self._bind(socket, endpoint)
        return self._keep(Publisher(socket, name, self._count, (), False))

    def subscriber(self, endpoint: str, name: str, allowed: tuple[type, ...], *, hwm: int = 100) -> Inbox:
        """Connect a SUB socket to a publisher, which may come and go."""
        socket = self._open(zmq.SUB, hwm, wire.MAX_WINDOW_BYTES)
        socket.subscribe(b"")
        socket.connect(endpoint)
        return self._keep(Inbox(socket, name, self._count, allowed, False))

    def router(
        self,
        endpoint: str,
        name: str,
        allowed: tuple[type, ...],
        *,
        max_bytes: int,
        insecure: bool,
        large: bool = False,
        role: Role = "edge",
    ) -> Router:
        """Bind a ROUTER socket: on tcp behind CURVE, for devices of this `role`, where there is a guard.

        Raises ConfigError where there is none, the endpoint is open to other hosts, and not `insecure`.
        """
        guarded = self._guard is not None and endpoint.startswith("tcp://")
        if is_exposed(endpoint) and not guarded and not insecure:
            raise ConfigError(
                f"{name} would listen on {endpoint}, where other hosts reach it without authentication; give [router] "
                "keys (`clownfish keys new router`), bind it to 127.0.0.1, or say insecure = true (--insecure) on a "
                "network that you trust"
            )
        socket = self._open(zmq.ROUTER, 1000, max_bytes)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        if self._guard is None or not guarded:
            self._bind(socket, endpoint)
            return self._keep(Router(socket, name, self._count, allowed, large))
        socket.setsockopt(zmq.RCVHWM, WAITING)
        self._guard.apply(socket, role)
        connections = self._guard.watch(socket, name)
        self._bind(socket, endpoint)
        return self._keep(GuardedRouter(socket, name, self._count, allowed, self._guard, role, connections))

    def dealer(
        self,
        endpoint: str,
        name: str,
        allowed: tuple[type, ...],
        *,
        routing_id: bytes,
        hwm: int = 100,
        large: bool = False,
        curve: Credentials | None = None,
    ) -> Dealer:
        """Connect a DEALER socket under a fresh random `routing_id`; it queues nothing while no router is there.

        `curve`: speak to nobody but the router that has this key. It is not used on ipc, where the folder guards.
        """
        socket = self._open(zmq.DEALER, hwm, MAX_FRAME_BYTES)
        socket.setsockopt(zmq.ROUTING_ID, routing_id)
        socket.setsockopt(zmq.IMMEDIATE, 1)
        dealer = self._keep(Dealer(socket, name, self._count, allowed, large))
        if endpoint.startswith("tcp://"):
            if curve is not None:
                curve.apply(socket)
            dealer.troubles = (monitor_of(socket), endpoint, curve)
        socket.connect(endpoint)
        return dealer

    def close(self, linger_ms: int = 500) -> None:
        """Close every socket; unsent messages may leave for `linger_ms`, then they are gone."""
        self._housekeeping.cancel()
        if self._guard is not None:
            self._guard.close()
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

    def _keep(self, socket: S) -> S:
        self._sockets = [s for s in self._sockets if not s.closed]
        self._sockets.append(socket)
        return socket

    async def _housekeep(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(1)
                self._read_events()

    def _read_events(self) -> None:
        for socket in self._sockets:
            if not socket.closed:
                socket.look()


def fresh_routing_id() -> bytes:
    """Random, 16 bytes; the first is not 0, which ZeroMQ keeps for itself."""
    return b"c" + os.urandom(15)
