"""Malformed, oversized, foreign and hostile messages on every bound socket: counted, or the peer is cut off."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgpack
import numpy as np
import pytest
import pytest_asyncio
import zmq

from clownfish import wire
from clownfish.bus import fresh_routing_id
from clownfish.messages import End, StreamKey
from clownfish.protocol import Done, FrameData, Hello, Ping, Progress, Ready, WindowRequest
from tests.graph.harness import Endpoints, Graph, Material, assert_in_order, cloud_tree, edge_tree, until
from tests.graph.killing import remote_results
from tests.model_files import CLASSES

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT = Endpoints.tcp()

INBOXES = {
    "window": ("window", "frames"),
    "local": ("local", "windows"),
    "filter": ("filter", "windows"),
    "filter-rho": ("filter", "rhos"),
    "uplink": ("uplink", "windows"),
    "fusion-local": ("fusion", "local"),
    "fusion-remote": ("fusion", "remote"),
    "sink-answers": ("sink-answers", "results"),
}
"""Endpoint → (process, what its counters call the socket)."""
ROUTER = {"control": AT.control, "data": AT.data, "workers": AT.workers}

END = b"".join(map(bytes, wire.encode(End("cam", 1, 0, "x"))))
MALFORMED: list[list[bytes]] = [
    [b""],
    [b"", b"hello"],
    [os.urandom(200)],
    [b"CF"],
    [b"CF\x03\xff"],
    [b"CF\x63\x00"],
    [END[:-3]],
    [END, b"more"],
    [b"CF\x03\x07" + msgpack.packb(["a status", -1])],
    [b"CF\x03\x02" + b"\x91" * 5000],  # a list in a list in a list
    [b"CF\x03\x02" + b"\xdd\xff\xff\xff\xff"],  # a list of four thousand million
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    [END, *[b""] * 300],
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def graph(run_dir: Path, material: Material) -> AsyncIterator[Graph]:
    tree = {**edge_tree(run_dir, material, AT), **cloud_tree(run_dir, material.remote, AT)}
    async with Graph(tree) as graph:
        await until(lambda: remote_results(graph) > 0, "remote answers arrive")
        yield graph
        await graph.answers(3)
        assert_in_order(graph.results())
        assert [name for name, child in graph.supervisor.children.items() if child.restarts] == []


@contextlib.contextmanager
def peer(kind: int, endpoint: str, routing_id: bytes = b"") -> Iterator[zmq.Socket[bytes]]:
    """A ZeroMQ peer that is none of ours."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDTIMEO, 10_000)
    if kind == zmq.DEALER:
        socket.setsockopt(zmq.ROUTING_ID, routing_id or fresh_routing_id())
    socket.connect(endpoint)
    try:
        yield socket
    finally:
        context.destroy(linger=0)


async def malformed_are_counted(graph: Graph, process: str, name: str, kind: int, endpoint: str) -> None:
    counter = f'malformed{{socket="{name}"}}'
    before = graph.counter(process, counter)
    with peer(kind, endpoint) as socket:
        for parts in MALFORMED:
            socket.send_multipart(parts)
        await until(lambda: graph.counter(process, counter) >= before + len(MALFORMED), "each of them is counted")
    assert "malformed message dropped" in graph.log(process)


@pytest.mark.parametrize("endpoint", INBOXES)
async def test_malformed_messages_on_an_inbox_are_counted(endpoint: str, graph: Graph) -> None:
    process, name = INBOXES[endpoint]
    await malformed_are_counted(graph, process, name, zmq.PUSH, f"ipc://{graph.folder}/{endpoint}.ipc")


@pytest.mark.parametrize("name", ROUTER)
async def test_malformed_messages_on_the_router_are_counted(name: str, graph: Graph) -> None:
    await malformed_are_counted(graph, "router", name, zmq.DEALER, ROUTER[name])


async def test_malformed_status_messages_do_not_blind_the_supervisor(graph: Graph) -> None:
    with peer(zmq.PUSH, f"ipc://{graph.folder}/status.ipc") as socket:
        for parts in MALFORMED:
            socket.send_multipart(parts)
        seen = {child.spec.process: child.status for child in graph.supervisor.children.values()}
        await until(
            lambda: all(c.status is not seen[c.spec.process] for c in graph.supervisor.children.values()),
            "every process is heard again",
        )


