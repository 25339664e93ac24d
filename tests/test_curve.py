"""Who comes in and who does not, on real sockets in one loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
import zmq

from clownfish.bus import Credentials, Encoded, fresh_routing_id, new_pair
from clownfish.bus.curve import WAITING, Door
from clownfish.errors import ConfigError
from clownfish.keys import Key
from clownfish.limits import Shunned
from clownfish.protocol import Ping, Pulse
from tests.graph.harness import free_ports, until
from tests.guarded import GRACE_S, Cloud, guarded, reaches
from tests.keyrings import Keyring, keyring


@pytest_asyncio.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    async with guarded(keyring(tmp_path / "keys")) as it:
        yield it


async def test_an_authorized_device_comes_in_and_is_known_by_its_key(cloud: Cloud) -> None:
    door = await cloud.device("door")
    dealer = cloud.dealer(door, b"c-one")
    await asyncio.wait_for(dealer.put(Ping(1)), GRACE_S)
    await until(lambda: bool(cloud.came), "its message", GRACE_S)
    [(peer, _)] = cloud.came
    assert peer == door.own.public.encode() + b"c-one"
    assert cloud.router.device(peer) == door.own.public.encode()
    assert cloud.router.try_send(peer, Pulse(7))
    async for message in dealer:
        assert message == Pulse(7)
        break


def unknown(keys: Keyring) -> Credentials | None:
    return keys.device("stranger", authorized=False)


def wrong_router(keys: Keyring) -> Credentials | None:
    return Credentials(keys.device("lost").own, new_pair()[0])


def plaintext(keys: Keyring) -> Credentials | None:
    return None


def a_worker(keys: Keyring) -> Credentials | None:
    return keys.device("worker", role="worker")


def half_a_key(keys: Keyring) -> Credentials | None:
    """Knows an authorized public key, and not its secret half."""
    door = keys.device("door")
    return Credentials(Key("thief", door.own.public, new_pair()[1]), door.router)


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (unknown, r"refuses this device's key .{40} \('stranger'\): it is unknown there, or revoked; .* authorize"),
        (wrong_router, r"router_key .{40} is not that router's key, most likely; compare it with router\.pub"),
        (plaintext, "wants CURVE and this device came without: give it key and router_key"),
        (a_worker, "refuses this device's key"),
        (half_a_key, "breaks off each handshake"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
async def test_nobody_else_comes_in_and_hears_why_in_words(
    cloud: Cloud, who: Callable[[Keyring], Credentials | None], words: str
) -> None:
    dealer = cloud.dealer(who(cloud.keys))
    pushing = asyncio.ensure_future(dealer.put(Ping(1)))
    why = await asyncio.wait_for(dealer.trouble(), GRACE_S)
    assert why.startswith(cloud.endpoint)
    assert re.search(words, why), why
    assert not pushing.done()
    pushing.cancel()
    await until(lambda: cloud.count("refused_keys") + cloud.count("handshakes_failed") > 0, "it is counted", GRACE_S)
    await reaches(cloud, await cloud.device("honest"))
    assert len(cloud.came) == 1


async def test_a_device_that_insists_on_curve_says_that_the_router_has_none(cloud: Cloud) -> None:
    endpoint = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    cloud.outside.router(endpoint, "plain", (Ping,), max_bytes=1000, insecure=False)
    dealer = cloud.outside.dealer(
        endpoint, "dealer", (Pulse,), routing_id=fresh_routing_id(), curve=await cloud.device("door")
    )
    assert "speaks no CURVE and this device insists on it" in await asyncio.wait_for(dealer.trouble(), GRACE_S)


async def test_a_device_that_is_authorized_later_comes_in_then(cloud: Cloud) -> None:
    late = cloud.keys.device("late", authorized=False)
    dealer = cloud.dealer(late)
    await asyncio.wait_for(dealer.trouble(), GRACE_S)
    cloud.keys.authorize(late.own)
    await cloud.known(late)
    await reaches(cloud, late)


async def test_a_revoked_device_is_cut_off_within_a_second_and_cannot_come_back(cloud: Cloud) -> None:
    door, honest = await cloud.device("door"), await cloud.device("honest")
    dealer, other = cloud.dealer(door), cloud.dealer(honest)
    for each in (dealer, other):
        await asyncio.wait_for(each.put(Ping(1)), GRACE_S)
    await until(lambda: len(cloud.came) == 2, "both are in", GRACE_S)
    trouble = asyncio.ensure_future(dealer.trouble())
    cloud.keys.revoke("door")
    await until(lambda: cloud.revoked == ["door"], "the router has seen it", 1.0)
    dealer.try_send(Ping(2))
    assert "revoked" in await asyncio.wait_for(trouble, GRACE_S), "its connection is cut, and it is not let in again"
    await asyncio.wait_for(other.put(Ping(3)), GRACE_S)
    await until(lambda: 3 in cloud.from_device(honest), "the other goes on", GRACE_S)
    assert cloud.from_device(door) == [1]


async def test_a_routing_id_gives_no_claim_to_anothers_session(cloud: Cloud) -> None:
    owner, thief = await cloud.device("owner"), await cloud.device("thief")
    dealer = cloud.dealer(owner, b"c-the-same")
    await asyncio.wait_for(dealer.put(Ping(1)), GRACE_S)
    await until(lambda: len(cloud.came) == 1, "the owner is in", GRACE_S)
    second = cloud.dealer(thief, b"c-the-same")  # while the owner is connected, ZeroMQ ignores it
    await asyncio.wait_for(second.put(Ping(2)), GRACE_S)
    await reaches(cloud, await cloud.device("honest"), 3)
    assert cloud.from_device(thief) == []
    second.close()
    dealer.close()

    async def takes_it() -> None:
        while 4 not in cloud.from_device(thief):  # as long as the owner's connection has not quite gone
            third = cloud.dealer(thief, b"c-the-same")
            await third.put(Ping(4))
            with contextlib.suppress(AssertionError):
                await until(lambda: 4 in cloud.from_device(thief), "the thief is in, as itself", 0.3)
            third.close()

    await asyncio.wait_for(takes_it(), GRACE_S)
    assert cloud.from_device(owner) == [1]


async def test_a_recorded_connection_played_again_says_nothing(cloud: Cloud) -> None:
    door = await cloud.device("door")
    host, _, port = cloud.endpoint.removeprefix("tcp://").rpartition(":")
    said: list[bytes] = []
    carried: list[asyncio.Task[None]] = []

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))

        async def pump(source: asyncio.StreamReader, to: asyncio.StreamWriter, note: list[bytes] | None) -> None:
            while data := await source.read(65536):
                if note is not None:
                    note.append(data)
                to.write(data)

        try:
            with contextlib.suppress(ConnectionError):
                await asyncio.gather(pump(reader, inner_writer, said), pump(inner_reader, writer, None))
        finally:
            inner_writer.close()
            writer.close()

    def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried.append(asyncio.create_task(between(reader, writer)))

    proxy = await asyncio.start_server(carry, "127.0.0.1", 0)
    at = f"tcp://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    dealer = cloud.outside.dealer(at, "dealer", (), routing_id=fresh_routing_id(), curve=door)
    await asyncio.wait_for(dealer.put(Ping(1)), GRACE_S)
    await until(lambda: cloud.from_device(door) == [1], "the device comes in", GRACE_S)
    dealer.close()
    proxy.close()
    for task in carried:  # one half of a connection outlives the other: the test ends both
        task.cancel()
    await asyncio.gather(*carried, return_exceptions=True)
    before = cloud.count("handshakes_failed")
    reader, writer = await asyncio.open_connection(host, int(port))
    for part in said:
        writer.write(part)
    with contextlib.suppress(ConnectionError):
        while await asyncio.wait_for(reader.read(65536), GRACE_S):
            pass  # the router cuts it
    writer.close()
    await until(lambda: cloud.count("handshakes_failed") > before, "the handshake failed", GRACE_S)
    await reaches(cloud, await cloud.device("honest"), 2)
    assert cloud.from_device(door) == [1]


async def test_a_device_that_sends_nonsense_is_cut_and_the_others_are_not(cloud: Cloud) -> None:
    bad = await cloud.device("bad")
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        for option, value in (
            (zmq.CURVE_SERVERKEY, bad.router),
            (zmq.CURVE_PUBLICKEY, bad.own.public),
            (zmq.CURVE_SECRETKEY, bad.own.secret),
        ):
            socket.setsockopt(option, value.encode())
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(cloud.endpoint)
        for _ in range(250):
            socket.send(os.urandom(30))
        await until(lambda: cloud.counts['cut{socket="control",reason="malformed"}'] > 0, "it is cut", GRACE_S)
        socket.send(b"x" * 20_000)
        await until(lambda: cloud.counts["connections_shunned"] > 0, "it is kept out as it comes back", GRACE_S)
        await reaches(cloud, await cloud.device("honest"))
    assert len(cloud.came) == 1


async def test_while_messages_wait_unread_one_comes_in_for_as_many_as_it_may_bring() -> None:
    door = Door()

    async def enters(patience_s: float = 0.1) -> bool:
        try:
            await asyncio.wait_for(door.wait(), patience_s)
        except asyncio.TimeoutError:
            return False
        return True

    assert all([await enters() for _ in range(10)]), "nothing waits"
    door.read("data", drained=False)
    assert await enters(), "it was open"
    assert not await enters()
    for _ in range(WAITING - 1):
        door.read("data", drained=False)
    assert not await enters()
    door.read("data", drained=False)
    assert [await enters() for _ in range(2)] == [True, False]
    door.read("data", drained=True)
    assert all([await enters() for _ in range(10)])
    door.read("control", drained=False)
    assert await enters()
    assert await enters(patience_s=2.0), "a router that is always behind lets in somebody now and then"


async def test_a_device_that_was_kept_out_comes_in_again_when_its_time_is_over(cloud: Cloud) -> None:
    guard = cloud.bus._guard
    assert guard is not None
    guard._shunned = Shunned(malformed=10, out_s=0.5)
    bad = await cloud.device("bad")
    for times in (1, 2):
        dealer = cloud.dealer(bad, b"c-bad")  # each time under one routing id: its new connection must be cut, too
        while cloud.count("cut{") < times:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(dealer.put(Encoded.raw([b"nonsense"])), 0.1)
        dealer.close()
        await until(lambda: not guard.shuns(bad.own.public), "its time is over", GRACE_S)
    await reaches(cloud, bad, 7)
    await reaches(cloud, await cloud.device("honest"))


async def test_before_the_guard_runs_nobody_comes_in(tmp_path: Path) -> None:
    keys = keyring(tmp_path / "keys")
    async with guarded(keys, run=False) as cloud:
        dealer = cloud.dealer(keys.device("door"))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(dealer.put(Ping(1)), 1.0)
        assert cloud.came == []


async def test_with_a_guard_a_router_may_listen_beyond_its_host(cloud: Cloud) -> None:
    endpoint = f"tcp://0.0.0.0:{free_ports(1)[0]}"
    cloud.bus.router(endpoint, "wide", (Ping,), max_bytes=1000, insecure=False)
    with pytest.raises(ConfigError, match="clownfish keys new router"):
        cloud.outside.router(f"tcp://0.0.0.0:{free_ports(1)[0]}", "wide", (Ping,), max_bytes=1000, insecure=False)


async def test_messages_come_through_whole(cloud: Cloud) -> None:
    door = await cloud.device("door")
    dealer = cloud.dealer(door)
    for number in range(200):
        await asyncio.wait_for(dealer.put(Ping(number)), GRACE_S)
    await until(lambda: len(cloud.came) == 200, "all of them", GRACE_S)
    assert cloud.from_device(door) == list(range(200))
