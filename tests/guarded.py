"""Test tools: a router behind keys and the devices around it, on real sockets in one loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from clownfish.bus import Bus, Credentials, Dealer, Router, fresh_routing_id
from clownfish.keys import Key, KeyFolder
from clownfish.protocol import Ping, Pulse
from tests.graph.harness import free_ports, until
from tests.keyrings import Keyring

GRACE_S = 20.0


@dataclass
class Cloud:
    """A guarded router, the devices around it, and what came."""

    keys: Keyring
    endpoint: str
    bus: Bus
    outside: Bus
    """The devices' own."""
    counts: Counter[str]
    router: Router
    revoked: list[str] = field(default_factory=list)
    came: list[tuple[bytes, int]] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def read(self) -> None:
        """From now on, until the end."""

        async def reading() -> None:
            async for peer, message in self.router:
                self.came.append((peer, message.sequence))

        self.tasks.append(asyncio.ensure_future(reading()))

    def dealer(self, curve: Credentials | None, routing_id: bytes = b"") -> Dealer:
        return self.outside.dealer(
            self.endpoint, "dealer", (Pulse,), routing_id=routing_id or fresh_routing_id(), curve=curve
        )

    async def device(self, name: str) -> Credentials:
        """An authorized one, which the guard knows of."""
        curve = self.keys.device(name)
        await self.known(curve)
        return curve

    async def known(self, curve: Credentials) -> None:
        guard = self.bus._guard
        assert guard is not None
        await until(lambda: guard.keys.device(curve.own.public, "edge") is not None, "the folder is read again", 20)

    def from_device(self, curve: Credentials) -> list[int]:
        return [number for peer, number in self.came if peer.startswith(curve.own.public.encode())]

    def count(self, beginning: str) -> int:
        return sum(count for name, count in self.counts.items() if name.startswith(beginning))


@contextlib.asynccontextmanager
async def guarded(keys: Keyring, run: bool = True, read: bool = True) -> AsyncIterator[Cloud]:
    """`run` the guard; `read` what comes, or leave that to the test."""
    counts: Counter[str] = Counter()
    revoked: list[str] = []
    bus, outside = Bus(lambda name: counts.update([name])), Bus(lambda name: None)
    router: Router

    def on_revoked(key: Key) -> None:
        revoked.append(key.name)
        router.cut(key.public.encode())

    guard = bus.guard(KeyFolder(keys.folder), on_revoked)
    endpoint = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    router = bus.router(endpoint, "control", (Ping,), max_bytes=10_000, insecure=False)
    cloud = Cloud(keys, endpoint, bus, outside, counts, router, revoked)

    if run:
        cloud.tasks.append(asyncio.ensure_future(guard.run()))
    if read:
        cloud.read()
    try:
        yield cloud
        assert not [task for task in cloud.tasks if task.done()], "the guard failed"
    finally:
        for task in cloud.tasks:
            task.cancel()
        await asyncio.gather(*cloud.tasks, return_exceptions=True)
        outside.close(0)
        bus.close(0)


async def reaches(cloud: Cloud, curve: Credentials, number: int = 1) -> None:
    dealer = cloud.dealer(curve)
    await asyncio.wait_for(dealer.put(Ping(number)), GRACE_S)
    await until(lambda: number in cloud.from_device(curve), "an authorized device comes in", GRACE_S)
    dealer.close()
