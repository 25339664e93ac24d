"""The sink `kafka`: against librdkafka's own test broker (Kafka's protocol over TCP), and against nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.graph.harness import free_ports, until
from tests.sink_targets import KafkaBroker, build, context, count, event, gauge, result, running

pytest.importorskip("aiokafka", reason="the extra `kafka` is not installed")
FAST = {"retry_s": 0.05, "retry_max_s": 0.3, "timeout_s": 5.0}


async def test_messages_are_in_the_log_in_order_with_the_stream_as_their_key(tmp_path: Path) -> None:
    broker = KafkaBroker()
    sink = build("kafka", context(tmp_path), brokers=broker.address, **FAST)
    async with running(sink):
        for n in range(250):
            sink.write(event(n, stream="door" if n % 2 else "yard"))
        sink.write(result(3, stream="door"))
        await until(lambda: count(sink, "acked") == 251, "all are taken", 30)
    log = broker.log()
    assert {key for key, _ in log} == {"door", "yard"}
    for stream, first in (("door", 1), ("yard", 0)):
        ids = [record["id"] for key, record in log if key == stream and "id" in record]
        assert ids == [f"{stream}/7/{n}" for n in range(first, 250, 2)]
    assert [record["t"] for _, record in log if "t" in record] == [3]


async def test_brokers_that_are_away_leave_all_in_the_spool_for_later(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    told: list[str] = []
    sink = build("kafka", context(tmp_path, tell=told.append), brokers=f"127.0.0.1:{port}", **FAST)
    async with running(sink):
        for n in range(5):
            sink.write(event(n))
        await until(lambda: count(sink, "target_failures") >= 2, "two tries", 40)
        assert (gauge(sink, "spool_messages"), gauge(sink, "connected")) == (5, 0)
    assert len(told) == 1
    broker = KafkaBroker()
    sink = build("kafka", context(tmp_path), brokers=broker.address, **FAST)
    async with running(sink):
        await until(lambda: not gauge(sink, "spool_messages"), "what waited is taken", 40)
    assert [record["id"] for _, record in broker.log()] == [f"dev00/7/{n}" for n in range(5)]


def test_no_brokers_and_no_topic_are_refused(tmp_path: Path) -> None:
    for options in ({"brokers": ""}, {"brokers": "a:9092", "topic": ""}):
        with pytest.raises(ValueError, match="expected HOST:PORT"):
            build("kafka", context(tmp_path), **options)
