"""Codecs of runs in a whole graph: windows are answered, for a fraction of the bytes, also after a router died."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.graph.harness import Endpoints, Graph, Material, cloud_tree, edge_tree, until


@pytest_asyncio.fixture(loop_scope="function")
async def graph(run_dir: Path, material: Material) -> AsyncIterator[Graph]:
    at = Endpoints.ipc(run_dir)
    tree = edge_tree(run_dir, material, at) | cloud_tree(run_dir, material.remote, at)
    tree["uplink"] = {"control": at.control, "data": at.data, "codec": {"kind": "h264"}}
    async with Graph(tree) as running:
        yield running


def answered(graph: Graph) -> int:
    return graph.counter("uplink", "windows_answered")


async def test_windows_are_answered_and_a_killed_router_gets_runs_that_begin_anew(graph: Graph) -> None:
    await until(lambda: answered(graph) >= 12, "windows sent as runs are answered")
    workers = [name for name in graph.supervisor.children if name.startswith("worker")]
    undecodable = sum(graph.counter(name, 'dropped{reason="undecodable"}') for name in workers)
    frames, sent = graph.counter("uplink", "frames_sent"), graph.counter("uplink", "bytes_sent")
    assert undecodable == 0
    assert graph.counter("router", "frames_orphaned") == 0
    assert sent < 200 * frames, "32 × 32 pixels are 3072 bytes raw, 700 as JPEG"

    dead = graph.signal("router", signal.SIGKILL)
    await until(lambda: graph.is_back("router", dead), "another router")
    before = answered(graph)
    await until(lambda: answered(graph) >= before + 12, "and so are windows after it")
    assert graph.counter("uplink", "sessions") >= 2
    assert sum(graph.counter(name, 'dropped{reason="undecodable"}') for name in workers) == undecodable
    assert graph.counter("router", "frames_orphaned") == 0
