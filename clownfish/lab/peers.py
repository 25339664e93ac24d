"""The connections of the load: DEALER peers of a router, which cost little, and know when what they hear had come.

`PlainPeer` speaks ZMTP 3.0 over a plain socket: no thread beside the loop, one system call for a window, and the kernel
stamps what arrives, so that the times are the router's however late the load reads them. `GuardedPeer` is libzmq's, for
CURVE; its stamps are the times of reading.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeAlias

import zmq

from clownfish.errors import ClownfishError
from clownfish.fields import Part
from clownfish.section import host_port

Context: TypeAlias = "zmq.Context[zmq.Socket[bytes]]"
Heard: TypeAlias = "tuple[list[bytes], int]"
"""The parts of a message, and when it had come: ns of the wall clock, which is the kernel's for what it stamps."""

_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_MORE, _LONG, _COMMAND = 1, 2, 4
_CONNECT_S = 10.0
_TIMESTAMPNS = 35
"""SO_TIMESTAMPNS and SCM_TIMESTAMPNS, which Python's socket module does not name."""
_TIMESPEC = struct.Struct("qq")
_READ_BYTES = 1 << 20
_buffer = memoryview(bytearray(_READ_BYTES))
"""What was read last; a peer takes its own out of it at once."""


class Peer(Protocol):
    """One DEALER. `hear` gives whatever has come; `descriptor` shows in a poll that something has."""

    @property
    def descriptor(self) -> int: ...

    def send(self, *messages: list[Part]) -> None:
        """Hand these over at once. Raises ClownfishError where the router has stopped reading, or is gone."""

    def hear(self) -> Iterable[Heard]: ...


class PlainPeer:
    """ZMTP 3.0 with the mechanism NULL."""

    def __init__(self, endpoint: str, routing_id: bytes) -> None:
        self._unread = b""
        self._parts: list[bytes] = []
        with contextlib.ExitStack() as opened:
            try:
                self._socket = opened.enter_context(socket.create_connection(host_port(endpoint), _CONNECT_S))
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
                self._greet(routing_id)
                self._socket.setblocking(False)
            except OSError as error:
                raise ClownfishError(f"no router without keys answers on {endpoint}: {error}") from error
            opened.pop_all()

    @property
    def descriptor(self) -> int:
        return self._socket.fileno()

    def send(self, *messages: list[Part]) -> None:
        data = b"".join([each for parts in messages for each in _frames(parts)])
        try:
            sent = self._socket.send(data)
        except OSError as error:  # would block: a megabyte of this peer's is unread
            raise ClownfishError(f"the router does not take what is sent to it: {error}") from error
        if sent < len(data):
            raise ClownfishError(f"the router takes {sent} of {len(data)} bytes: it has not read for long")

    def hear(self) -> Iterator[Heard]:
        try:
            size, controls, _, _ = self._socket.recvmsg_into([_buffer], socket.CMSG_SPACE(_TIMESPEC.size))
        except BlockingIOError:
            return
        if not size:
            raise ClownfishError("the router has closed a connection")
        at_ns = _stamp(controls)
        data, at = self._unread + bytes(_buffer[:size]), 0
        while (frame := _frame(data, at)) is not None:
            flags, begin, at = frame
            if flags & _COMMAND:
                continue
            self._parts.append(data[begin:at])
            if not flags & _MORE:
                parts, self._parts = self._parts, []
                yield parts, at_ns
        self._unread = data[at:]

    def close(self) -> None:
        self._socket.close()

    def _greet(self, routing_id: bytes) -> None:
        """Both greetings and both READY, before any message: libzmq takes none sooner."""
        self._socket.sendall(_GREETING + _ready(routing_id))
        while (ready := _frame(self._unread, len(_GREETING))) is None:
            read = self._socket.recv(4096)
            if not read:
                raise ConnectionError("it hangs up in place of a greeting")
            self._unread += read
        self._unread = self._unread[ready[2] :]


class GuardedPeer:
    """libzmq's DEALER behind CURVE. `key`: public and secret; `router`: that one's public key."""

    def __init__(self, context: Context, endpoint: str, routing_id: bytes, key: tuple[str, str], router: str) -> None:
        self._socket = context.socket(zmq.DEALER)
        for option, value in ((zmq.LINGER, 0), (zmq.SNDHWM, 1000), (zmq.RCVHWM, 1000)):
            self._socket.setsockopt(option, value)
        self._socket.setsockopt(zmq.ROUTING_ID, routing_id)
        self._socket.setsockopt(zmq.CURVE_PUBLICKEY, key[0].encode())
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, key[1].encode())
        self._socket.setsockopt(zmq.CURVE_SERVERKEY, router.encode())
        self._socket.connect(endpoint)

    @property
    def descriptor(self) -> int:
        return int(self._socket.get(zmq.FD))

    def send(self, *messages: list[Part]) -> None:
        for parts in messages:
            self._socket.send_multipart(parts)

    def hear(self) -> Iterator[Heard]:
        """To the last: the descriptor gives one sign for all that has come, and sending may take it."""
        while True:
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            yield parts, time.time_ns()


class Peers:
    """All of one load. `router_key` is that of a router behind keys."""

    def __init__(self, count: int, router_key: str) -> None:
        self._context: Context = zmq.Context()
        self._context.set(zmq.MAX_SOCKETS, count + 16)
        self._router_key = router_key
        self._plain: list[PlainPeer] = []

    def open(self, endpoint: str, routing_id: bytes, key: tuple[str, str] | None) -> Peer:
        """One more, with a key or without."""
        if key is not None:
            return GuardedPeer(self._context, endpoint, routing_id, key, self._router_key)
        self._plain.append(PlainPeer(endpoint, routing_id))
        return self._plain[-1]

    def close(self) -> None:
        for peer in self._plain:
            peer.close()
        self._context.destroy(linger=0)


def _ready(routing_id: bytes) -> bytes:
    properties = b"".join(
        bytes((len(name),)) + name + len(value).to_bytes(4, "big") + value
        for name, value in ((b"Socket-Type", b"DEALER"), (b"Identity", routing_id))
    )
    body = b"\x05READY" + properties
    return bytes((_COMMAND, len(body))) + body


def _frames(parts: list[Part]) -> Iterator[Part]:
    last = len(parts) - 1
    for i, part in enumerate(parts):
        more = _MORE if i < last else 0
        if len(part) < 256:
            yield bytes((more, len(part)))
        else:
            yield bytes((more | _LONG,)) + len(part).to_bytes(8, "big")
        yield part


def _frame(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Flags, begin and end of the frame that begins here; None where it is not all here yet."""
    if len(data) < at + 2:
        return None
    flags = data[at]
    if not flags & _LONG:
        begin, size = at + 2, data[at + 1]
    elif len(data) >= at + 9:
        begin, size = at + 9, int.from_bytes(data[at + 1 : at + 9], "big")
    else:
        return None
    return (flags, begin, begin + size) if len(data) >= begin + size else None


def _stamp(controls: list[tuple[int, int, bytes]]) -> int:
    """When the kernel had the last of what was read; now, where it does not say."""
    for level, kind, data in controls:
        if level == socket.SOL_SOCKET and kind == _TIMESTAMPNS and len(data) == _TIMESPEC.size:
            seconds, ns = _TIMESPEC.unpack(data)
            return int(seconds) * 1_000_000_000 + int(ns)
    return time.time_ns()
