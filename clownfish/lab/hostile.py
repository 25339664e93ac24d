"""What a flood of hostile messages does to a router behind keys: its memory, and the service to honest edges.

A cloud over TCP with keys, and two honest edges; first left alone, then under attack (`flood`). Attackers and victims
share this machine's cores, so what the honest edges still get is what is left of them, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil

from clownfish.bus import Bus
from clownfish.errors import ClownfishError
from clownfish.lab.chaos.cloud import Cloud, footage
from clownfish.lab.chaos.edge import ScriptedEdge, all_ready
from clownfish.lab.chaos.ledger import ANSWERED
from clownfish.lab.chaos.paced import WINDOW_S
from clownfish.lab.figures import Figure, Line
from clownfish.lab.flood import flooding
from clownfish.lab.trend import trend

T = TypeVar("T")

_PER_ATTACKER, _MOST_ATTACKERS = 250, 256
"""Messages of a device that is authorized and hostile: many devices, as each is kept out for ten seconds, time after
time."""
_HONEST = 2
_LOAD = 0.5
"""What the honest edges ask for, of what the worker can do."""
_DEADLINE_S = 5.0
_READY_S = 60.0
_CONTROL_BYTES, _FRAME_BYTES = 300_000, 1 << 20
_SAMPLE_S = 0.5
_SHOWN = 20
"""Parts of the attack that have a line of their own."""
_MILLION = 1e6


@dataclass
class _Phase:
    """What honest edges got over a time."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> Figure:
        return Figure(len(self.latencies_s) / self.seconds, "1/s")

    @property
    def latency(self) -> Figure:
        if not self.latencies_s:
            raise ClownfishError(f"the honest edges had no answer in {self.seconds:.0f} s")
        p50, p99 = np.percentile(self.latencies_s, (50, 99)) * 1e3
        return Figure(float(p50), "ms", (("p99", float(p99)),))


