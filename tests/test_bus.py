"""Real sockets in one loop."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import zmq

from clownfish import wire
from clownfish.bus import Bus, Dealer, Inbox, fresh_routing_id, is_exposed
from clownfish.errors import ConfigError
from clownfish.messages import End, Frame
from clownfish.protocol import Ping, Pulse
from tests.graph import harness
from tests.graph.harness import free_ports, until


class Counted(Bus):
    """A bus whose counts can be looked at."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        super().__init__(lambda name: self.counts.update([name]))


@pytest_asyncio.fixture
async def bus() -> AsyncIterator[Counted]:
    it = Counted()
    yield it
    it.close(0)


@pytest.fixture
def at() -> Iterator[str]:
    path = harness.folder()
    yield f"ipc://{path}/socket.ipc"
    harness.remove(path)


def end(n: int) -> End:
    return End("cam", 1, n, "x")


async def take(inbox: Inbox | Dealer, count: int) -> list[object]:
    came: list[object] = []

    async def read() -> None:
        async for message in inbox:
            came.append(message)
            if len(came) == count:
                return

    await asyncio.wait_for(read(), 20)
    return came


async def test_messages_arrive_whole_and_in_order(bus: Counted, at: str) -> None:
    inbox, outbox = bus.inbox(at, "in", (End,)), bus.outbox(at, "out")
    for n in range(50):
        await outbox.put(end(n))
    assert await take(inbox, 50) == [end(n) for n in range(50)]
    assert bus.counts == {'sent{socket="out"}': 50, 'received{socket="in"}': 50}


async def test_large_messages_arrive_without_a_copy(bus: Counted, at: str) -> None:
    inbox, outbox = bus.inbox(at, "in", (Frame,), large=True), bus.outbox(at, "out", large=True)
    pixels = np.arange(128 * 172 * 3, dtype=np.uint8).reshape(128, 172, 3)
    await outbox.put(Frame("cam", 1, 0, 0, True, pixels))
    [frame] = await take(inbox, 1)
    assert isinstance(frame, Frame)
    assert np.array_equal(frame.pixels, pixels)


async def test_a_sender_without_a_receiver_drops_and_counts_when_its_queue_is_full(bus: Counted, at: str) -> None:
    outbox = bus.outbox(at, "out", hwm=3)
    assert [outbox.try_send(end(n)) for n in range(5)] == [True, True, True, False, False]
    assert bus.counts['dropped{socket="out",reason="full"}'] == 2
    assert await take(bus.inbox(at, "in", (End,)), 3) == [end(0), end(1), end(2)]


async def test_a_sender_that_insists_gives_up_in_the_end(bus: Counted, at: str) -> None:
    outbox = bus.outbox(at, "out", hwm=1)
    assert await outbox.insist(end(0))
    assert not await outbox.insist(end(1), patience_s=0.01)
    assert bus.counts['dropped{socket="out",reason="full"}'] == 1


async def test_a_live_message_is_dropped_where_another_waits(bus: Counted, at: str) -> None:
    outbox = bus.outbox(at, "out", hwm=1)
    await outbox.deliver(end(0), live=True)
    await outbox.deliver(end(1), live=True)
    waiting = asyncio.ensure_future(outbox.deliver(end(2), live=False))
    await asyncio.sleep(0)
    assert not outbox.try_send(end(3)), "a message overtook one that waits"
    assert await take(bus.inbox(at, "in", (End,)), 2) == [end(0), end(2)]
    await waiting


async def test_a_receiver_that_comes_back_hears_its_sender_again(bus: Counted, at: str) -> None:
    outbox, first = bus.outbox(at, "out"), Counted()
    await outbox.put(end(0))
    assert await take(first.inbox(at, "in", (End,)), 1) == [end(0)]
    first.close(0)
    second = Counted()
    await outbox.put(end(1))
    await outbox.put(end(2))
    assert (await take(second.inbox(at, "in", (End,)), 1))[0] in (end(1), end(2))  # one may be lost with the first
    second.close(0)


async def test_what_is_not_expected_on_a_socket_is_counted_and_dropped(bus: Counted, at: str) -> None:
    inbox, outbox = bus.inbox(at, "in", (End,)), bus.outbox(at, "out")
    await outbox.put(Ping(1))
    await outbox.put(end(0))
    assert await take(inbox, 1) == [end(0)]
    assert bus.counts['malformed{socket="in"}'] == 1


