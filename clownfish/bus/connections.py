"""Which connection of a guarded socket a message came by, and how to cut it (layer 2).

libzmq closes no connection on request, but its file descriptor can be shut down. A message says that descriptor's
number; by the time it is read its sender may be gone, and the number another's, whom nobody must cut. So what happens
is numbered, in the order in which libzmq does it: each connection that is accepted, and each that is let in
(`Guard`). A message carries the number of its own connection's admission. Where the descriptor was closed, or accepted
anew after that admission, the message's connection is gone, and there is nothing to cut.

The socket's monitor says so in time: libzmq reports a connection's end before it closes the descriptor, and its
beginning before it asks who that is. Whatever is known of a connection goes with it: a device that connects ten
thousand times leaves nothing here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket as sockets
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import zmq
import zmq.asyncio
from zmq.backend import Socket as PlainSocket

_FAILURES = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_EVENT = struct.Struct("=Hi")
# plain numbers: pyzmq's enums cost more than what they ask for
_ACCEPTED, _DISCONNECTED = int(zmq.EVENT_ACCEPTED), int(zmq.EVENT_DISCONNECTED)
_FD, _NOBLOCK, _SRCFD = int(zmq.FD), int(zmq.NOBLOCK), int(zmq.SRCFD)


@dataclass
class Connection:
    """A connection that is open, and by which a message came."""

    admission: int
    descriptor: int
    peer: bytes
    is_cut: bool = False


class Connections:
    """Those of one bound socket. Make it before `bind`, so that it misses none, and `run` it."""

    def __init__(
        self, socket: zmq.asyncio.Socket, order: Iterator[int], on_failure: Callable[[int, int], None]
    ) -> None:
        """`order` numbers what happens, for all sockets and whoever lets in. `on_failure`: a handshake that failed, as
        event and value."""
        self._socket = socket
        self._order = order
        self._on_failure = on_failure
        self._monitor = socket.get_monitor_socket(_FAILURES | zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self._plain = PlainSocket(shadow=self._monitor.underlying)
        self._accepted: dict[int, int] = {}
        """Descriptors that are open → the number of their accepting."""
        self._known: dict[int, Connection] = {}
        """By admission."""
        self._admissions: dict[int, int] = {}
        """Descriptors of those that are known → their admission."""

    def __len__(self) -> int:
        """How many are open, let in or not."""
        return len(self._accepted)

    async def run(self) -> None:
        """Follow what the monitor says, until cancelled: libzmq waits once two thousand events are unread."""
        loop, said = asyncio.get_running_loop(), asyncio.Event()
        descriptor = int(self._plain.get(_FD))
        loop.add_reader(descriptor, said.set)
        try:
            while True:
                self.look()
                await said.wait()
                said.clear()
        finally:
            loop.remove_reader(descriptor)

    def look(self) -> None:
        """Take in what has happened so far."""
        while True:
            try:
                head = self._plain.recv(_NOBLOCK)
            except zmq.Again:
                return
            self._plain.recv(_NOBLOCK)  # the endpoint
            event, value = _EVENT.unpack(head)
            if event == _ACCEPTED:
                self._accepted[value] = next(self._order)
            elif event == _DISCONNECTED:
                self._accepted.pop(value, None)
                self._known.pop(self._admissions.pop(value, -1), None)
            else:
                self._on_failure(event, value)

    def of(self, frame: zmq.Frame, admission: int, peer: bytes) -> Connection | None:
        """The connection by which `peer` sent the frame, let in under this number; None where it is gone."""
        known = self._known.get(admission)
        if known is not None:
            return known
        self.look()
        descriptor = int(frame.get(_SRCFD))
        accepted = self._accepted.get(descriptor)
        if accepted is None or accepted > admission:
            return None
        self._admissions[descriptor] = admission
        self._known[admission] = Connection(admission, descriptor, peer)
        return self._known[admission]

    def cut(self, connection: Connection | None) -> None:
        """Shut it down at once, where it is still there."""
        if connection is None or connection.is_cut:
            return
        connection.is_cut = True
        with contextlib.suppress(OSError):
            descriptor = os.dup(connection.descriptor)  # first: whatever this is now, it stays
            try:
                self.look()
                if connection.admission in self._known:
                    with sockets.socket(fileno=os.dup(descriptor)) as it:
                        it.shutdown(sockets.SHUT_RDWR)
            finally:
                os.close(descriptor)

    def cut_all(self, device: bytes) -> list[bytes]:
        """Cut those whose peer begins so; returns these peers."""
        its = [each for each in self._known.values() if each.peer.startswith(device)]
        for each in its:
            self.cut(each)
        return [each.peer for each in its]

    def close(self) -> None:
        if not self._socket.closed:
            self._socket.disable_monitor()
        self._monitor.close(0)
