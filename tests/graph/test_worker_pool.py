"""The worker pool with real processes: models side by side, a canary, a slow worker, and draining."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.graph.asking import asking
from tests.graph.harness import Endpoints, Graph, alive, cloud_tree, until
from tests.graph.scripted import answering_late
from tests.own_model import SLOW, Noting

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT = Endpoints.tcp()
LEASE_S = 5.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(run_dir: Path) -> AsyncIterator[Graph]:
    """A router and two workers with the old model; `new` is the canary, in shadow, on every window."""
    tree = cloud_tree(run_dir, "tests.own_model:Noting", AT, workers=2)
    tree["router"] |= {"job_lease_ms": int(LEASE_S * 1000), "windows_per_edge": 64}
    tree["router"]["canary"] = {"model": "new", "share": 1.0, "mode": "shadow"}
    tree["worker"] |= {"batch": 2, "credit": 4}
    async with Graph(tree) as graph:
        yield graph


async def test_an_edge_that_asks_for_a_model_that_was_never_here_is_told_what_was(cloud: Graph) -> None:
    async with asking(AT, Noting.classes, "large") as edge:
        await until(lambda: bool(edge.refused), "it is refused")
        assert edge.refused[0].startswith("no worker with model 'large' has been here; known: 'noting'.")
    async with asking(AT, Noting.classes, "noting") as edge:
        await edge.ask(0)
        await edge.over(0)
        assert edge.answers[0].model == "noting"


async def test_a_worker_whose_model_takes_longer_than_the_lease_loses_it_and_the_window_to_another(
    cloud: Graph,
) -> None:
    before = cloud.counter("router", 'evicted{reason="hung"}')
    async with answering_late(AT.workers, 60.0, Noting.classes) as late, asking(AT, Noting.classes) as edge:
        await until(lambda: cloud.gauge("router", "workers") == 3, "the slow one is one of the pool")
        for t in range(11):  # more than the others take at once
            await edge.ask(t, SLOW)
        await edge.over(*range(11))
        assert late.taken > 0
        assert set(edge.answers) == set(range(11))
        assert {answer.model for answer in edge.answers.values()} == {"noting"}
    await until(lambda: cloud.counter("router", 'evicted{reason="hung"}') == before + 1, "it is counted")


async def test_a_canary_in_shadow_is_compared_and_heard_by_nobody(cloud: Graph, cloud_dir: Path) -> None:
    tree = cloud_tree(cloud_dir, "tests.own_model:Newer", AT)
    del tree["router"]
    async with Graph(tree), asking(AT, Noting.classes) as edge:
        await until(lambda: '"model": "new"' in cloud.log("router"), "the canary is here")
        for t in range(8):
            await edge.ask(t, 10 if t % 2 else 190)
            await edge.over(t)
        assert {answer.model for answer in edge.answers.values()} == {"noting"}
        await until(lambda: cloud.counter("router", "canary_compared") >= 6, "they are compared")
    counters = cloud.counters("router")
    assert counters["canary_compared"] == 2 * counters["canary_agreed"], "it finds every window dark"
    assert counters['canary_windows{model="canary"}'] >= 6
    assert counters['canary_failed{model="canary"}'] == 0
    assert cloud.histogram("router", "canary_answer").total() > 0


async def test_a_worker_that_is_told_to_end_answers_its_batch_and_hands_back_the_rest(cloud: Graph) -> None:
    """No window is lost, and none is run twice: what it has begun it answers, what it has not another runs."""
    workers = ("worker-0", "worker-1")
    done = sum(cloud.counter(worker, "jobs_done") for worker in workers)
    requeued = cloud.counter("router", "requeued")
    async with asking(AT, Noting.classes) as edge:
        for t in range(16):
            await edge.ask(t, SLOW)
        await until(lambda: len(edge.answers) > 0, "each has begun its second batch, and holds a third")
        ended = cloud.signal("worker-0", signal.SIGTERM)
        await edge.over(*range(16))
        assert set(edge.answers) == set(range(16)), edge.dropped
        await until(lambda: cloud.counter("router", "requeued") > requeued, "what it had not begun was handed back")
        assert sum(cloud.counter(worker, "jobs_done") for worker in workers) == done + 16
        await until(lambda: not alive(ended), "it ends")
    await until(lambda: cloud.is_back("worker-0", ended), "another is in its place")


async def test_a_router_that_is_told_to_end_answers_what_it_has_and_sends_its_edges_on(cloud: Graph) -> None:
    async with asking(AT, Noting.classes) as edge:
        for t in range(4):
            await edge.ask(t, SLOW)
        await until(lambda: len(edge.answers) > 0, "workers hold the others")
        cloud.signal("router", signal.SIGTERM)
        await edge.over(*range(4))
        assert set(edge.answers) == set(range(4)), edge.dropped
        await until(lambda: edge.again == ["this router ends"], "it is sent on")
