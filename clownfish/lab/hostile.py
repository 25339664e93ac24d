"""What a flood of hostile messages does to a router behind keys: its memory, and the service to an honest edge.

One graph, edge and cloud, over TCP with keys; first left alone, then under attack from four sides at once: a device
that is authorized and sends malformed messages, and now and then an oversized one; devices whose key is unknown; peers
that speak no ZeroMQ at all; and peers that speak it without CURVE. Attackers and victims share this machine's cores, so
the share of windows that is still answered is what is left of them, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from clownfish.bus import Bus, Credentials, Dealer, Encoded, fresh_routing_id, new_pair
from clownfish.config import validate
from clownfish.errors import ClownfishError
from clownfish.keys import Key, write_key
from clownfish.lab.figures import Figure, Line
from clownfish.lab.workload import Pair, graph
from clownfish.settings import Config, to_tree
from clownfish.supervisor import Supervisor

_ATTACKERS = 12
"""Connections of the authorized attacker at a time; each is cut after a hundred messages, and begins anew."""
_SIZES = (1, 20, 200, 2000)
_OVERSIZED_EVERY, _OVERSIZED_BYTES = 5000, 300_000
_PER_CONNECTION = 200
_READY_S = 60.0


@dataclass
class _Tally:
    sent: int = 0
    resident_mb: float = 0.0
    answered: float = 0.0
    seconds: float = 0.0

    @property
    def per_s(self) -> float:
        return self.answered / self.seconds


def hostile_lines(folder: Path, source: str, pair: Pair, messages: int, quiet_s: float, say: Any) -> list[Line]:
    """Two lines: the honest edge's answers per second, and the router's memory; each beside the time before."""
    return asyncio.run(_measure(folder, source, pair, messages, quiet_s, say))


async def _measure(folder: Path, source: str, pair: Pair, messages: int, quiet_s: float, say: Any) -> list[Line]:
    place = folder / "hostile"
    place.mkdir(parents=True)
    keys, router, bad = _keys(place)
    config = _config(place, source, pair, keys, router)
    supervisor = Supervisor(config, place)
    try:
        say("a router behind keys …")
        await supervisor.start(wait_for_all=True)
        await _until(supervisor, lambda: _answered(supervisor) > 0)
        await _flood(config, Credentials(bad, router.public), max(100, messages // 10))  # heaps grow once
        quiet = await _while(supervisor, asyncio.sleep(quiet_s))
        say(f"{messages} hostile messages …")
        hostile = await _while(supervisor, _flood(config, Credentials(bad, router.public), messages))
        counters = supervisor.children["router"].status
        assert counters is not None  # it has answered
        found = counters.counters
        restarts = [name for name, child in supervisor.children.items() if child.restarts]
        if restarts:
            raise ClownfishError(f"{', '.join(restarts)} ended under attack; {place} has the logs")
    finally:
        await supervisor.stop(drain=False)
    failed = sum(n for name, n in found.items() if name.startswith("handshakes_failed"))
    malformed = sum(n for name, n in found.items() if name.startswith("malformed"))
    cut = sum(n for name, n in found.items() if name.startswith("cut"))
    note = f"{hostile.sent} sent in {hostile.seconds:.0f} s: {malformed} read and dropped, {cut} connections cut, "
    note += f"{failed} handshakes failed, {found.get('refused_keys', 0)} keys refused"
    return [
        Line(
            "an honest edge's answers under attack",
            Figure(hostile.per_s, "1/s"),
            "left alone",
            Figure(quiet.per_s, "1/s"),
            note,
        ),
        Line(
            "the router's memory after the attack",
            Figure(hostile.resident_mb, "MB"),
            "before",
            Figure(quiet.resident_mb, "MB"),
            f"{_gauge(supervisor, 'edges')} edges let in",
        ),
    ]


def _keys(place: Path) -> tuple[Path, Key, Key]:
    keys = place / "keys"
    router, door, bad = (Key(name, *new_pair()) for name in ("router", "door", "bad"))
    write_key(keys / "router.key", router)
    for key in (door, bad):
        write_key(keys / "authorized" / f"{key.name}.pub", Key(key.name, key.public))
    write_key(place / "door.key", door)
    return keys, router, bad


def _config(place: Path, source: str, pair: Pair, keys: Path, router: Key) -> Config:
    tree = to_tree(graph(place, source, pair, cloud=True))
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        control, data = (f"tcp://127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    tree["router"] |= {"control": control, "data": data, "keys": str(keys)}
    tree["uplink"] |= {"control": control, "data": data, "key": str(place / "door.key"), "router_key": router.public}
    return validate({name: section for name, section in tree.items() if section is not None}, "bench")


def _answered(supervisor: Supervisor) -> int:
    status = supervisor.children["uplink"].status
    return status.counters.get("windows_answered", 0) if status is not None else 0


def _gauge(supervisor: Supervisor, name: str) -> int:
    return int(supervisor.gauge("router", name) or 0)


async def _until(supervisor: Supervisor, condition: Any) -> None:
    try:
        await asyncio.wait_for(supervisor.run_until(condition), _READY_S)
    except asyncio.TimeoutError:
        raise ClownfishError(f"the edge had no answer from the cloud within {_READY_S:g} s") from None


async def _while(supervisor: Supervisor, work: Any) -> _Tally:
    process = supervisor.children["router"].process
    assert process is not None  # it is ready
    begin, before = time.monotonic(), _answered(supervisor)
    sent = await work
    await asyncio.sleep(1.0)  # the statuses of the last second
    elapsed_s = time.monotonic() - begin
    resident_mb = psutil.Process(process.pid).memory_info().rss / 1e6
    return _Tally(int(sent or 0), resident_mb, _answered(supervisor) - before, elapsed_s)


async def _flood(config: Config, bad: Credentials, messages: int) -> int:
    """Send so many hostile messages; returns how many were."""
    assert config.router is not None  # _config has set it
    control, data = config.router.control, config.router.data
    bus = Bus(lambda name: None)
    left = _Left(messages)

    def dealer(endpoint: str, curve: Credentials | None) -> Dealer:
        return bus.dealer(endpoint, "hostile", (), routing_id=fresh_routing_id(), hwm=50, curve=curve)

    async def malformed(endpoint: str) -> None:
        while left.count:
            it = dealer(endpoint, bad)  # each under an id of its own: ROUTER would not hear one that it has just cut
            with contextlib.suppress(asyncio.TimeoutError):
                for _ in range(_PER_CONNECTION):
                    await asyncio.wait_for(it.put(Encoded.raw([os.urandom(_size(left.count))])), 2.0)
                    if not left.take():
                        break
            it.close(linger_ms=1000)

    async def refused(endpoint: str) -> None:
        while left.count:
            for curve in (Credentials(Key("stranger", *new_pair()), bad.router), None):
                it = dealer(endpoint, curve)
                it.try_send(Encoded.raw([b"x"]))
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(it.trouble(), 2.0)
                it.close()
                left.take()

    async def foreign(endpoint: str) -> None:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        while left.take():
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write(os.urandom(1000))
                await asyncio.sleep(0.01)
                writer.transport.abort()

    works = [malformed(endpoint) for endpoint in (control, data) for _ in range(_ATTACKERS // 2)]
    works += [attack(endpoint) for endpoint in (control, data) for attack in (refused, foreign)]
    try:
        await asyncio.gather(*works)
    finally:
        bus.close(1000)
    return messages - left.count


def _size(number: int) -> int:
    return _OVERSIZED_BYTES if number % _OVERSIZED_EVERY == 0 else _SIZES[number % len(_SIZES)]


class _Left:
    """How many messages are still to be sent, by all attackers together."""

    def __init__(self, count: int) -> None:
        self.count = count

    def take(self) -> int:
        """The number of the message to send; 0 where there is none any more."""
        number = self.count
        self.count = max(0, number - 1)
        return number
