"""Test tools: the real target of each kind of sink (a broker, a server, a file), and what has reached it."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import importlib.util
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clownfish.eventing import SceneEvent
from clownfish.messages import FusedResult
from clownfish.sinks import SINKS
from clownfish.sinks.base import Counting, Running, Sink, SinkContext, StreamInfo
from tests.graph.harness import free_ports, until

LABELS = ("Archery", "Basketball", "BabyCrawling")
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def result(t: int, label: str = "Archery", stream: str = "dev00", revision: int = 0, **changes: object) -> FusedResult:
    p = np.full(3, 0.1, np.float32)
    p[LABELS.index(label)] = 0.8
    fused = FusedResult(stream, 7, t, revision, p, label, 0.8, 0.25, 0.5, 0.0, None, "local", False)
    return replace(fused, **changes)  # type: ignore[arg-type]


def event(n: int, label: str = "Archery", stream: str = "dev00", revision: int = 0, **changes: object) -> SceneEvent:
    said = SceneEvent(
        id=f"{stream}/7/{n}",
        stream=stream,
        epoch=7,
        revision=revision,
        label=label,
        state="ongoing",
        final=False,
        live=revision == 0,
        start_frame=4 * n + 12,
        end_frame=None,
        start_s=(4 * n + 12) / 30,
        end_s=None,
        confidence=0.75,
        source="edge",
    )
    return replace(said, **changes)  # type: ignore[arg-type]


def context(folder: Path, name: str = "out", **changes: Any) -> SinkContext:
    streams = {"dev00": StreamInfo("a.mp4", 30.0)}
    return SinkContext(name=name, edge="box", streams=streams, classes=LABELS, state_folder=folder / "state", **changes)


def build(kind: str, given: SinkContext, **options: Any) -> Sink:
    factory: Any = SINKS.get(kind)
    return factory(context=given, **options)  # type: ignore[no-any-return]


@contextlib.asynccontextmanager
async def running(sink: Sink) -> AsyncIterator[Sink]:
    """The sink at its work, as the service has it."""
    assert isinstance(sink, Running)
    work = asyncio.ensure_future(sink.run())
    try:
        yield sink
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        sink.close()


def count(sink: Sink, name: str) -> int:
    assert isinstance(sink, Counting)
    return sink.counts.get(name, 0)


def gauge(sink: Sink, name: str) -> float:
    assert isinstance(sink, Counting)
    return sink.gauges()[name]


class Mosquitto:
    """A broker in a process of its own, that remembers its durable sessions."""

    def __init__(self, folder: Path, *lines: str, port: int | None = None) -> None:
        if MOSQUITTO is None:
            pytest.skip("mosquitto is not installed (apt install mosquitto)")
        self.port = port or free_ports(1)[0]
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "mosquitto.conf"
        settings = ["persistence true", f"persistence_location {folder}/", "autosave_interval 0"]
        if os.geteuid() == 0:
            settings.append("user root")
        settings += [f"listener {self.port} 127.0.0.1", *(lines or ("allow_anonymous true",))]
        self._config.write_text("\n".join(settings) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stdout=log, stderr=log)
        log.close()
        give_up = time.monotonic() + 20
        while not self._listens():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < give_up
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def remember(self) -> None:
        """Write sessions and retained messages to disk."""
        before = (self._folder / "mosquitto.db").stat().st_mtime_ns if (self._folder / "mosquitto.db").exists() else 0
        self.signal(signal.SIGUSR1)
        give_up = time.monotonic() + 10
        while not (self._folder / "mosquitto.db").exists() or (
            (self._folder / "mosquitto.db").stat().st_mtime_ns == before
        ):
            assert time.monotonic() < give_up
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None


@dataclass
class Subscriber:
    """What a client of the broker got."""

    port: int
    topics: str = "#"
    options: dict[str, Any] = field(default_factory=dict)
    messages: list[tuple[str, str]] = field(default_factory=list)
    """Topic and text."""
    connected: bool = False

    async def run(self) -> None:
        import aiomqtt

        session = {"identifier": "test", "clean_session": False, **self.options}
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", self.port, **session) as client:
                    await client.subscribe(self.topics, qos=1)
                    self.connected = True
                    async for message in client.messages:
                        self.messages.append((str(message.topic), bytes(message.payload).decode()))  # type: ignore[arg-type]
            self.connected = False
            await asyncio.sleep(0.05)

    def on(self, ending: str) -> list[dict[str, Any]]:
        """The messages of topics that end so, as JSON."""
        return [json.loads(text) for topic, text in self.messages if topic.endswith(ending)]

    def last(self, topic: str) -> str | None:
        return next((text for name, text in reversed(self.messages) if name == topic), None)


@contextlib.asynccontextmanager
async def subscribed(broker: Mosquitto, topics: str = "#", **options: Any) -> AsyncIterator[Subscriber]:
    subscriber = Subscriber(broker.port, topics, options)
    task = asyncio.ensure_future(subscriber.run())
    try:
        await until(lambda: subscriber.connected, "the subscriber is connected", 40)
        yield subscriber
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@dataclass
class Request:
    """One that the server got."""

    headers: dict[str, str]
    body: bytes
    status: int
    at_s: float = 0.0
    """time.monotonic() when it was answered."""

    @property
    def record(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


class HttpServer:
    """A server whose answers the test scripts: `answer(number of the request)` gives status and headers, or None: it
    hangs up without an answer."""

    def __init__(self, answer: Callable[[int], tuple[int, dict[str, str]] | None] = lambda n: (200, {})) -> None:
        self.requests: list[Request] = []
        self.answer = answer
        self.hang = threading.Event()
        self.hang.set()
        """Cleared: requests are taken and not answered."""
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.hang.wait(30)
                said = server.answer(len(server.requests))
                status, headers = said or (0, {})
                server.requests.append(Request(dict(self.headers), body, status, time.monotonic()))
                if said is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?a=b"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def taken(self) -> list[dict[str, Any]]:
        return [each.record for each in self.requests if 200 <= each.status < 300]

    def close(self) -> None:
        self.hang.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class KafkaBroker:
    """The broker that librdkafka has for tests: Kafka's protocol over TCP, its log in memory."""

    def __init__(self) -> None:
        if importlib.util.find_spec("confluent_kafka") is None or importlib.util.find_spec("aiokafka") is None:
            pytest.skip("confluent-kafka, whose test broker this needs, or aiokafka is not installed")
        import confluent_kafka

        options = {"test.mock.num.brokers": 1, "bootstrap.servers": "none", "log_level": 0}
        self._cluster = confluent_kafka.Producer(options)
        (broker,) = self._cluster.list_topics(timeout=10).brokers.values()
        self.address = f"{broker.host}:{broker.port}"

    def log(self, topic: str = "clownfish", wait_s: float = 30.0) -> list[tuple[str, dict[str, Any]]]:
        """Key and message of all that is there."""
        import confluent_kafka

        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": self.address, "group.id": "test", "log_level": 0, "enable.auto.commit": False}
        )
        found = []
        try:
            partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            for number in partitions:
                at = confluent_kafka.TopicPartition(topic, number, 0)
                _, end = consumer.get_watermark_offsets(at, timeout=10)
                consumer.assign([at])
                while end:
                    message = consumer.poll(wait_s)
                    if message is None:
                        break
                    if message.error() is None:
                        found.append((message.key().decode(), json.loads(message.value())))
                        if message.offset() == end - 1:
                            break
        finally:
            consumer.close()
        return found


def rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """Read by another connection, as another process would."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return database.execute(statement).fetchall()
    finally:
        database.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    pytest.importorskip("aiomqtt", reason="the extra `mqtt` is not installed")
    started = Mosquitto(tmp_path / "mosquitto")
    started.start()
    yield started
    started.kill()


@pytest.fixture
def server() -> Iterator[HttpServer]:
    started = HttpServer()
    yield started
    started.close()