@pytest.mark.parametrize("name", ROUTER)
async def test_an_oversized_message_cuts_its_sender_off_and_nobody_else(name: str, graph: Graph) -> None:
    limit = graph.config.router.max_frame_bytes if graph.config.router and name == "data" else 256 * 1024
    with peer(zmq.DEALER, ROUTER[name]) as socket:
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        socket.send_multipart([b"x" * (limit + 1)])
        await until(lambda: monitor.poll(0) != 0, "the router cuts the connection")
    before = remote_results(graph)
    await until(lambda: remote_results(graph) > before, "the others go on")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"\xff" + bytes(8) + b"\x7f\x03" + bytes(53) + b"\xff" * 100,
        os.urandom(4096),
        b"",
    ],
    ids=["http", "tls", "broken-zmtp", "noise", "nothing"],
)
@pytest.mark.parametrize("name", ROUTER)
async def test_a_foreign_protocol_disturbs_nobody(name: str, data: bytes, graph: Graph) -> None:
    host, _, port = ROUTER[name].removeprefix("tcp://").rpartition(":")
    before = remote_results(graph)
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    await until(lambda: remote_results(graph) > before, "the others go on")
    writer.transport.abort()


LONG = "\x00\n\x1b[31m" + "é" * 120


def requests(edge: str) -> list[tuple[str, object]]:
    """Messages of an edge that are well formed and make no sense, as (socket, message)."""
    blob = b"\xff\xd8" + os.urandom(100) + b"\xff\xd9"
    key = StreamKey(LONG, 2**63 - 1)
    last = 2**63 - 1
    return [
        ("data", FrameData(*key, 0, 0, 0, "jpeg", 32, 32, blob)),
        ("data", WindowRequest(*key, 0, (0,), 1000)),
        ("control", Ping(last)),
        ("control", Hello(edge, CLASSES)),
        ("control", Hello(edge, CLASSES)),
        *[("data", FrameData(*key, n, n, 0, "jpeg", 32, 32, blob)) for n in range(16)],
        ("data", WindowRequest(*key, last, tuple(range(16)), last)),  # a deadline that no worker's header can hold
        ("data", WindowRequest(*key, 1, (), last)),
        ("data", WindowRequest(*key, 2, (0,) * 256, last)),
        ("data", WindowRequest(*key, 3, (last,) * 256, last)),
        ("data", FrameData(*key, 20, 20, 0, LONG, 8192, 8192, b"")),
        ("data", WindowRequest(*key, 4, (20,) * 16, 5000)),
        ("data", WindowRequest(*key, 5, (20, 0), 0)),
        *[("data", WindowRequest(*key, 100 + t, (0,), last)) for t in range(50)],
        ("control", Ping(0)),
    ]


async def test_a_hostile_edge_costs_no_worker_and_no_other_edge(graph: Graph) -> None:
    evicted = {name: n for name, n in graph.counters("router").items() if name.startswith("evicted")}
    routing_id = fresh_routing_id()
    with peer(zmq.DEALER, AT.control, routing_id) as control, peer(zmq.DEALER, AT.data, routing_id) as data:
        sockets = {"control": control, "data": data}
        for name, message in requests(LONG):
            seen = graph.counter("router", f'received{{socket="{name}"}}')
            sockets[name].send_multipart(wire.encode(message))
            await until(lambda s=seen, n=name: graph.counter("router", f'received{{socket="{n}"}}') > s, "it is read")
        begin = remote_results(graph)
        await until(lambda: remote_results(graph) > begin + 3, "the other edge is served as before")
    assert not [name for name in graph.counters("worker-0") if name.startswith("malformed")]
    assert {n: c for n, c in graph.counters("router").items() if n.startswith("evicted") and c} == {
        n: c for n, c in evicted.items() if c
    }


async def test_a_hostile_worker_costs_no_window_of_the_others(graph: Graph) -> None:
    nothing = np.empty(0, np.float32)
    with peer(zmq.DEALER, AT.workers) as worker:
        for message in (
            Progress(LONG, 2**63 - 1),
            Done(2**63 - 1, nothing, 0.0, ""),
            Ready(LONG, LONG, (), 0),
            Ready(LONG, LONG, tuple(f"{LONG}{i}" for i in range(500)), 2**63 - 1),
            Done(0, np.full(4096, np.float32(-3e38)), -1.0, "x" * 4096),
            Progress(LONG, 2**63 - 1),
        ):
            worker.send_multipart(wire.encode(message))
        begin = remote_results(graph)
        await until(lambda: remote_results(graph) > begin + 3, "the other worker answers as before")
