"""`python -m tests.graph.hot_streams [TIMES]`: streams are added to a graph and removed, so many times, beside two live
ones; how long a command takes, what the two miss, and what each process's memory grows by.

What the two miss meanwhile is beside what they miss in as long a time before, in which nothing is changed. Exit status
1 where a stream that stays was begun anew, or something is left of one that was removed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from clownfish.cli.tables import resident_mb
from clownfish.control import ask
from tests.graph import harness
from tests.graph.conftest import make_material
from tests.graph.harness import Endpoints, Graph, edge_tree, until

STAYS = ("cam", "door")
WARM = 50
"""Changes before memory is looked at first: what a process loads for the first of its kind is no leak."""
PROCESSES = ("capture", "window", "local", "filter", "uplink", "fusion", "sink-answers")


def missed(graph: Graph) -> dict[str, int]:
    """Of the live streams, as far as it is counted."""
    names = (
        ("capture", 'dropped{socket="window",reason="full"}'),
        ("capture", 'frames_dropped{reason="loop"}'),
        ("window", "frames_missing"),
        ("local", "windows_skipped"),
        ("fusion", "windows_missing"),
    )
    return {f"{process} {name}": graph.counter(process, name) for process, name in names}


def memory(graph: Graph) -> dict[str, float]:
    return {process: resident_mb(graph.pid(process)) or 0.0 for process in PROCESSES}


async def churn(graph: Graph, times: int, source: str) -> list[float]:
    """Add and remove `times` streams, one after the other; seconds of each command."""
    took: list[float] = []

    async def timed(what: str, about: dict[str, Any]) -> None:
        begin = time.monotonic()
        await ask(graph.folder, what, about)
        took.append(time.monotonic() - begin)

    for number in range(times):
        name = f"hot-{number}"
        await timed("add", {"name": name, "source": source, "seconds": 5})
        answered = f'stream_answers{{stream="{name}"}}'
        await until(lambda answered=answered: graph.counter("fusion", answered) > 0, f"{name} is answered")  # type: ignore[misc]
        await timed("remove", {"name": name})
    return took


async def main(times: int) -> bool:
    run_dir = harness.folder()
    with tempfile.TemporaryDirectory() as where:
        os.environ["XDG_STATE_HOME"] = where
        material = make_material(Path(where))
        tree = edge_tree(run_dir, material, Endpoints.ipc(run_dir), pace="realtime")
        tree["streams"] = [{**tree["streams"][0], "name": name} for name in STAYS]
        tree["fusion"] |= {"drain_ms": 500}
        try:
            async with Graph(tree, changeable=True) as graph:
                await graph.answers(10)
                await churn(graph, WARM, str(material.video))
                before_mb, at = memory(graph), missed(graph)
                begin = time.monotonic()
                took = await churn(graph, times, str(material.video))
                seconds = time.monotonic() - begin
                during = missed(graph)
                await asyncio.sleep(seconds)  # as long again, in which nothing is changed
                quiet = missed(graph)
                after_mb = memory(graph)
                epochs = {(result["stream"], result["epoch"]) for result in graph.live() if result["stream"] in STAYS}
                left = [each for each in graph.counters("fusion") if "hot-" in each]
                left += [each for each in ("window", "filter", "fusion") if graph.gauge(each, "streams_open") != 2]
        finally:
            harness.remove(run_dir)
    p50, p99 = np.percentile(took, [50, 99]) * 1000
    print(f"{times} streams added and removed in {seconds:.0f} s; a command takes {p50:.1f} ms (p99 {p99:.1f})")
    print(f"{'missed meanwhile / in as long without changes':60}")
    for name, count in during.items():
        print(f"  {name:58} {count - at[name]:6} / {quiet[name] - count}")
    for process in PROCESSES:
        print(f"  {process:16} {before_mb[process]:7.1f} MB, then {after_mb[process] - before_mb[process]:+.1f} MB")
    print(f"left of what was removed: {left or 'nothing'}; those that stay had {len(epochs)} epochs")
    return not left and len(epochs) == len(STAYS)


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)) else 1)
