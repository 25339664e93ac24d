"""Which connection a message came by, and who is cut: on real sockets, as descriptors are used again."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest_asyncio

from clownfish.bus import Encoded
from clownfish.bus.connections import Connections
from clownfish.protocol import Ping
from tests.graph.harness import until
from tests.guarded import GRACE_S, Cloud, guarded, reaches
from tests.keyrings import keyring

LINGER_MS = int(GRACE_S * 1000)
"""What was sent before must arrive, however busy the machine is."""
OPEN = (psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT)


@pytest_asyncio.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    """Nothing is read until the test says so."""
    async with guarded(keyring(tmp_path / "keys"), read=False) as it:
        yield it


def connections(cloud: Cloud) -> Connections:
    guard = cloud.bus._guard
    assert guard is not None
    return guard._watched[0]


def inodes(cloud: Cloud) -> dict[int, int]:
    """The router's open connections as the kernel has them: descriptor → inode."""
    port = int(cloud.endpoint.rpartition(":")[2])
    found = {}
    for each in psutil.Process().net_connections("tcp"):
        if each.laddr.port == port and each.status in OPEN:
            with contextlib.suppress(OSError):  # it has been closed since
                found[each.fd] = os.fstat(each.fd).st_ino
    return found


async def test_who_has_a_descriptor_now_is_not_cut_for_what_came_by_it_before(cloud: Cloud) -> None:
    bad, honest = await cloud.device("bad"), await cloud.device("honest")
    leaving = cloud.dealer(bad)
    await asyncio.wait_for(leaving.put(Ping(1)), GRACE_S)
    await until(lambda: len(inodes(cloud)) == 1, "it is in", GRACE_S)
    (descriptor,) = inodes(cloud)
    leaving.close(LINGER_MS)
    await until(lambda: not inodes(cloud), "it has gone, and what it sent waits to be read", GRACE_S)
    for number in range(2, 22):  # the first mostly takes the descriptor that is free now
        await asyncio.wait_for(cloud.dealer(honest).put(Ping(number)), GRACE_S)
        await until(lambda count=number - 1: len(inodes(cloud)) == count, "one more is in", GRACE_S)  # type: ignore[misc]
        if descriptor in inodes(cloud):
            break
    before = inodes(cloud)
    assert descriptor in before
    cloud.keys.revoke("bad")
    await until(lambda: cloud.revoked == ["bad"], "the router has seen it", GRACE_S)
    cloud.read()
    await until(lambda: len(cloud.from_device(honest)) == len(before), "all is read", GRACE_S)
    assert cloud.count("cut{") == 1, "the message of the revoked one was among it"
    assert inodes(cloud) == before, "one that is shut down is not open any more"


async def test_what_is_known_of_connections_goes_with_them(cloud: Cloud) -> None:
    cloud.read()
    bad = await cloud.device("bad")
    for number in range(6):
        dealer = cloud.dealer(bad)
        await asyncio.wait_for(dealer.put(Ping(number)), GRACE_S)
        if number % 2:
            await asyncio.wait_for(dealer.put(Encoded.raw([b"nonsense"])), GRACE_S)
        await until(lambda count=number + 1: len(cloud.came) == count, "it is in", GRACE_S)  # type: ignore[misc]
        dealer.close(LINGER_MS)
    known = connections(cloud)
    await until(lambda: not len(known), "they have gone", GRACE_S)
    assert not known._known
    assert not known._admissions


async def test_a_message_of_a_connection_that_is_gone_is_read_all_the_same(cloud: Cloud) -> None:
    brief = await cloud.device("brief")
    dealer = cloud.dealer(brief)
    await asyncio.wait_for(dealer.put(Ping(5)), GRACE_S)
    dealer.close(LINGER_MS)
    await until(lambda: not inodes(cloud) and not len(connections(cloud)), "it has gone", GRACE_S)
    cloud.read()
    await until(lambda: cloud.from_device(brief) == [5], "it is read", GRACE_S)
    assert cloud.router.cut(brief.own.public.encode()) == [], "there is nothing to cut"


async def test_all_connections_of_a_device_are_cut_and_nobody_elses(cloud: Cloud) -> None:
    cloud.read()
    bad, honest = await cloud.device("bad"), await cloud.device("honest")
    for curve in (bad, honest, bad):
        await asyncio.wait_for(cloud.dealer(curve).put(Ping(1)), GRACE_S)
    await until(lambda: len(cloud.came) == 3, "all are in", GRACE_S)
    peers = [peer for peer, _ in cloud.came if peer.startswith(bad.own.public.encode())]
    before = inodes(cloud)
    cloud.keys.revoke("bad")
    assert sorted(cloud.router.cut(bad.own.public.encode())) == sorted(peers)
    await until(lambda: len(set(before.items()) & set(inodes(cloud).items())) == 1, "two are cut", GRACE_S)
    await reaches(cloud, honest, 2)
