"""The load's connections, at real sockets of libzmq."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import zmq

from clownfish.bus import fresh_routing_id, new_pair
from clownfish.errors import ClownfishError
from clownfish.lab.peers import Heard, Peer, Peers

ENDPOINT = "tcp://127.0.0.1:*"


@pytest.fixture
def peers() -> Iterator[Peers]:
    it = Peers(4, "")
    yield it
    it.close()


@pytest.fixture
def router() -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as it:
        it.setsockopt(zmq.LINGER, 0)
        it.setsockopt(zmq.RCVTIMEO, 20_000)
        it.bind(ENDPOINT)
        yield it


def last_endpoint(router: zmq.Socket[bytes]) -> str:
    return router.getsockopt_string(zmq.LAST_ENDPOINT)


def heard(peer: Peer, count: int) -> list[Heard]:
    """So many messages, as the poll says that they have come."""
    poll = select.poll()
    poll.register(peer.descriptor, select.POLLIN)
    came = list(peer.hear())
    while len(came) < count:
        assert poll.poll(20_000), f"{len(came)} of {count} messages came"
        came += peer.hear()
    return came


def test_messages_of_any_size_cross_both_ways_whole_and_in_order(peers: Peers, router: zmq.Socket[bytes]) -> None:
    routing_id = fresh_routing_id()
    peer = peers.open(last_endpoint(router), routing_id, None)
    messages = [[b"head"], [b"", b"x" * 255, b"y" * 256], [b"z" * 300_000, b"end"]]
    peer.send(*messages[:2])
    peer.send(messages[2])
    for message in messages:
        assert router.recv_multipart() == [routing_id, *message]
    for message in messages:
        router.send_multipart([routing_id, *message])
    assert [parts for parts, _ in heard(peer, 3)] == messages


def test_the_kernel_says_when_a_message_came_however_late_it_is_read(peers: Peers, router: zmq.Socket[bytes]) -> None:
    """It begins to stamp a while after it was asked to; until then the stamp is the time of reading."""
    peer = peers.open(last_endpoint(router), b"c1", None)
    peer.send([b"?"])
    router.recv_multipart()
    give_up = time.monotonic() + 20
    while True:
        before = time.time_ns()
        router.send_multipart([b"c1", b"!"])
        assert select.select([peer.descriptor], [], [], 20)[0], "it came"
        come = time.time_ns()
        while time.time_ns() < come + 5_000_000:
            pass
        ((parts, at_ns),) = peer.hear()
        assert parts == [b"!"]
        assert at_ns >= before
        if at_ns <= come:
            return
        assert time.monotonic() < give_up, "the kernel has stamped nothing"


def test_a_router_that_goes_is_said(peers: Peers, router: zmq.Socket[bytes]) -> None:
    peer = peers.open(last_endpoint(router), b"c1", None)
    router.close()
    with pytest.raises(ClownfishError, match="closed a connection"):
        heard(peer, 1)


def test_what_hangs_up_in_place_of_a_greeting_is_said(peers: Peers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as beside:
        server.settimeout(20)

        def hang_up() -> None:
            with server.accept()[0]:
                pass

        hanging_up = beside.submit(hang_up)
        with pytest.raises(ClownfishError, match="no router without keys answers on tcp://127"):
            peers.open(f"tcp://127.0.0.1:{server.getsockname()[1]}", b"c1", None)
        hanging_up.result(20)


def test_behind_keys_libzmq_carries_them() -> None:
    (public, secret), own = new_pair(), new_pair()
    with zmq.Context() as context, context.socket(zmq.ROUTER) as guarded:
        guarded.setsockopt(zmq.LINGER, 0)
        guarded.setsockopt(zmq.RCVTIMEO, 20_000)
        guarded.setsockopt(zmq.CURVE_SERVER, 1)
        guarded.setsockopt(zmq.CURVE_SECRETKEY, secret.encode())
        guarded.bind(ENDPOINT)
        peers = Peers(1, public)
        try:
            peer = peers.open(last_endpoint(guarded), b"c1", own)
            peer.send([b"?", b"x"])
            assert guarded.recv_multipart() == [b"c1", b"?", b"x"]
            before = time.time_ns()
            guarded.send_multipart([b"c1", b"!"])
            (parts, at_ns), *_ = heard(peer, 1)
            assert parts == [b"!"]
            assert before <= at_ns <= time.time_ns()
        finally:
            peers.close()