async def test_a_router_answers_the_peer_that_asked(bus: Counted, at: str) -> None:
    router = bus.router(at, "router", (Ping,), max_bytes=1000, insecure=False)
    dealers = [bus.dealer(at, "dealer", (Pulse,), routing_id=fresh_routing_id()) for _ in range(2)]
    for n, dealer in enumerate(dealers):
        await dealer.put(Ping(n))
    peers = {}
    async for peer, message in router:
        peers[message.sequence] = peer
        if len(peers) == 2:
            break
    assert router.try_send(peers[1], Pulse(1))
    assert await take(dealers[1], 1) == [Pulse(1)]


async def test_a_router_counts_what_it_cannot_route(bus: Counted, at: str) -> None:
    router = bus.router(at, "router", (Ping,), max_bytes=1000, insecure=False)
    assert not router.try_send(b"nobody", Pulse(1))
    assert bus.counts['dropped{socket="router",reason="unroutable"}'] == 1


async def test_a_dealer_keeps_nothing_for_a_router_that_is_away(bus: Counted, at: str) -> None:
    dealer = bus.dealer(at, "dealer", (Pulse,), routing_id=fresh_routing_id())
    assert not dealer.try_send(Ping(0))
    waiting = asyncio.ensure_future(dealer.put(Ping(1)))
    router = bus.router(at, "router", (Ping,), max_bytes=1000, insecure=False)
    async for _, message in router:
        assert message == Ping(1)
        break
    await asyncio.wait_for(waiting, 20)


async def test_a_port_that_is_taken_is_said(bus: Counted) -> None:
    endpoint = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    bus.inbox(endpoint, "in", (End,))
    with pytest.raises(ConfigError, match=f"cannot listen on {endpoint}: is taken"):
        bus.inbox(endpoint, "in", (End,))


async def test_a_folder_that_is_not_there_is_said(bus: Counted) -> None:
    with pytest.raises(ConfigError, match="cannot listen on ipc:///nowhere/x"):
        bus.inbox("ipc:///nowhere/x", "in", (End,))


@pytest.mark.parametrize(
    ("endpoint", "exposed"),
    [
        ("tcp://127.0.0.1:1", False),
        ("tcp://localhost:1", False),
        ("tcp://[::1]:1", False),
        ("ipc:///x", False),
        ("tcp://0.0.0.0:1", True),
        ("tcp://*:1", True),
        ("tcp://10.0.0.1:1", True),
        ("tcp://[::]:1", True),
        ("tcp://localhost.example.org:1", True),
        ("tcp://127.example.org:1", True),
    ],
)
async def test_a_router_listens_beyond_its_host_only_when_told_to(bus: Counted, endpoint: str, exposed: bool) -> None:
    assert is_exposed(endpoint) == exposed
    if exposed:
        with pytest.raises(ConfigError, match="without authentication"):
            bus.router(endpoint, "router", (Ping,), max_bytes=1000, insecure=False)


async def test_the_housekeeping_of_bound_sockets_takes_no_wake_up_from_a_reader(bus: Counted, at: str) -> None:
    """A message arrives, and EVENTS is read before the loop has seen it."""
    inbox = bus.inbox(at, "in", (End,))
    reader = asyncio.ensure_future(take(inbox, 1))
    await until(lambda: bool(inbox._waiting), "the reader waits", 20)
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.connect(at)
        push.send_multipart(wire.encode(end(7)))
        # the socket is connected once the message can be seen; nothing is awaited until the housekeeping is done
        assert zmq.Socket.shadow(inbox._socket.underlying).poll(20_000), "the message did not arrive"
        bus._read_events()
        assert await asyncio.wait_for(reader, 20) == [end(7)]


async def test_no_wake_up_is_lost_between_sends_and_receives(bus: Counted, at: str) -> None:
    """Sending takes the sign that something came. Nothing else wakes here: the housekeeping does not run."""
    bus._housekeeping.cancel()
    router = bus.router(at, "router", (Ping,), max_bytes=1000, insecure=False)

    async def echo() -> None:
        async for peer, message in router:
            router.try_send(peer, Pulse(message.sequence))

    async def play(dealer: Dealer) -> None:
        heard = aiter(dealer)
        for n in range(100):
            await dealer.put(Ping(n))
            assert await anext(heard) == Pulse(n)

    echoing = asyncio.ensure_future(echo())
    dealers = [bus.dealer(at, "dealer", (Pulse,), routing_id=fresh_routing_id()) for _ in range(10)]
    await asyncio.wait_for(asyncio.gather(*map(play, dealers)), 60)
    echoing.cancel()


