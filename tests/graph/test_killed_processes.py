"""kill -9 of any one process: it is back, nothing is said twice, and what was lost with it is counted."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.graph.harness import PATIENCE_S, Graph, Material, assert_in_order, until
from tests.graph.killing import CLOUD, EDGE, assert_accounted, kill, lost_in_sink, remote_results, whole_tree

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def graph(run_dir: Path, material: Material) -> AsyncIterator[Graph]:
    async with Graph(whole_tree(run_dir, material)) as graph:
        await until(lambda: remote_results(graph) > 0, "remote answers arrive")
        yield graph


@pytest.mark.parametrize("process", [*EDGE, *CLOUD[:2]])
async def test_a_killed_process_comes_back_and_answers_go_on(process: str, graph: Graph) -> None:
    await kill(graph, process, PATIENCE_S)
    assert_in_order(graph.results(), lost_in_sink(graph))


async def test_a_worker_killed_in_mid_job_leaves_its_windows_to_another(graph: Graph) -> None:
    """It is stopped first: workers take turns, so it is sure to hold a job after a few windows, and to be in it."""
    lost = 'dropped{reason="lost"}'
    before = {name: graph.counter("router", name) for name in ("answered", "requeued", lost)}
    dead = graph.signal("worker-1", signal.SIGSTOP)
    await until(lambda: graph.counter("router", "answered") >= before["answered"] + 3, "the other worker works")
    graph.signal("worker-1", signal.SIGKILL)
    await until(lambda: graph.counter("router", "requeued") > before["requeued"], "its jobs are given to another")
    wanted = graph.counter("router", "answered") + graph.counter("router", "requeued") - before["requeued"]
    await until(lambda: graph.counter("router", "answered") >= wanted, "the other worker answers them")
    await until(lambda: graph.is_back("worker-1", dead), "the dead worker is back")
    assert graph.counter("router", lost) == before[lost]


async def test_after_all_that_every_window_was_answered_once_or_counted(graph: Graph) -> None:
    await graph.answers(3)
    await graph.stop(drain=True)
    assert_accounted(graph)
