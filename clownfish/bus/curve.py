"""CURVE: who is at the other end of a socket that leaves the host (DESIGN §7, fail closed; layer 2).

The router's side is a `Guard`: the ZAP handler that libzmq asks about each handshake, and a look at the folder of keys
four times a second, so that who is revoked is cut off at once. libzmq asks only when a connection begins; so each
message, too, is held against the folder, by the User-Id that ZAP gave its connection. A routing id is never believed.

Both sides read their sockets' monitors, because a handshake that fails is otherwise silence; `in_words` says what is
wrong and what to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket as sockets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.asyncio
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from clownfish.errors import ConfigError
from clownfish.keys import Key, KeyFolder, Role, read_public, read_secret
from clownfish.limits import DeviceLimits, Shunned
from clownfish.log import get_logger
from clownfish.section import is_exposed
from clownfish.within import within

Count = Callable[[str], None]

_ZAP = "inproc://zeromq.zap.01"
_RELOAD_S = 0.25
_CONNECTS_PER_S = 4.0
"""Of one device; eight at once. What a connection leaves unread as it goes is memory until it is read."""
WAITING = 64
"""Messages of one guarded connection that may wait to be read: they are memory, also when it is gone. Honest devices
have fewer on the way: credit sees to it."""
_AT_THE_DOOR, _AT_THE_DOOR_S = 1024, 0.5
_FAILURES = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_OTHER_MECHANISM, _UNREADABLE = 0x11000002, 0x11000001
_BROKEN_OFF_IN_A_ROW = 3
"""Once may be a router that restarts; a wrong router key does it each time."""
_SAY_AGAIN_S = 60.0
_REMEMBERED = 100


def new_pair() -> tuple[str, str]:
    """A fresh key: its public and its secret half. Raises ConfigError where this libzmq was built without CURVE."""
    if not zmq.has("curve"):
        raise ConfigError("this libzmq was built without CURVE; install pyzmq's own wheel: pip install pyzmq")
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def public_half(secret: str) -> str:
    """The public half of a secret one. Raises ConfigError where it is none."""
    try:
        return bytes(zmq.curve_public(secret.encode())).decode()
    except (ValueError, zmq.ZMQError) as error:
        raise ConfigError(f"the secret half is no key that ZeroMQ can read ({error}); make a new one") from error


@dataclass(frozen=True)
class Credentials:
    """What a device needs to be let in: its own key, and the public key by which it knows the router."""

    own: Key
    router: str

    def apply(self, socket: zmq.asyncio.Socket) -> None:
        """Before `connect`. Raises ConfigError where libzmq cannot read a key."""
        _set_key(socket, zmq.CURVE_SECRETKEY, self.own.secret, self.own.name)
        _set_key(socket, zmq.CURVE_PUBLICKEY, self.own.public, self.own.name)
        _set_key(socket, zmq.CURVE_SERVERKEY, self.router, "router_key")


def credentials(
    section: str, key: str, router_key: str, endpoints: Sequence[str], insecure: bool
) -> Credentials | None:
    """As settings give them: a file, and a file or the key itself; None where both are empty.

    Raises ConfigError where a key cannot be read; and where there is none, an endpoint of the router leads beyond this
    host, and not `insecure`: frames would go in the clear to whoever answers there.
    """
    if key:
        return Credentials(read_secret(Path(key)), read_public(router_key))
    exposed = next(filter(is_exposed, endpoints), None)
    if exposed is not None and not insecure:
        raise ConfigError(
            f"[{section}] has no key, and {exposed} is beyond this host: frames would travel in the clear, to or from "
            f"whoever answers there; give [{section}] key and router_key (`clownfish keys new`), or say insecure = "
            "true on a network that you trust"
        )
    if exposed is not None:
        get_logger().warning("frames travel beyond this host in the clear, as told", to=exposed)
    return None


class Guard:
    """Lets in whom the folder names, and says which of them sent a message."""

    def __init__(
        self, context: zmq.asyncio.Context, keys: KeyFolder, count: Count, on_revoked: Callable[[Key], None]
    ) -> None:
        self.keys = keys
        self._count = count
        self._on_revoked = on_revoked
        self._said: dict[str, float] = {}
        self._monitored: list[tuple[zmq.asyncio.Socket, zmq.asyncio.Socket, str]] = []
        self._connects = DeviceLimits(messages_per_s=_CONNECTS_PER_S, bytes_per_s=1, streams=1, burst_s=2)
        self._shunned = Shunned()
        self.door = Door()
        self._waiting: asyncio.Queue[tuple[list[bytes], str]] = asyncio.Queue(_AT_THE_DOOR)
        """Who may come in when the door opens: to answer, and which device. Refusals never wait."""
        self._zap = context.socket(
            zmq.ROUTER
        )  # answers in any order, where REP would make each wait for the one before
        self._zap.setsockopt(zmq.LINGER, 0)
        self._zap.bind(_ZAP)
        self._look()

    async def run(self) -> None:
        """Guard, until cancelled. It begins after the sockets are bound; until then every handshake waits."""
        reports = [self._report(monitor, name) for _, monitor, name in self._monitored]
        await asyncio.gather(self._answer(), self._let_in(), self._watch_folder(), *reports)

    def apply(self, socket: zmq.asyncio.Socket, role: Role) -> None:
        """Before `bind`: the socket takes only clients that ZAP lets in, in this role."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        _set_key(socket, zmq.CURVE_SECRETKEY, self.keys.own.secret, "the router's key")
        socket.setsockopt(zmq.ZAP_DOMAIN, role.encode())
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without a handler: nobody, not everybody
        socket.setsockopt(zmq.HANDSHAKE_IVL, 10_000)

    def report(self, socket: zmq.asyncio.Socket, name: str) -> None:
        """After `bind`: count the socket's failed handshakes, and say of each kind what it means."""
        self._monitored.append((socket, socket.get_monitor_socket(_FAILURES), name))

    def malformed(self, device: str) -> bool:
        """The device sent a malformed message. Whether it is shunned from now on: cut its connections then."""
        if not self._shunned.malformed(device.encode(), time.monotonic()):
            return False
        if self._first_time(f"{device} shunned"):
            get_logger().warning("a device sends nothing but malformed messages: kept out for a while", key=device)
        return True

    def shuns(self, device: str) -> bool:
        """Whether nothing of the device is read for now."""
        return self._shunned.is_out(device.encode(), time.monotonic())

    def close(self) -> None:
        for socket, monitor, _ in self._monitored:
            if not socket.closed:
                socket.disable_monitor()
            monitor.close(0)
        self._zap.close(0)

    async def _answer(self) -> None:
        while True:
            (
                whose,
                empty,
                version,
                request,
                domain,
                address,
                _,
                mechanism,
                *credentials,
            ) = await self._zap.recv_multipart()
            to = [whose, empty, version, request]
            public, device = "", None
            if mechanism == b"CURVE" and len(credentials) == 1 and len(credentials[0]) == 32:
                public = z85.encode(credentials[0]).decode()
                # mypy: any text may be asked; a role that is none has no device
                device = self.keys.device(public, domain.decode(errors="replace"))  # type: ignore[arg-type]
            if device is None:
                self._say_refused(public, domain.decode(errors="replace"), address.decode(errors="replace"))
                await self._zap.send_multipart([*to, b"400", b"not authorized", b"", b""])
            elif self.shuns(public):
                await self._say_shunned(to)
            elif self._connects.message(public.encode(), time.monotonic()) is not None:
                self._count("connections_limited")
                await self._zap.send_multipart([*to, b"300", b"too many connections", b"", b""])
            elif self._waiting.full():
                self._count("connections_limited")
                await self._zap.send_multipart([*to, b"300", b"too many wait", b"", b""])
            else:
                self._waiting.put_nowait((to, public))

    async def _let_in(self) -> None:
        while True:
            to, public = await self._waiting.get()
            if not self.shuns(public):
                await self.door.wait()
            if self.shuns(public):  # since it asked
                await self._say_shunned(to)
            else:
                await self._zap.send_multipart([*to, b"200", b"", public.encode(), b""])

    async def _say_shunned(self, to: list[bytes]) -> None:
        self._count("connections_shunned")
        await self._zap.send_multipart([*to, b"300", b"too many malformed messages", b"", b""])

    def _say_refused(self, public: str, role: str, address: str) -> None:
        self._count("refused_keys")
        if self._first_time(f"{public} {role}"):
            get_logger().warning(
                f"a key is not authorized as {role}, further attempts are only counted; if it is yours: "
                f"clownfish keys authorize --role {role}",
                key=public,
                address=address,
            )

    def _first_time(self, what: str) -> bool:
        """Whether this was not said within the last minute. What is remembered is bounded: the log is, too."""
        now = time.monotonic()
        self._said = {each: said for each, said in self._said.items() if said + _SAY_AGAIN_S > now}
        if what in self._said or len(self._said) >= _REMEMBERED:
            return False
        self._said[what] = now
        return True

    async def _watch_folder(self) -> None:
        while True:
            await asyncio.sleep(_RELOAD_S)
            self._look()

    def _look(self) -> None:
        change = self.keys.reload()
        if change is None:
            return
        for fault in change.faults:
            get_logger().error("a key file lets nobody in", fault=fault)
        for key in change.revoked:
            self._count("devices_revoked")
            self._shunned.forget(key.public.encode())
            get_logger().warning("device revoked", device=key.name, role=key.role)
            self._on_revoked(key)
        for key in change.added:
            get_logger().info("device authorized", device=key.name, role=key.role)

    async def _report(self, monitor: zmq.asyncio.Socket, name: str) -> None:
        while True:
            event = parse_monitor_message(await monitor.recv_multipart())
            await asyncio.sleep(0)
            kind, value = int(event["event"]), int(event["value"])
            if kind == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                continue  # `_answer` has refused it, and said whom
            reason = {_OTHER_MECHANISM: "other_mechanism", _UNREADABLE: "unreadable"}.get(value, "broken_off")
            self._count(f'handshakes_failed{{socket="{name}",reason="{reason}"}}')
            if reason != "broken_off" and self._first_time(f"{name} {reason}"):
                get_logger().warning("handshake failed, further ones are only counted", socket=name, why=_AT[reason])


