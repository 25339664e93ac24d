"""What passes through a network: a ZeroMQ stream over the sockets that carry frames, and plain datagrams.

TCP takes loss for a sign that it is too fast, so on a lossy link the ZeroMQ stream says how TCP fares there, and the
datagrams, which keep coming, how much the link lets through.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from clownfish.bus import Bus, fresh_routing_id
from clownfish.lab.net.namespace import Namespace
from clownfish.protocol import FrameData
from clownfish.within import within

_PORT = 7199
_SMALL_BYTES, _LARGE_BYTES, _LARGE_FROM_MBIT = 8_000, 32_000, 20.0
"""Of a message: small ones on a slow link, so that its rate is not measured in a few large steps."""
_DATAGRAM_BYTES = 800
"""So that the payload is 95 % of what is on the wire, as TCP's is."""
_SO_SNDBUFFORCE = 32
Arrivals = list[tuple[float, int]]
"""(time.monotonic(), bytes), one for each message or datagram."""


@dataclass(frozen=True)
class Goodput:
    """What arrived between two moments, without any header."""

    begin_s: float
    end_s: float
    """Both time.monotonic()."""
    size_bytes: int

    @property
    def mbit(self) -> float:
        """Per second."""
        return self.size_bytes * 8e-6 / (self.end_s - self.begin_s)


def goodput(arrivals: Arrivals, begin_s: float, end_s: float) -> Goodput:
    """From the first arrival in that time to the last. Where nothing came, nothing between the two moments."""
    inside = [(at, size) for at, size in arrivals if begin_s <= at <= end_s]
    if len(inside) < 2:
        return Goodput(begin_s, end_s, 0)
    # What came with the first arrival was sent before it.
    return Goodput(inside[0][0], inside[-1][0], sum(size for _, size in inside[1:]))


def zeromq_stream(sender: Namespace, receiver: Namespace, address: str, seconds: float, rate_mbit: float) -> Arrivals:
    """Frames from DEALER to ROUTER at most at that rate, for so long; when they arrived. `address`: the receiver's."""
    size = _LARGE_BYTES if rate_mbit >= _LARGE_FROM_MBIT else _SMALL_BYTES
    until = time.monotonic() + seconds
    arrivals: Arrivals = []

    async def receive(bus: Bus) -> None:
        router = bus.router(
            f"tcp://{address}:{_PORT}", "stream", (FrameData,), max_bytes=1 << 20, insecure=True, large=True
        )
        async for _, message in router:
            arrivals.append((time.monotonic(), len(message.data)))

    async def send(bus: Bus) -> None:
        dealer = bus.dealer(f"tcp://{address}:{_PORT}", "stream", (), routing_id=fresh_routing_id(), hwm=8, large=True)
        frame = FrameData("stream", 0, 0, 0, 0, "raw", 1, 1, bytes(size))
        await dealer.put(frame)  # waits until there is a connection
        begin, sent = time.monotonic(), 0
        while True:
            await asyncio.sleep(max(0.0, begin + sent * 8e-6 / rate_mbit - time.monotonic()))
            await dealer.put(frame)
            sent += size

    with ThreadPoolExecutor(2) as threads:
        ends = [
            threads.submit(receiver.call, _until, receive, until),
            threads.submit(sender.call, _until, send, until),
        ]
    for end in ends:
        end.result()
    return arrivals


def _until(work: Callable[[Bus], Awaitable[None]], until: float) -> None:
    """Run one end, in this thread and so in its namespace, until then."""

    async def run() -> None:
        bus = Bus(lambda name: None)
        try:
            await within(work(bus), max(0.0, until - time.monotonic()))
        except asyncio.TimeoutError:
            pass
        finally:
            bus.close(0)

    asyncio.run(run())


def datagram_stream(sender: Namespace, receiver: Namespace, address: str, seconds: float, rate_mbit: float) -> Arrivals:
    """UDP datagrams at that rate, for so long; when they arrived. `address`: the receiver's."""
    arrivals: Arrivals = []
    with receiver.call(_udp) as inbox, sender.call(_udp) as outbox:
        inbox.bind((address, _PORT))
        inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        begin, sent = time.monotonic(), 0
        while (now := time.monotonic()) < begin + seconds:
            due = begin + sent * 8e-6 / rate_mbit
            if now >= due:
                with contextlib.suppress(BlockingIOError):  # the device's queue is full: one that is lost
                    outbox.sendto(bytes(_DATAGRAM_BYTES), (address, _PORT))
                sent += _DATAGRAM_BYTES
                continue
            if select.select([inbox], [], [], due - now)[0]:
                arrivals.append((time.monotonic(), len(inbox.recv(2 * _DATAGRAM_BYTES))))
    return arrivals


def _udp() -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 1 << 20)  # or it is full before a shaper's queue is
    opened.setblocking(False)
    return opened
