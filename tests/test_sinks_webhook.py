"""The sink `webhook` against a real server that fails in every way that servers do."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clownfish.errors import SinkError
from clownfish.sinks.base import Sink
from tests.graph.harness import free_ports, until
from tests.sink_targets import HttpServer, build, context, count, event, gauge, result, running, server

__all__ = ["server"]  # a fixture


def webhook(folder: Path, url: str, tell: Callable[[str], None] = lambda text: None, **options: object) -> Sink:
    """The sink, with a spool below `folder`."""
    given = {"retry_s": 0.02, "retry_max_s": 0.1, "timeout_s": 2.0, **options}
    return build("webhook", context(folder, tell=tell), url=url, **given)


async def test_a_message_is_signed_has_a_key_of_its_own_and_is_the_whole_record(
    server: HttpServer, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("hush\n")
    sink = webhook(tmp_path, server.url, secret_file=str(tmp_path / "secret"), headers={"X-Site": "yard"})
    async with running(sink):
        sink.write(event(3, revision=2, state="ended", final=True))
        sink.write(result(5, "Basketball"))
        await until(lambda: len(server.requests) == 2, "both", 40)
    first, second = server.requests
    timestamp = first.headers["X-Clownfish-Timestamp"]
    expected = hmac.new(b"hush", timestamp.encode() + b"." + first.body, hashlib.sha256).hexdigest()
    assert first.headers["X-Clownfish-Signature"] == f"sha256={expected}"
    assert abs(int(timestamp) - time.time()) < 60
    assert (first.headers["Idempotency-Key"], first.headers["X-Site"]) == ("dev00/7/3:2", "yard")
    assert second.headers["Idempotency-Key"] == "dev00/7/5:0"
    assert (first.record["id"], first.record["state"], first.record["final"]) == ("dev00/7/3", "ended", True)
    assert (second.record["t"], second.record["label"], len(second.record["p"])) == (5, "Basketball", 3)


async def test_a_target_that_fails_gets_it_again_and_nothing_overtakes_it(server: HttpServer, tmp_path: Path) -> None:
    failures = {0: 503, 1: 500, 2: 429, 3: 408, 4: 425}
    server.answer = lambda n: None if n == 5 else (failures.get(n, 201), {})
    told: list[str] = []
    sink = webhook(tmp_path, server.url, told.append)
    async with running(sink):
        for n in range(6):
            sink.write(event(n))
        await until(lambda: len(server.taken()) == 6, "all six", 40)
        await until(lambda: not gauge(sink, "spool_messages"), "the last is acknowledged", 40)
    assert [each["id"] for each in server.taken()] == [f"dev00/7/{n}" for n in range(6)]
    assert [request.record["id"] for request in server.requests[:7]] == ["dev00/7/0"] * 7
    assert len({request.headers["Idempotency-Key"] for request in server.requests[:7]}) == 1
    assert count(sink, "target_failures") == 6
    assert len(told) == 2  # once that it fails, once that it works again


@pytest.mark.parametrize("status", [400, 401, 404, 410, 301])
async def test_what_is_refused_is_counted_and_not_tried_again(server: HttpServer, tmp_path: Path, status: int) -> None:
    server.answer = lambda n: (status if n == 1 else 200, {"Location": server.url} if status == 301 else {})
    sink = webhook(tmp_path, server.url)
    async with running(sink):
        for n in range(3):
            sink.write(event(n))
        await until(lambda: len(server.requests) == 3, "three requests", 40)
        await until(lambda: not gauge(sink, "spool_messages"), "the last is acknowledged", 40)
    assert [request.record["id"] for request in server.requests] == ["dev00/7/0", "dev00/7/1", "dev00/7/2"]
    assert count(sink, f'refused{{status="{status}"}}') == 1


async def test_it_is_left_alone_for_as_long_as_it_wants(server: HttpServer, tmp_path: Path) -> None:
    server.answer = lambda n: (503, {"Retry-After": "1"}) if n == 0 else (200, {})
    sink = webhook(tmp_path, server.url)
    async with running(sink):
        sink.write(event(0))
        await until(lambda: len(server.requests) == 2, "both tries", 40)
    first, second = (request.at_s for request in server.requests)
    assert second - first > 0.9


async def test_a_target_that_never_answers_holds_up_nobody_who_writes(server: HttpServer, tmp_path: Path) -> None:
    server.hang.clear()
    sink = webhook(tmp_path, server.url, timeout_s=0.3)
    async with running(sink):
        for n in range(300):
            sink.write(event(n))
            await asyncio.sleep(0)
        assert gauge(sink, "spool_messages") == 300
        await until(lambda: count(sink, "target_failures") > 0, "it is given up", 40)
        server.hang.set()
        await until(lambda: not gauge(sink, "spool_messages"), "all went through", 40)
    assert list(dict.fromkeys(each["id"] for each in server.taken())) == [f"dev00/7/{n}" for n in range(300)]


async def test_a_connection_that_was_closed_meanwhile_is_no_failure(tmp_path: Path) -> None:
    """Servers close connections that are idle; the next message opens another, at once."""
    answered = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")  # and does not say that it will close
        await writer.drain()
        writer.close()
        answered += 1

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    sink = webhook(tmp_path, f"http://127.0.0.1:{port}/")
    async with listening, running(sink):
        for n in range(4):
            sink.write(event(n))
            await until(lambda n=n: answered == n + 1, f"answer {n}", 40)  # type: ignore[misc]
        await until(lambda: count(sink, "acked") == 4, "acknowledged", 40)
        assert count(sink, "target_failures") == 0


async def test_nobody_listening_and_no_http_are_failures_like_others(server: HttpServer, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    sink = webhook(tmp_path, f"http://127.0.0.1:{port}/")
    with socket.socket() as babbling:
        async with running(sink):
            sink.write(event(0))
            await until(lambda: count(sink, "target_failures") >= 2, "nobody there", 40)
            babbling.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            babbling.bind(("127.0.0.1", port))
            babbling.listen()
            babbling.settimeout(10)
            connection, _ = await asyncio.to_thread(babbling.accept)
            before = count(sink, "target_failures")
            connection.sendall(b"220 mail.example ESMTP\r\n")
            await until(lambda: count(sink, "target_failures") > before, "no HTTP", 40)
            connection.close()
        assert gauge(sink, "connected") == 0


@pytest.mark.parametrize("url", ["ftp://a/b", "http://", "localhost:80", "http://user:password@host/", "https:///path"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match=r"expected http\[s\]"):
        webhook(tmp_path, url)


def test_an_empty_secret_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" \n")
    with pytest.raises(SinkError, match="is empty"):
        webhook(tmp_path, "http://host/", secret_file=str(tmp_path / "secret"))
