"""router, with the test as its edge."""

from __future__ import annotations

import asyncio
from pathlib import Path

from clownfish.bus import fresh_routing_id
from clownfish.protocol import Again, Credit, Hello, Refused
from tests.graph.harness import Endpoints, cloud_tree, until
from tests.services.harness import Collector, neighbour, serving

SENT = 'sent{socket="control"}'
LATE_S = 0.15
"""A busy box. Well below what the router gives it, and long enough for libzmq to see a connection's end."""


async def test_an_edge_that_reads_a_little_late_still_hears_that_the_router_ends(run_dir: Path) -> None:
    """libzmq throws away what a DEALER with IMMEDIATE has received and not read when its connection ends."""
    at = Endpoints.tcp()
    async with neighbour() as bus:
        kinds = (Credit, Refused, Again)
        control = bus.dealer(at.control, "control", kinds, routing_id=fresh_routing_id())

        async def reads_late() -> Collector:
            await until(lambda: process.counters.get(SENT) > 1, "it is told that the router ends", 20)
            await asyncio.sleep(LATE_S)
            control.look()  # as it does when the descriptor gives its sign
            return Collector(control)

        async with serving("router", cloud_tree(run_dir, "zoo:shapes/remote", at)) as process:
            await control.put(Hello("late", ("bow", "wave")))
            await until(lambda: process.counters.get(SENT) == 1, "its Hello is answered", 20)
            reading = asyncio.ensure_future(reads_late())
        heard = await reading
        (again,) = await heard.of(Again)
        assert again.reason == "this router ends"
        heard.close()
