"""A router behind keys, an honest edge at it, and those who should not get in: real processes, real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
import zmq

from clownfish import wire
from clownfish.bus import Credentials, fresh_routing_id, new_pair
from clownfish.protocol import FrameData, Hello, Ping, Ready, WindowRequest
from tests.graph import harness
from tests.graph.harness import Endpoints, Graph, Material, assert_in_order, cloud_tree, edge_tree, until
from tests.graph.killing import remote_results
from tests.keyrings import Keyring, keyring
from tests.model_files import CLASSES

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT = Endpoints.tcp()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    it = keyring(tmp_path_factory.mktemp("security") / "keys")
    it.device("door")
    it.device("gpu", role="worker")
    return it


def with_keys(tree: harness.Tree, keys: Keyring) -> harness.Tree:
    """The cloud's tree: a router with a folder of keys, and a worker that is authorized."""
    tree["router"] |= {"keys": str(keys.folder), "messages_per_s": 200.0}
    tree["worker"] |= {"key": str(keys.secret("gpu")), "router_key": keys.router.public}
    return tree


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(cloud_dir: Path, material: Material, keys: Keyring) -> AsyncIterator[Graph]:
    async with Graph(with_keys(cloud_tree(cloud_dir, material.remote, AT), keys)) as graph:
        yield graph
        assert [name for name, child in graph.supervisor.children.items() if child.restarts] == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(cloud: Graph, run_dir: Path, material: Material, keys: Keyring) -> AsyncIterator[Graph]:
    """The honest edge: it must not notice anything of all this."""
    tree = edge_tree(run_dir, material, AT)
    tree["uplink"] |= {"key": str(keys.secret("door")), "router_key": keys.router.public}
    async with Graph(tree) as graph:
        await until(lambda: remote_results(graph) > 0, "remote answers arrive")
        yield graph
        assert graph.counter("uplink", "sessions") == 1, "the honest edge kept its one session"
        assert graph.counter("uplink", "handshakes_failed") == 0
        assert_in_order(graph.results())


@contextlib.contextmanager
def peer(who: Credentials | None, endpoint: str, routing_id: bytes = b"") -> Iterator[zmq.Socket[bytes]]:
    """A hostile peer's socket; `who`: the key that it has."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDTIMEO, 200)
    socket.setsockopt(zmq.ROUTING_ID, routing_id or fresh_routing_id())
    if who is not None:
        socket.setsockopt(zmq.CURVE_SERVERKEY, who.router.encode())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, who.own.public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, who.own.secret.encode())
    socket.connect(endpoint)
    try:
        yield socket
    finally:
        context.destroy(linger=0)


async def goes_on(edge: Graph, count: int = 2) -> None:
    before = remote_results(edge)
    await until(lambda: remote_results(edge) >= before + count, "the honest edge is served")


def count(cloud: Graph, beginning: str) -> int:
    return sum(count for name, count in cloud.counters("router").items() if name.startswith(beginning))


@pytest.mark.parametrize("name", ["control", "data", "workers"])
async def test_without_an_authorized_key_nobody_gets_in(name: str, cloud: Graph, edge: Graph, keys: Keyring) -> None:
    stranger = keys.device("stranger", authorized=False)
    lost = Credentials(stranger.own, new_pair()[0])
    gpu = Credentials(keys.device("other", role="edge" if name == "workers" else "worker").own, keys.router.public)
    endpoint = getattr(AT, name)
    edges, workers = cloud.gauge("router", "edges"), cloud.gauge("router", "workers")
    message: object = Ready("x", "x", CLASSES, 60) if name == "workers" else Hello("x", CLASSES)
    for who in (stranger, lost, gpu, None):
        counted = "refused_keys" if who in (stranger, gpu) else f'handshakes_failed{{socket="{name}"'
        before = count(cloud, counted)
        with peer(who, endpoint) as socket:
            with contextlib.suppress(zmq.Again):
                socket.send_multipart(wire.encode(message))
            await until(lambda b=before, c=counted: count(cloud, c) > b, "it is counted")  # type: ignore[misc]
    await goes_on(edge)
    assert (cloud.gauge("router", "edges"), cloud.gauge("router", "workers")) == (edges, workers)
    if name == "data":
        assert cloud.counter("router", "frames_without_session") == 0


async def test_a_session_is_its_keys_and_cannot_be_fed_by_another(cloud: Graph, edge: Graph, keys: Keyring) -> None:
    """One device knows another's routing id, and sends windows under it."""
    thief = keys.device("thief")
    routing_id = fresh_routing_id()
    victim = keys.device("victim")
    await until(lambda: "victim" in cloud.log("router"), "both are authorized", 5)
    with peer(victim, AT.control, routing_id) as control, peer(thief, AT.data, routing_id) as data:
        control.send_multipart(wire.encode(Hello("victim", CLASSES)))
        await until(lambda: control.poll(0) != 0, "the victim has credit")
        data.send_multipart(wire.encode(FrameData("cam", 1, 0, 0, 0, "jpeg", 32, 32, b"forged")))
        data.send_multipart(wire.encode(WindowRequest("cam", 1, 0, (0,), 1000)))
        await until(
            lambda: cloud.counter("router", "requests_without_session") > 0, "the thief has no session of that name"
        )
        assert cloud.counter("router", "frames_without_session") > 0
    await goes_on(edge)