@dataclass
class _Memory:
    """The router's, in MB, over the attack."""

    now: Callable[[], float]
    fresh: list[float] = field(default_factory=list)
    """Since the last look."""
    looks: list[tuple[int, float, float]] = field(default_factory=list)
    """Messages sent; middle and highest value since the look before."""

    async def sample(self) -> None:
        while True:
            self.fresh.append(self.now())
            await asyncio.sleep(_SAMPLE_S)

    def look(self, sent: int) -> None:
        self.fresh.append(self.now())
        self.looks.append((sent, float(np.median(self.fresh)), max(self.fresh)))
        self.fresh.clear()

    def lines(self, before_mb: float) -> list[Line]:
        """One for each twentieth, and how it grew after the first of them."""
        before = ("before", Figure(before_mb, "MB"))
        each = max(1, len(self.looks) // _SHOWN)
        parts = [self.looks[n : n + each] for n in range(0, len(self.looks), each)]
        lines = [
            Line(
                f"the router's memory up to {part[-1][0]}",
                Figure(float(np.median([mb for _, mb, _ in part])), "MB", (("most", max(most for *_, most in part)),)),
                *before,
            )
            for part in parts
        ]
        later = [look for part in parts[1:] for look in part]
        with contextlib.suppress(ValueError):  # too few messages
            grown = trend([sent / _MILLION for sent, *_ in later], [mb for _, mb, _ in later])
            figure = Figure(grown.slope, "MB", (("at least", grown.low), ("at most", grown.high)))
            lines.append(Line("... its growth in a million messages after these first ones", figure, *before))
        return lines


def hostile_lines(folder: Path, messages: int, quiet_s: float, say: Callable[[str], None]) -> list[Line]:
    """The honest edges' answers per second and their latency; and the router's memory, at each twentieth of the attack.

    Each is beside the time before. Raises ClownfishError where a process ended under attack, an honest window was
    neither answered nor dropped for a reason, or one was answered twice.
    """
    place = folder / "hostile"
    place.mkdir(parents=True)
    return asyncio.run(_measure(place, messages, quiet_s, say))


async def _measure(place: Path, messages: int, quiet_s: float, say: Callable[[str], None]) -> list[Line]:
    cloud = Cloud(place / "cloud", workers=1, max_frame_bytes=_FRAME_BYTES)
    bus = Bus(lambda name: None)
    edges: list[ScriptedEdge] = []
    supervisor = cloud.supervisor
    control, data, _ = cloud.endpoints
    attackers = [
        cloud.uplink(f"bad{n}", control, data) for n in range(min(_MOST_ATTACKERS, 2 + messages // _PER_ATTACKER))
    ]

    async def flood(count: int, look: Callable[[int], None]) -> Counter[str]:
        oversized = {control: _CONTROL_BYTES, data: _FRAME_BYTES + 1}
        keys = [each["key"] for each in attackers]
        return await flooding(oversized, keys, attackers[0]["router_key"], count, look)

    def resident_mb() -> float:
        process = supervisor.children["router"].process
        assert process is not None  # it is ready
        return float(psutil.Process(process.pid).memory_info().rss / 1e6)

    memory = _Memory(resident_mb)

    def look(sent: int) -> None:
        memory.look(sent)
        say(f"{sent} hostile messages, the router's memory {memory.looks[-1][1]:.1f} MB …")

    try:
        say("a router behind keys …")
        film = await asyncio.to_thread(footage)
        await supervisor.start(wait_for_all=True)
        for n in range(_HONEST):
            uplink = cloud.uplink(f"e{n}", control, data) | {"deadline_ms": int(_DEADLINE_S * 1000)}
            uplink["codec"] = {"kind": "png"}
            edges.append(ScriptedEdge(f"e{n}", place / f"e{n}", uplink, film, bus, epoch=n, shift=n))
        for edge in edges:
            await edge.start()
        await all_ready(edges, _READY_S)
        fresh_mb = resident_mb()
        period_s, begin = _HONEST * WINDOW_S / _LOAD, time.monotonic()
        offering = [
            asyncio.ensure_future(edge.offer_each(period_s, begin + n * period_s / _HONEST, float("inf")))
            for n, edge in enumerate(edges)
        ]
        try:
            warm = await flood(max(100, messages // 20), lambda sent: None)  # heaps grow once
            quiet, _ = await _while(edges, asyncio.sleep(quiet_s))
            before_mb = resident_mb()
            offering.append(asyncio.ensure_future(memory.sample()))
            hostile, attack = await _while(edges, flood(messages, look))
        finally:
            for task in offering:
                task.cancel()
            await asyncio.gather(*offering, return_exceptions=True)
        await asyncio.sleep(_DEADLINE_S + 1.5)  # what is under way ends by its deadline; so does a second's status
        after_mb = resident_mb()
        status = supervisor.children["router"].status
        assert status is not None  # it has answered
        counters, inside = status.counters, int(supervisor.gauge("router", "edges") or 0)
        restarts = [name for name, child in supervisor.children.items() if child.restarts]
        if restarts:
            raise ClownfishError(f"{', '.join(restarts)} ended under attack; {place} has the logs")
    finally:
        await asyncio.gather(*(edge.stop() for edge in edges))
        await supervisor.stop(drain=False)
        bus.close(0)
    fates = sum((edge.ledger.fates() for edge in edges[1:]), edges[0].ledger.fates())
    faults = [fault for edge in edges for fault in edge.ledger.faults]
    if faults:
        raise ClownfishError(f"{len(faults)} faults in the honest edges' ledgers; the first: {faults[0]}")
    kinds = ", ".join(f"{count} {kind}" for kind, count in attack.most_common())
    beside = "left alone"
    return [
        Line(
            "honest edges' answers under attack",
            hostile.per_s,
            beside,
            quiet.per_s,
            f"of {fates.total()} windows {fates[ANSWERED]} answered; {inside} edges let in, {_HONEST} honest",
        ),
        Line("honest edges' time to an answer under attack", hostile.latency, beside, quiet.latency),
        *memory.lines(before_mb),
        Line(
            "the router's memory after the attack",
            Figure(after_mb, "MB"),
            "before",
            Figure(before_mb, "MB"),
            f"{fresh_mb:.1f} MB when nothing had come; {warm.total()} messages came before all this. "
            f"{attack.total()} sent in {hostile.seconds:.0f} s: {kinds}. {_what_the_router_says(counters)}",
        ),
    ]


def _what_the_router_says(counters: dict[str, int]) -> str:
    said = {
        "read and dropped": ("malformed",),
        "without a session": ("frames_without_session", "requests_without_session", "limited"),
        "connections cut": ("cut",),
        "handshakes failed": ("handshakes_failed",),
        "keys refused": ("refused_keys",),
        "connections refused for the moment": ("connections_limited", "connections_shunned"),
        "dropped unread": ("shunned",),
    }
    found = {what: sum(n for name, n in counters.items() if name.startswith(begin)) for what, begin in said.items()}
    return ", ".join(f"{count} {what}" for what, count in found.items())


async def _while(edges: list[ScriptedEdge], work: Awaitable[T]) -> tuple[_Phase, T]:
    before, begin = [edge.answered for edge in edges], time.monotonic()
    result = await work
    latencies = [each for edge, n in zip(edges, before, strict=True) for each in edge.latencies_s[n:]]
    return _Phase(time.monotonic() - begin, latencies), result
