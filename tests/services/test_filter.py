"""filter, with the test as window and local before it; no uplink is there to take anything."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import numpy as np

import services.filter
from clownfish.config import validate
from clownfish.messages import End, Rho
from clownfish.process import Process
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


async def test_a_stream_stays_open_while_local_works_off_what_it_has_of_it(run_dir: Path, local_only: Material) -> None:
    """Though `window` has ended it: each ρ gives `local` its time anew."""
    tree = edge_tree(run_dir, local_only, Endpoints.ipc(run_dir))
    process = Process("filter", validate(tree, "test"), argparse.Namespace(name="", config=""))
    service = services.filter._Filter(process)
    reading = [asyncio.ensure_future(each) for each in (service.take_windows(), service.take_rhos())]
    try:
        async with neighbour() as bus:
            await bus.outbox(process.config.ipc("filter"), "windows", large=True).put(End("cam", 7, 16, "end of file"))
            await until(lambda: service.next_timer() is not None, "window has ended it", 20)
            due = service.next_timer()
            assert due is not None
            rhos = bus.outbox(process.config.ipc("filter-rho"), "rhos")
            for t in range(3):
                await rhos.put(Rho("cam", 7, t, 0.5, np.full(3, 1 / 3, np.float32)))
                await until(lambda due=due: service.next_timer() > due, "it has time again", 20)  # type: ignore[misc]
                due = service.next_timer()
            await rhos.put(Rho("other", 7, 0, 0.5, np.full(3, 1 / 3, np.float32)))
            await until(lambda: service._gate.counts["rhos"] == 4, "that of another is heard", 20)
            assert service.next_timer() == due
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        await process.close()