async def test_a_device_over_its_limits_is_dropped_and_counted_and_nobody_else(
    cloud: Graph, edge: Graph, keys: Keyring
) -> None:
    greedy = keys.device("greedy")
    await until(lambda: '"greedy"' in cloud.log("router"), "it is authorized", 5)
    hello, ping = wire.encode(Hello("greedy", CLASSES)), wire.encode(Ping(1))
    with peer(greedy, AT.control) as socket:
        socket.send_multipart(hello)

        def limited() -> bool:
            for _ in range(200):
                with contextlib.suppress(zmq.Again):
                    socket.send_multipart(ping, zmq.DONTWAIT)
            return cloud.counter("router", 'limited{reason="over_rate"}') > 100

        await until(limited, "it is over its rate")
    await goes_on(edge)


async def test_a_revoked_device_is_cut_off_within_a_second(cloud: Graph, edge: Graph, keys: Keyring) -> None:
    """The third at the latest, as any machine stands still a moment; and each is cut off."""
    took_s: list[float] = []
    while not took_s or took_s[-1] >= 1.0:
        assert len(took_s) < 3, took_s
        name = f"former-{len(took_s)}"
        former = keys.device(name)
        await until(lambda name=name: f'"{name}"' in cloud.log("router"), "it is authorized")  # type: ignore[misc]
        with peer(former, AT.control) as socket:
            monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            socket.send_multipart(wire.encode(Hello(name, CLASSES)))
            await until(lambda: socket.poll(0) != 0, "it has credit")
            begin = time.monotonic()
            keys.revoke(name)
            await until(lambda: monitor.poll(0) != 0, "its connection is cut")  # noqa: B023
            took_s.append(time.monotonic() - begin)
    await until(lambda: "device revoked" in cloud.log("router"), "the log says so")
    await goes_on(edge)


async def test_malformed_and_oversized_messages_cost_the_router_no_memory(
    cloud: Graph, edge: Graph, keys: Keyring
) -> None:
    """The same at length: `clownfish bench --only hostile`."""
    bad = keys.device("bad")
    await until(lambda: '"bad"' in cloud.log("router"), "it is authorized", 5)
    process = psutil.Process(cloud.pid("router"))
    junk = [os.urandom(size) for size in (1, 40, 400, 4000)]

    def cut() -> int:
        """By whichever socket it was that the message too many came."""
        return sum(cloud.counter("router", f'cut{{socket="{at}",reason="malformed"}}') for at in ("control", "data"))

    async def flood(count: int) -> None:
        for who in (bad, None):
            with peer(who, AT.control) as control, peer(who, AT.data) as data:
                for n in range(count):
                    with contextlib.suppress(zmq.Again):
                        (control, data)[n % 2].send(junk[n % 4], zmq.DONTWAIT)
                    if n % 100 == 0:
                        await asyncio.sleep(0)
                with contextlib.suppress(zmq.Again):
                    control.send(b"x" * 300_000, zmq.DONTWAIT)
                await asyncio.to_thread(control.poll, 300)
                await until(lambda: who is None or cut() > 0, "the one that was let in is cut")  # noqa: B023

    await flood(3000)
    before = process.memory_info().rss
    await flood(10_000)
    assert process.memory_info().rss - before < 8 << 20
    await goes_on(edge)
