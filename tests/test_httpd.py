"""The small HTTP server: real sockets, well-behaved and not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from clownfish import httpd
from clownfish.httpd import Request, Response, Server, parse
from tests.graph.harness import free_ports


def answer(request: Request) -> Response:
    return Response(200, "ρ\n") if request.bears("secret") else Response(401, "no\n")


class Host:
    def __init__(self, port: int) -> None:
        self.port = port
        self.refused: list[str] = []
        self.server = Server(answer, self.refused.append)

    async def send(self, text: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(text)
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@pytest_asyncio.fixture
async def host() -> AsyncIterator[Host]:
    it = Host(free_ports(1)[0])
    await it.server.listen("127.0.0.1", it.port)
    yield it
    await it.server.close()


GOOD = b"GET /x?y=1 HTTP/1.1\r\nHost: a\r\nauthorization: Bearer secret\r\n\r\n"


async def test_a_request_is_answered_and_the_connection_closed(host: Host) -> None:
    got = await host.send(GOOD)
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: 3\r\n" in head + b"\r\n"
    assert body == "ρ\n".encode()
    assert (await host.send(GOOD.replace(b"GET", b"HEAD"))).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("text", "status", "why"),
    [
        (GOOD.replace(b"secret", b"secre"), b"401", []),
        (GOOD.replace(b"authorization", b"x"), b"401", []),
        (GOOD.replace(b"GET", b"POST"), b"405", ["method"]),
        (b"hello\r\n\r\n", b"400", ["malformed"]),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400", ["malformed"]),
        (b"GET / SSH/2\r\n\r\n", b"400", ["malformed"]),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 40_000 + b"\r\n\r\n", b"400", ["malformed"]),
    ],
    ids=["wrong token", "no token", "method", "no request", "no header", "another protocol", "too long"],
)
async def test_what_is_no_good_request_is_refused_and_told_of(
    host: Host, text: bytes, status: bytes, why: list[str]
) -> None:
    assert (await host.send(text)).startswith(b"HTTP/1.1 " + status)
    assert host.refused == why
    assert (await host.send(GOOD)).startswith(b"HTTP/1.1 200")


async def test_who_says_nothing_is_not_waited_for_and_too_many_are_sent_away(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(httpd, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(httpd, "_CONNECTIONS", 3)
    idle = [await asyncio.open_connection("127.0.0.1", host.port) for _ in range(3)]
    with pytest.raises(ConnectionResetError):
        await host.send(GOOD)
    for reader, writer in idle:
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        await writer.wait_closed()
    assert sorted(host.refused) == ["busy", "slow", "slow", "slow"]
    assert (await host.send(GOOD)).startswith(b"HTTP/1.1 200")


async def test_a_server_that_closes_leaves_nobody_waiting(host: Host) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.write(GOOD[:20])
    await host.send(GOOD)
    await host.server.close()
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 20) == b""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_a_probe_that_only_connects_does_no_harm(host: Host) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.close()
    await writer.wait_closed()
    assert (await host.send(GOOD)).startswith(b"HTTP/1.1 200")
    assert host.refused == []


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_whatever_comes_is_a_request_or_none(head: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse(head), Request)


def test_everyone_bears_the_empty_token_and_nobody_a_part_of_one() -> None:
    assert Request("GET", "/", {}).bears("")
    assert not Request("GET", "/", {"authorization": "Bearer "}).bears("x")
    assert not Request("GET", "/", {"authorization": "Bearer ρ"}).bears("x")
