"""A flood of hostile messages at a router behind keys, from five sides at once; a process of its own (`flooding`).

Devices that are authorized and send malformed messages, now and then an oversized one, and well-formed ones that belong
to no session, under names of their own making; devices whose key is unknown, and peers with a right key for another
router; peers without CURVE; and peers that speak no ZeroMQ at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clownfish.bus import Bus, Credentials, Dealer, Encoded, fresh_routing_id, new_pair
from clownfish.errors import ClownfishError
from clownfish.keys import Key, read_public, read_secret
from clownfish.protocol import FrameData, WindowRequest
from clownfish.section import host_port
from clownfish.within import within

_SIZES = (1, 20, 200, 2000)
_OVERSIZED_EVERY = 5000
_PER_CONNECTION = 200
"""A connection is cut after a hundred malformed messages; what comes behind them is lost, and was sent all the same."""
_HWM = 50
_PATIENCE_S = 2.0
_FULL_S, _TRIES = 0.02, 5
"""A queue that stays full for this long, so many times, is one whose connection was cut."""
_PER_CONTEXT = 64
"""Attackers with sockets in one ZeroMQ context, which holds a thousand: each has four, two of them monitors."""
_NICE = 5
"""Attackers of the real world take nothing of the router's processor but by what they send."""
_LOOKS = 10


@dataclass
class Flood:
    """`messages` are sent, by all attackers together. `oversized`: how large a message each endpoint must not take."""

    oversized: dict[str, int]
    """By endpoint of the router."""
    authorized: list[Credentials]
    messages: int
    progress: Callable[[int], None] = lambda sent: None
    """Told after each message how many there were."""
    sent: Counter[str] = field(default_factory=Counter)
    """By kind of attack."""

    async def run(self) -> None:
        """Until so many are sent."""
        works: list[Coroutine[Any, Any, None]] = []
        buses = [Bus(lambda name: None)]
        for n, each in enumerate(self.authorized):
            if n % _PER_CONTEXT == 0:
                buses.append(Bus(lambda name: None))
            works += [self._malformed(buses[-1], each, endpoint) for endpoint in self.oversized]
        for endpoint in self.oversized:
            works += [self._refused(buses[0], endpoint), self._foreign(endpoint)]
        try:
            await asyncio.gather(*works)
        finally:
            for bus in buses:
                bus.close(1000)

    @property
    def _over(self) -> bool:
        return self.sent.total() >= self.messages

    def _count(self, kind: str) -> None:
        self.sent[kind] += 1
        self.progress(self.sent.total())

    async def _malformed(self, bus: Bus, who: Credentials, endpoint: str) -> None:
        while not self._over:
            dealer = _dealer(bus, endpoint, who)
            with contextlib.suppress(asyncio.TimeoutError):
                await within(dealer.put(Encoded.raw([b"x"])), _PATIENCE_S)
                self._count("malformed")
                await self._burst(dealer, endpoint)
            dealer.close(linger_ms=1000)

    async def _burst(self, dealer: Dealer, endpoint: str) -> None:
        failed = 0
        for n in range(_PER_CONNECTION):
            kind, message = self._message(endpoint, self.sent.total() + n)
            while not dealer.try_send(message):
                failed += 1
                if failed > _TRIES or self._over:
                    return
                await asyncio.sleep(_FULL_S)
            self._count(kind)
            if self._over:
                return
            if n % _HWM == _HWM - 1:
                await asyncio.sleep(0)

    def _message(self, endpoint: str, n: int) -> tuple[str, Encoded]:
        if n % _OVERSIZED_EVERY == 0:
            return "oversized", Encoded.raw([bytes(self.oversized[endpoint])])
        name, number = os.urandom(6).hex(), int.from_bytes(os.urandom(5), "little")
        if n % 10 == 1:
            return "without a session", Encoded(FrameData(name, number, 0, 0, 0, name, 32, 32, b"hostile"))
        if n % 10 == 2:
            return "without a session", Encoded(WindowRequest(name, number, 0, (0, 1), 1000))
        return "malformed", Encoded.raw([os.urandom(_SIZES[n % len(_SIZES)])])

    async def _refused(self, bus: Bus, endpoint: str) -> None:
        stranger = Key("stranger", *new_pair())
        whose: dict[str, Callable[[], Credentials | None]] = {
            "unknown key": lambda: Credentials(Key("stranger", *new_pair()), self.authorized[0].router),
            "another router's key": lambda: Credentials(self.authorized[0].own, stranger.public),
            "no key": lambda: None,
        }
        while not self._over:
            for kind, curve in whose.items():
                dealer = _dealer(bus, endpoint, curve())
                dealer.try_send(Encoded.raw([b"x"]))
                with contextlib.suppress(asyncio.TimeoutError):
                    await within(dealer.trouble(), _PATIENCE_S)
                dealer.close()
                self._count(kind)

    async def _foreign(self, endpoint: str) -> None:
        host, port = host_port(endpoint)
        while not self._over:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.write(os.urandom(1000))
                await asyncio.sleep(0.01)
                writer.transport.abort()
                self._count("no ZeroMQ")


def _dealer(bus: Bus, endpoint: str, curve: Credentials | None) -> Dealer:
    """Each under an id of its own: ROUTER would not hear one that it has just cut."""
    return bus.dealer(endpoint, "hostile", (), routing_id=fresh_routing_id(), hwm=_HWM, curve=curve)


async def flooding(
    oversized: dict[str, int], keys: list[str], router: str, messages: int, look: Callable[[int], None]
) -> Counter[str]:
    """A flood from a process of its own; `keys` are files, `router` is its public key.

    `look` is told at each tenth how many were sent. Returns what was sent, by kind. Raises ClownfishError.
    """
    order = json.dumps({"oversized": oversized, "keys": keys, "router": router, "messages": messages})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, order, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None  # it is a pipe
    last: dict[str, int] = {}
    try:
        async for line in process.stdout:
            last = json.loads(line)
            look(sum(last.values()))
        if await process.wait() != 0:
            raise ClownfishError(f"the attackers ended with exit status {process.returncode}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Counter(last)


def _main(order: dict[str, Any]) -> None:
    os.nice(_NICE)
    router = read_public(order["router"])
    bad = [Credentials(read_secret(Path(key)), router) for key in order["keys"]]
    each = max(1, order["messages"] // _LOOKS)

    parent = os.getppid()

    def progress(sent: int) -> None:
        if os.getppid() != parent:  # who ordered the attack was killed: it must not go on for ever
            os._exit(1)
        if sent % each == 0 and sent < order["messages"]:
            print(json.dumps(flood.sent), flush=True)

    flood = Flood(order["oversized"], bad, order["messages"], progress)
    asyncio.run(flood.run())
    print(json.dumps(flood.sent), flush=True)


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