class Door:
    """Lets in no faster than what came in before is read: each new connection brings `WAITING` messages at most.

    A router that is short of time would else take in more than it reads, and what is unread is memory without bound.
    """

    def __init__(self) -> None:
        self._behind: set[str] = set()
        """Sockets in which more waits to be read."""
        self._read = 0
        """Messages since somebody came in."""
        self._open = asyncio.Event()
        self._open.set()

    def read(self, socket: str, drained: bool) -> None:
        """A message of this socket was read, or waited for: then it is drained."""
        self._read += 1
        if drained:
            self._behind.discard(socket)
        else:
            self._behind.add(socket)
        if not self._behind or self._read >= WAITING:
            self._open.set()

    async def wait(self) -> None:
        """Until one more may come in; not for ever, so that a router that is always behind is none that is closed."""
        with contextlib.suppress(asyncio.TimeoutError):
            await within(self._open.wait(), _AT_THE_DOOR_S)
        self._read = 0
        if self._behind:
            self._open.clear()


_AT = {
    "other_mechanism": "a peer came without CURVE: give it a key ([uplink] or [worker] key and router_key)",
    "unreadable": "a peer took this router for another (its router_key is not this router's), or is no peer of ours",
}


async def trouble(monitor: zmq.asyncio.Socket, endpoint: str, curve: Credentials | None) -> str:
    """Wait until the socket's handshake fails in a way that will not pass; returns what is wrong, in words."""
    broken_off = 0
    while True:
        event = parse_monitor_message(await monitor.recv_multipart())
        kind, value = int(event["event"]), int(event["value"])
        if kind == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            broken_off = 0
        elif kind == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            broken_off += 1
            if broken_off >= _BROKEN_OFF_IN_A_ROW:
                return in_words(kind, value, endpoint, curve)
        else:
            return in_words(kind, value, endpoint, curve)


