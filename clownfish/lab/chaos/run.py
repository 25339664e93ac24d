"""A run of chaos: a cloud, many edges, strikes by chance, and what the ledgers say at its end."""

from __future__ import annotations

import asyncio
import random
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from clownfish.bus import Bus
from clownfish.errors import ClownfishError
from clownfish.lab.chaos.cloud import Cloud, footage
from clownfish.lab.chaos.edge import ScriptedEdge, all_ready, lost_without_a_kill
from clownfish.lab.chaos.ledger import ANSWERED
from clownfish.lab.chaos.paced import WINDOW_S
from clownfish.lab.chaos.proxy import Proxy
from clownfish.lab.chaos.strikes import Roles, Strike, roles, strikes
from clownfish.lab.folder import run_folder

UNFAIR = 0.1
"""How far an edge's answers may be from the mean of those that lived equally long, as a share of it."""
_FEWEST = 100
"""Fairness is judged from this mean on: fewer answers tell which edge was back first when a router had died."""
_OVERLOADED = 0.9
"""Fairness is judged where less than this share of the windows is answered: else each edge got what it asked for."""
_READY_S = 120.0
_SERVED_AGAIN_S = 30.0
_FILES = 4096


@dataclass(frozen=True)
class ChaosOptions:
    """The options of `clownfish lab chaos`."""

    edges: int = 50
    workers: int = 4
    seconds: float = 600.0
    every_s: float = 3.0
    seed: int = 1
    overload: float = 1.5
    """What all edges ask for, as a multiple of what the workers can do."""
    deadline_s: float = 8.0

    @property
    def period_s(self) -> float:
        """Between two windows of an edge."""
        return self.edges * WINDOW_S / (self.workers * self.overload)


@dataclass
class Outcome:
    """What came of it. `faults` is empty where every rule was kept."""

    options: ChaosOptions
    roles: Roles
    strikes: Counter[str] = field(default_factory=Counter)
    """By kind; those that found their victim dead already are not counted."""
    fates: Counter[str] = field(default_factory=Counter)
    """Of all windows, by how they ended."""
    steady: list[int] = field(default_factory=list)
    """Windows answered of each edge that was left alone."""
    asked: list[int] = field(default_factory=list)
    """Windows offered of each of them."""
    latencies_s: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def deviation(self) -> float:
        """Of the edge that is farthest from the mean, as a share of the mean."""
        mean = sum(self.steady) / len(self.steady)
        return max(abs(count - mean) for count in self.steady) / mean if mean else 0.0

    @property
    def overloaded(self) -> bool:
        return sum(self.steady) < _OVERLOADED * sum(self.asked)

    @property
    def unfair(self) -> bool:
        """False, too, where it cannot be judged."""
        enough = sum(self.steady) >= _FEWEST * len(self.steady)
        return self.overloaded and enough and self.deviation > UNFAIR


def chaos(options: ChaosOptions, say: Callable[[str], None]) -> Outcome:
    """Run it. Raises ClownfishError where it cannot begin."""
    with run_folder() as folder:
        return asyncio.run(_chaos(options, folder, say))


