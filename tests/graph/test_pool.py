"""A pool of workers behind a real router, loaded by a real edge: it grows, shrinks, drains, replaces what is killed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from tests.graph import harness
from tests.graph.harness import Endpoints, Graph, Material, Tree, alive, assert_in_order, cloud_tree, edge_tree, until
from tests.graph.killing import remote_results

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

AT = Endpoints.tcp()
PATIENCE_S = 100.0
CREDIT = 4
"""A worker under load holds one window that it works on, which it finishes, and others, which it hands back."""
RAY_PATIENCE_S = 300.0
"""Ray is eight processes, most of them Python, and gives their start up after half a minute: on a machine that is busy
with other things it needs several."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(run_dir: Path, material: Material) -> AsyncIterator[Graph]:
    """An edge that sends every window of a stream that waits for the cloud: as much load as credit allows."""
    tree = edge_tree(run_dir, material, AT, pace="fast")
    tree["filter"] = {"policy": {"kind": "always"}}
    tree["uplink"] |= {"waits": True, "deadline_ms": 600_000}
    async with Graph(tree) as graph:
        capture = graph.supervisor.children["capture"]
        await until(capture.ready.is_set, "the camera runs")
        graph.signal("capture", signal.SIGSTOP)
        yield graph
        assert_in_order(graph.results())


@asynccontextmanager
async def pool(kind: Tree) -> AsyncIterator[Graph]:
    """A router, and a pool of one or two workers whose model is slower than the edge, also on a busy machine."""
    folder = harness.folder()
    tree = cloud_tree(folder, "tests.own_model:Patient", AT)
    tree["router"] |= {"windows_per_edge": 16}
    tree["worker"] |= {"credit": CREDIT}
    rules = {"up_delay_ms": 10.0, "up_after_s": 1.0, "down_after_s": 2.0, "cooldown_s": 1.0}
    tree["pool"] = {**kind, **rules, "max_workers": 2}
    try:
        async with Graph(tree) as graph:
            yield graph
    finally:
        harness.remove(folder)


def workers(cloud: Graph) -> set[int]:
    """The pids of the worker services, which are somewhere below the pool."""
    found = set()
    for each in psutil.Process(cloud.pid("pool")).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ends while we look
            if "services.worker" in each.cmdline():
                found.add(each.pid)
    return found


async def settled(cloud: Graph, count: int, patience_s: float = PATIENCE_S) -> None:
    """Wait until the pool has so many workers, and the router knows them."""

    def so_many() -> bool:
        gauges = [cloud.gauge("pool", f"workers_{state}") for state in ("wanted", "ready", "draining")]
        return gauges == [count, count, 0] and cloud.gauge("router", "workers") == count

    await until(so_many, f"{count} workers", patience_s)


def lost(cloud: Graph) -> dict[str, int]:
    """What the router did not answer, though an edge waited for it."""
    return {
        name: count
        for name, count in cloud.counters("router").items()
        if name.startswith('dropped{reason="') and count and "edge_gone" not in name
    }


async def answered(edge: Graph, count: int = 20) -> None:
    before = remote_results(edge)
    await until(lambda: remote_results(edge) >= before + count, "the cloud answers", PATIENCE_S)


async def test_a_pool_of_processes_grows_and_shrinks_and_drains_without_a_window_lost(edge: Graph) -> None:
    async with pool({"kind": "local"}) as cloud:
        edge.signal("capture", signal.SIGCONT)
        await settled(cloud, 2)
        assert len(workers(cloud)) == 2
        await until(lambda: cloud.gauge("router", "held") == 2 * CREDIT, "both are under load", PATIENCE_S)
        dead = cloud.signal("pool", signal.SIGTERM)
        await until(lambda: cloud.log("router").count("worker drained") == 2, "both hand back what they hold")
        await until(lambda: cloud.is_back("pool", dead), "the supervisor brings the pool back")
        await answered(edge)
        assert cloud.counter("router", "requeued") > 0, "it drained under load"
        edge.signal("capture", signal.SIGSTOP)
        await settled(cloud, 1)
        assert lost(cloud) == {}
        await until(lambda: len(workers(cloud)) == 1, "the other, which had drained, has ended")


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'clownfish[ray]'"
)
async def test_a_pool_of_ray_actors_grows_replaces_killed_ones_and_shrinks(edge: Graph) -> None:
    async with pool({"kind": "ray", "address": "local", "cpus": 0.1}) as cloud:
        await settled(cloud, 1, RAY_PATIENCE_S)
        edge.signal("capture", signal.SIGCONT)
        await settled(cloud, 2)
        begun = cloud.supervisor.children["pool"].restarts  # Ray gives a start up after half a minute: then it had two
        everything = psutil.Process(cloud.pid("pool")).children(recursive=True)

        before = workers(cloud)
        victim = min(before)
        actor = psutil.Process(victim).ppid()
        os.kill(victim, signal.SIGKILL)
        await until(lambda: len(workers(cloud) - before) == 1, "its actor starts the killed worker again", PATIENCE_S)
        assert cloud.counter("pool", "workers_lost") == 0

        child = next(each for each in workers(cloud) if psutil.Process(each).ppid() == actor)
        os.kill(actor, signal.SIGKILL)
        await until(lambda: not alive(child), "the worker dies with its actor")
        await until(lambda: cloud.counter("pool", "workers_lost") == 1, "the pool notices", PATIENCE_S)
        await settled(cloud, 2)
        await answered(edge)
        edge.signal("capture", signal.SIGSTOP)
        await settled(cloud, 1)
        assert lost(cloud) == {}
        assert "worker drained" in cloud.log("router"), "the one that was too many said goodbye"
        assert cloud.supervisor.children["pool"].restarts == begun
    await until(lambda: not any(alive(each.pid) for each in everything), "Ray is gone with its pool", 20)
