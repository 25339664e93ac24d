"""Many edges and one cloud, real processes: kills by chance, and edges that leave their network without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from clownfish.bus import Bus
from clownfish.lab.chaos.cloud import Cloud, footage
from clownfish.lab.chaos.edge import ScriptedEdge, all_ready
from clownfish.lab.chaos.ledger import ANSWERED
from clownfish.lab.chaos.proxy import Proxy
from clownfish.lab.chaos.run import ChaosOptions, chaos
from tests.graph.harness import PATIENCE_S, until


def test_each_window_of_six_edges_is_answered_once_or_counted_whoever_is_killed() -> None:
    """The same at length: `clownfish lab chaos`. Strikes come from the seed: all four kinds are among them."""
    outcome = chaos(
        ChaosOptions(edges=6, workers=2, seconds=8.0, every_s=1.0, seed=3, deadline_s=2.0), lambda text: None
    )
    assert outcome.faults == []
    assert set(outcome.strikes) == {"worker", "router", "edge", "roam"}
    assert all(outcome.strikes.values())
    assert outcome.fates[ANSWERED] > 0
    assert all(outcome.steady), "each edge that was left alone was served"


@asynccontextmanager
async def roaming(folder: Path, **deadlines_ms: int) -> AsyncIterator[tuple[Proxy, list[ScriptedEdge]]]:
    """A cloud with one worker, and an edge for each of these deadlines, all behind one proxy."""
    cloud, bus, film = Cloud(folder / "cloud", workers=1), Bus(lambda name: None), await asyncio.to_thread(footage)
    proxy = Proxy(cloud.endpoints[:2])
    await proxy.start()
    edges: list[ScriptedEdge] = []
    try:
        await cloud.supervisor.start(wait_for_all=True)
        for n, (name, deadline_ms) in enumerate(deadlines_ms.items()):
            uplink: dict[str, Any] = cloud.uplink(name, *proxy.at)
            uplink |= {"codec": {"kind": "png"}, "deadline_ms": deadline_ms}
            edges.append(ScriptedEdge(name, folder / name, uplink, film, bus, epoch=n, shift=n))
            await edges[-1].start()
        await all_ready(edges, PATIENCE_S)
        yield proxy, edges
    finally:
        await asyncio.gather(*(edge.stop() for edge in edges))
        await proxy.close()
        await cloud.supervisor.stop(drain=False)
        bus.close(0)


PASSED_S = 0.3
"""Longer than an answer is on its way from the proxy to who counts it, and less than a session is given up in."""


async def has_session(edge: ScriptedEdge, number: int) -> None:
    await until(lambda: edge.counters().get("sessions", 0) >= number, f"{edge.name} has session {number}")


async def test_an_edge_that_roams_loses_what_was_in_flight_and_sends_it_again_if_it_is_still_of_use(
    run_dir: Path,
) -> None:
    """The patient edge's windows outlive the silence after which a session is given up; the hasty edge's do not."""
    async with roaming(run_dir, patient=30_000, hasty=1000) as (proxy, edges):
        patient, hasty = edges
        for edge in edges:
            await has_session(edge, 1)
            edge.offer()
            await until(lambda edge=edge: edge.answered == 1, f"{edge.name} is served")  # type: ignore[misc]
        home = proxy.address
        for _ in range(3):
            patient.offer()
            hasty.offer()

        def in_flight() -> bool:
            return all(edge.counters()["windows_sent"] == 4 for edge in edges)

        await until(in_flight, "they are on their way: six windows, a tenth of a second each")
        assert proxy.roam()
        before: list[int] = []
        while before != [edge.answered for edge in edges]:  # what had passed by then has yet to be counted
            before = [edge.answered for edge in edges]
            await asyncio.sleep(PASSED_S)
        assert sum(before) < 8, "some are on their way still"
        assert proxy.address != home
        await until(lambda: patient.answered == 4, "what was in flight is sent again, and answered")
        answered = hasty.answered
        await has_session(hasty, 2)  # its window would not outlive the wait for it
        hasty.offer()
        await until(lambda: hasty.answered == answered + 1, "windows that come later are answered")
        assert proxy.connections == 4, "two of each edge"
    fates = [edge.ledger.fates() for edge in edges]
    assert [fault for edge in edges for fault in edge.ledger.faults] == []
    assert fates[0] == {ANSWERED: 4}
    assert patient.counters()["windows_sent"] == 4 + (4 - before[0]), "sent again: what was in flight, and nothing else"
    assert fates[1] == {ANSWERED: before[1] + 1, "unanswered": 4 - before[1]}, "too late to be sent again"
    assert hasty.counters()["windows_sent"] == 5
