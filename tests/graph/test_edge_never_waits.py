"""The edge never waits (§III): whatever the cloud does, answers keep their rate and latency, and say `local`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.graph.harness import (
    WINDOWS_PER_S,
    Endpoints,
    Graph,
    Material,
    Phase,
    assert_in_order,
    cloud_tree,
    edge_tree,
    observe,
    until,
)
from tests.graph.scripted import answering_late

pytestmark = pytest.mark.asyncio(loop_scope="module")

WINDOWS = 24
AT = Endpoints.tcp()

Cloud = Callable[[Graph, Material, Path], AbstractAsyncContextManager[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(run_dir: Path, material: Material) -> AsyncIterator[Graph]:
    async with Graph(edge_tree(run_dir, material, AT)) as graph:
        yield graph


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def undisturbed(edge: Graph) -> Phase:
    """Nothing listens where the cloud should be: the yardstick for everything else."""
    await edge.answers(10)
    return await observe(edge, WINDOWS)


@asynccontextmanager
async def a_cloud(model: str, folder: Path, workers: int = 1) -> AsyncIterator[Graph]:
    async with Graph(cloud_tree(folder, model, AT, workers)) as cloud:
        yield cloud


async def steady(edge: Graph, undisturbed: Phase) -> list[Phase]:
    """Phases, the last of which keeps rate and latency: the third at the latest; any machine stands still a moment."""
    phases = [await observe(edge, WINDOWS)]
    while not (
        phases[-1].windows_per_s > 0.7 * WINDOWS_PER_S and phases[-1].median_ms < 3 * undisturbed.median_ms + 30
    ):
        assert len(phases) < 3, [(phase.windows_per_s, phase.median_ms) for phase in phases]
        phases.append(await observe(edge, WINDOWS))
    return phases


async def answers_come(edge: Graph) -> None:
    applied = edge.counter("fusion", "remote_applied")
    await until(lambda: edge.counter("fusion", "remote_applied") > applied, "remote answers arrive")


@asynccontextmanager
async def absent(edge: Graph, material: Material, folder: Path) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def refused(edge: Graph, material: Material, folder: Path) -> AsyncIterator[None]:
    refused = edge.counter("uplink", "refused")
    async with a_cloud(material.other, folder) as cloud:
        await until(lambda: edge.counter("uplink", "refused") > refused, "the router refuses the edge")
        await until(lambda: "lacks 'wave' and adds 'jump'" in edge.text("uplink"), "the uplink says why")
        assert "lacks 'wave' and adds 'jump'" in cloud.log("router")
        yield


@asynccontextmanager
async def black_holed(edge: Graph, material: Material, folder: Path) -> AsyncIterator[None]:
    with contextlib.ExitStack() as stack:
        listeners = []
        for endpoint in (AT.control, AT.data):
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", int(endpoint.rpartition(":")[2])))
            listener.listen()
            listener.setblocking(False)
            listeners.append(listener)
        for listener in listeners:
            connection, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(listener), 30)
            stack.enter_context(connection)
        yield


def stopped(process: str) -> Cloud:
    @asynccontextmanager
    async def hung(edge: Graph, material: Material, folder: Path) -> AsyncIterator[None]:
        async with a_cloud(material.remote, folder) as cloud:
            await answers_come(edge)
            cloud.signal(process, signal.SIGSTOP)
            yield

    return hung


@asynccontextmanager
async def slow(edge: Graph, material: Material, folder: Path) -> AsyncIterator[None]:
    async with a_cloud(material.remote, folder, workers=0) as cloud, answering_late(AT.workers, 20.0) as worker:
        await until(lambda: cloud.counter("router", "windows") > 0, "the slow worker gets work")
        await until(lambda: worker.taken > 0, "the slow worker works")
        yield


@pytest.mark.parametrize(
    "cloud",
    [
        pytest.param(absent, id="absent"),
        pytest.param(refused, id="refused"),
        pytest.param(black_holed, id="black-holed"),
        pytest.param(stopped("router"), id="router-hung"),
        pytest.param(stopped("worker-0"), id="worker-hung"),
        pytest.param(slow, id="slow"),
    ],
)
async def test_the_edge_keeps_its_rate_and_latency_whatever_the_cloud_does(
    cloud: Cloud, edge: Graph, undisturbed: Phase, material: Material, cloud_dir: Path
) -> None:
    async with cloud(edge, material, cloud_dir):
        await until(lambda: all(a["source"] == "local" for a in edge.live()[-5:]), "the cloud's influence is over")
        phases = await steady(edge, undisturbed)
    for phase in phases:
        assert phase.sources == {"local"}
        ts = [answer["t"] for answer in phase.answers]
        assert ts[-1] - ts[0] + 1 - len(ts) <= phase.missing
    assert_in_order(edge.results())


async def test_the_cloud_comes_and_goes_without_a_window_lost(
    edge: Graph, undisturbed: Phase, material: Material, cloud_dir: Path
) -> None:
    """One that was absent, hung and slow before serves as if nothing had been."""
    async with a_cloud(material.remote, cloud_dir):
        await answers_come(edge)
        phases = await steady(edge, undisturbed)
        assert phases[-1].sources > {"local"}
    await until(lambda: all(a["source"] == "local" for a in edge.live()[-5:]), "the cloud's influence is over")
    await edge.stop(drain=True)
    answered, missing = (edge.counter("fusion", name) for name in ("windows_answered", "windows_missing"))
    formed, incomplete = (edge.counter("window", name) for name in ("windows", "incomplete"))
    assert len(edge.live()) == answered
    assert answered + missing == formed + incomplete
    assert_in_order(edge.results())