async def test_no_wake_up_is_lost_where_one_router_sends_while_another_is_read(at: str) -> None:
    """As edges and workers: what one side says is sent on by the other socket. Nothing else wakes here."""
    bus = Counted()
    bus._housekeeping.cancel()
    sides = [bus.router(f"{at}-{side}", side, (Ping,), max_bytes=1000, insecure=False) for side in "ab"]
    dealers = [[bus.dealer(f"{at}-{side}", side, (Pulse,), routing_id=b"c%d" % n) for n in range(10)] for side in "ab"]
    works = [
        asyncio.ensure_future(here.each(lambda peer, ping, there=there: there.try_send(peer, Pulse(ping.sequence))))
        for here, there in (sides, reversed(sides))
    ]

    async def play(n: int) -> None:
        left, right = dealers[0][n], dealers[1][n]
        await asyncio.gather(left.met(), right.met())
        heard = {left: aiter(left), right: aiter(right)}
        for turn in range(60):
            sender, hearer = (left, right) if turn % 2 else (right, left)
            await sender.put(Ping(turn))
            assert await anext(heard[hearer]) == Pulse(turn)

    try:
        await asyncio.wait_for(asyncio.gather(*map(play, range(10))), 60)
    finally:
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        bus.close(0)


async def test_what_goes_wrong_with_a_message_ends_the_hearing_and_another_may_begin(bus: Counted, at: str) -> None:
    router = bus.router(at, "router", (Ping,), max_bytes=1000, insecure=False)
    dealer = bus.dealer(at, "dealer", (Pulse,), routing_id=fresh_routing_id())
    taken: list[int] = []

    def take_small(peer: bytes, message: Ping) -> None:
        taken.append(message.sequence)
        if message.sequence > 1:
            raise ValueError("too large")

    hearing = asyncio.ensure_future(router.each(take_small))
    for n in range(3):
        await dealer.put(Ping(n))
    with pytest.raises(ValueError, match="too large"):
        await asyncio.wait_for(hearing, 20)
    assert taken == [0, 1, 2]
    await dealer.put(Ping(3))
    async for _, message in router:
        assert message == Ping(3)
        break
    hearing = asyncio.ensure_future(router.each(lambda peer, message: taken.append(message.sequence)))
    await dealer.put(Ping(4))
    await until(lambda: taken[-1] == 4, "it is heard", 20)
    hearing.cancel()


async def test_a_router_that_hears_without_end_lets_others_have_the_loop(bus: Counted, at: str) -> None:
    router = bus.router(at, "router", (Ping,), max_bytes=1000, insecure=False)
    dealer = bus.dealer(at, "dealer", (Pulse,), routing_id=fresh_routing_id(), hwm=5000)
    taken: list[int] = []

    def take_slowly(peer: bytes, message: Ping) -> None:
        taken.append(message.sequence)
        end = time.monotonic() + 0.0005
        while time.monotonic() < end:
            pass

    await dealer.met()
    for n in range(200):
        await dealer.put(Ping(n))
    await until(lambda: zmq.Socket.shadow(router._socket.underlying).poll(0) > 0, "they have come", 20)
    hearing = asyncio.ensure_future(router.each(take_slowly))
    turns = 0
    while len(taken) < 200:
        await asyncio.sleep(0)
        turns += 1
    assert turns > 20, "the loop turned"
    assert taken == list(range(200))
    hearing.cancel()


async def test_a_busy_socket_lets_others_have_the_loop(bus: Counted, at: str) -> None:
    inbox, outbox = bus.inbox(at, "in", (End,), hwm=5000), bus.outbox(at, "out", hwm=5000)
    for n in range(3000):
        await outbox.put(end(n))
    await until(lambda: zmq.Socket.shadow(inbox._socket.underlying).poll(0) > 0, "they have come", 20)
    turns: list[int] = []
    count = 0

    async def other() -> None:
        while True:
            turns.append(count)
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    async for _ in inbox:
        count += 1
        if count == 3000:
            break
    task.cancel()
    assert len(set(turns)) > 5


def test_routing_ids_are_random_and_not_zero_mqs_own() -> None:
    ids = {fresh_routing_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(each[0] != 0 and len(each) == 16 for each in ids)


@pytest.fixture(autouse=True)
def _short(at: str) -> None:
    assert len(Path(at.removeprefix("ipc://")).as_posix()) < 100