def in_words(kind: int, value: int, endpoint: str, curve: Credentials | None) -> str:
    """A failed handshake of a device, as its monitor shows it: what is wrong, and what to do."""
    if kind == zmq.EVENT_HANDSHAKE_FAILED_AUTH and curve is not None:
        return (
            f"{endpoint} refuses this device's key {curve.own.public} ({curve.own.name!r}): it is unknown there, or "
            "revoked; on the router's host: clownfish keys authorize"
        )
    if value == _OTHER_MECHANISM and curve is None:
        return f"{endpoint} wants CURVE and this device came without: give it key and router_key (clownfish keys new)"
    if value == _OTHER_MECHANISM:
        return f"{endpoint} speaks no CURVE and this device insists on it: give that router [router] keys"
    if curve is not None:
        return (
            f"{endpoint} breaks off each handshake: router_key {curve.router} is not that router's key, most likely; "
            "compare it with router.pub there"
        )
    return (  # a router with keys may hang up before the other side has read which mechanism it wants
        f"{endpoint} breaks off each handshake: it wants CURVE and this device came without: give it key and "
        "router_key (clownfish keys new), or what listens there is no router of this release"
    )


def monitor_of(socket: zmq.asyncio.Socket) -> zmq.asyncio.Socket:
    """Before `connect`: where `trouble` hears of handshakes."""
    monitor: zmq.asyncio.Socket = socket.get_monitor_socket(_FAILURES | zmq.EVENT_HANDSHAKE_SUCCEEDED)
    return monitor


@dataclass
class Connection:
    """A connection of a device, as its first message showed it. libzmq can close none; its file descriptor can be."""

    device: str
    descriptor: int
    inode: int

    @classmethod
    def of(cls, frame: zmq.Frame, device: str) -> Connection:
        descriptor = int(frame.get(zmq.SRCFD))
        return cls(device, descriptor, _inode(descriptor))

    @property
    def is_cut(self) -> bool:
        return not self.inode

    def cut(self) -> None:
        """Shut it down at once. Where the descriptor is another's by now nothing happens: that one is left alone."""
        if self.inode and _inode(self.descriptor) == self.inode:
            with contextlib.suppress(OSError), sockets.socket(fileno=os.dup(self.descriptor)) as connection:
                connection.shutdown(sockets.SHUT_RDWR)
        self.inode = 0


def user_id(frame: zmq.Frame) -> str:
    """Whom ZAP let in on the connection that this came by; "" where it let nobody in."""
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return ""


def _inode(descriptor: int) -> int:
    try:
        return os.fstat(descriptor).st_ino
    except OSError:
        return 0


def _set_key(socket: zmq.asyncio.Socket, option: int, key: str, whose: str) -> None:
    try:
        socket.setsockopt(option, key.encode())
    except zmq.ZMQError as error:
        raise ConfigError(f"{whose}: {key[:8]}… is no key that ZeroMQ can read ({error}); make a new one") from error
