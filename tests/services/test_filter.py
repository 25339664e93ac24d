"""filter, with the test as window and local before it; no uplink is there to take anything."""

from __future__ import annotations

from pathlib import Path

from clownfish.messages import End
from tests.graph.harness import Endpoints, Material, edge_tree, until
from tests.services.harness import neighbour, serving


async def test_streams_that_end_together_end_once_each_whoever_notices(run_dir: Path, local_only: Material) -> None:
    """Telling of one end takes a while, in which the other half of another one's end comes."""
    tree = edge_tree(run_dir, local_only, Endpoints.ipc(run_dir))
    tree["filter"] = {"timeout_ms": 50}
    async with neighbour() as bus, serving("filter", tree) as process:
        windows = bus.outbox(process.config.ipc("filter"), "windows", large=True)
        rhos = bus.outbox(process.config.ipc("filter-rho"), "rhos")
        ends = [End(f"s{number}", 7, 16, "end of file") for number in range(7)]
        for end in ends:
            await windows.put(end)
        for end in reversed(ends):  # while the clock has ended the first ones, and the queue is full
            await until(lambda: process.counters.get('sent{socket="uplink"}') == 4, "the queue is full", 20)
            await rhos.put(end)
        dropped = 'dropped{socket="uplink",reason="full"}'
        await until(lambda: process.counters.get(dropped) == len(ends) - 4, "each was told of once", 20)