async def _chaos(options: ChaosOptions, folder: Path, say: Callable[[str], None]) -> Outcome:
    _allow_files(_FILES)
    who = roles(options.edges, options.seed)
    out = Outcome(options, who)
    cloud = Cloud(folder / "cloud", options.workers)
    bus = Bus(lambda name: None)
    proxies = {n: Proxy(cloud.endpoints[:2]) for n in who.roaming}
    edges: list[ScriptedEdge] = []
    try:
        say("a cloud …")
        film = await asyncio.to_thread(footage)
        chance = random.Random(f"edges {options.seed}")
        for proxy in proxies.values():
            await proxy.start()
        for n in range(options.edges):
            at = proxies[n].at if n in proxies else cloud.endpoints
            uplink = cloud.uplink(f"e{n}", at[0], at[1])
            uplink |= {"codec": {"kind": "png"}, "deadline_ms": int(1000 * options.deadline_s)}
            epoch, shift = chance.getrandbits(48), chance.randrange(len(film.frames))
            edges.append(ScriptedEdge(f"e{n}", folder / f"e{n}", uplink, film, bus, epoch, shift))
        await cloud.supervisor.start(wait_for_all=True)
        say(f"{options.edges} edges …")
        for edge in edges:
            await edge.start()
        try:
            await all_ready(edges, _READY_S)
        except asyncio.TimeoutError:
            raise ClownfishError(f"{sum(not e.ready.is_set() for e in edges)} uplinks are not ready") from None
        await _storm(options, cloud, edges, proxies, out, say)
    finally:
        await asyncio.gather(*(edge.stop() for edge in edges))
        await asyncio.gather(*(proxy.close() for proxy in proxies.values()))
        await cloud.supervisor.stop(drain=False)
        bus.close(0)
    _judge(edges, out)
    return out


async def _storm(
    options: ChaosOptions,
    cloud: Cloud,
    edges: list[ScriptedEdge],
    proxies: dict[int, Proxy],
    out: Outcome,
    say: Callable[[str], None],
) -> None:
    """Windows and strikes; then calm, until each edge is served again; then silence, until nothing is under way."""
    begin = time.monotonic()
    offering = [
        asyncio.ensure_future(
            edge.offer_each(options.period_s, begin + n / len(edges) * options.period_s, float("inf"))
        )
        for n, edge in enumerate(edges)
    ]
    try:
        for strike in strikes(options.seconds, options.every_s, options.workers, out.roles, options.seed):
            await asyncio.sleep(max(0.0, begin + strike.at_s - time.monotonic()))
            say(f"{strike.at_s:.0f} s: {strike.kind} {strike.victim} ({sum(edge.answered for edge in edges)} answered)")
            out.strikes[strike.kind] += _strike(strike, cloud, edges, proxies)
        await asyncio.sleep(max(0.0, begin + options.seconds - time.monotonic()))
        say("calm …")
        before = [edge.answered for edge in edges]
        give_up = time.monotonic() + _SERVED_AGAIN_S
        # fifty edges would each need an event for this one wait
        while time.monotonic() < give_up and any(  # noqa: ASYNC110
            edge.answered == n for edge, n in zip(edges, before, strict=True)
        ):
            await asyncio.sleep(0.1)
        out.faults += [
            f"{edge.name}: no answer within {_SERVED_AGAIN_S:g} s after the last strike"
            for edge, n in zip(edges, before, strict=True)
            if edge.answered == n
        ]
        out.seconds = time.monotonic() - begin
    finally:
        for task in offering:
            task.cancel()
        await asyncio.gather(*offering, return_exceptions=True)
    say("silence …")
    await asyncio.sleep(options.deadline_s + 1.5)  # what is under way ends by its deadline


def _strike(strike: Strike, cloud: Cloud, edges: list[ScriptedEdge], proxies: dict[int, Proxy]) -> bool:
    if strike.kind == "edge":
        return edges[strike.victim].kill()
    if strike.kind == "roam":
        return proxies[strike.victim].roam()
    return cloud.kill("router" if strike.kind == "router" else f"worker-{strike.victim}")


def _judge(edges: list[ScriptedEdge], out: Outcome) -> None:
    for n, edge in enumerate(edges):
        fates = edge.ledger.fates()
        out.fates += fates
        out.faults += edge.ledger.faults
        out.latencies_s += edge.latencies_s
        if n not in out.roles.mortal:
            out.faults += lost_without_a_kill(edge, fates)
        if n in out.roles.steady:
            out.steady.append(fates[ANSWERED])
            out.asked.append(len(edge.ledger))
    if out.unfair:
        out.faults.append(f"of edges that asked for the same one had far more or less than the others: {out.steady}")


def _allow_files(count: int) -> None:
    """Each edge has a dozen sockets here; a user's limit is often 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard) if hard > 0 else count, hard))
