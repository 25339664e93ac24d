"""The sink `kafka`: each answer or event is one message, its key the stream (layer 1). Extra `kafka`.

The producer is idempotent and waits for all replicas in sync; what it is not sure of stays in the spool. One key goes
to one partition, so a stream keeps its order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

import aiokafka
from aiokafka.errors import KafkaError

from clownfish.errors import SinkError
from clownfish.sinks.base import SinkContext
from clownfish.sinks.spooled import Spooled, Unreachable, never, read_secret, record_in
from clownfish.spool import Entry
from clownfish.within import within

_STOP_S = 1.0


class Kafka(Spooled):
    """Options in docs/sinks.md."""

    batch = 100

    def __init__(
        self,
        brokers: str,
        *,
        context: SinkContext,
        topic: str = "clownfish",
        user: str = "",
        password_file: str = "",
        password_env: str = "",
        mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN",
        tls: bool = False,
        ca: str = "",
        idempotent: bool = True,
        timeout_s: float = 20.0,
        **spool: Any,
    ) -> None:
        """`brokers`: HOST:PORT, several with commas. Opens the spool; the brokers may be away. Raises SinkError."""
        if not brokers or not topic:
            raise ValueError(f"brokers {brokers!r} and topic {topic!r}; expected HOST:PORT[,…] and a name")
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what goes wrong is said once, by `Spooled`
        password = read_secret(password_file, password_env, "password")
        try:
            tls_context = ssl.create_default_context(cafile=ca or None) if tls else None
        except OSError as error:
            raise SinkError(f"ca {ca}: cannot be used ({error})") from error
        self._topic = topic
        self._timeout_s = timeout_s
        self._options: dict[str, Any] = {
            "bootstrap_servers": brokers.split(","),
            "client_id": f"clownfish-{context.edge}-{context.name}",
            "acks": "all",
            "enable_idempotence": idempotent,
            "request_timeout_ms": int(timeout_s * 1000),
            "security_protocol": ("SASL_" if user else "") + ("SSL" if tls else "PLAINTEXT"),
            "ssl_context": tls_context,
        }
        if user:
            self._options |= {
                "sasl_mechanism": mechanism,
                "sasl_plain_username": user,
                "sasl_plain_password": password or "",
            }
        super().__init__(context, **spool)

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[_Brokers]:
        producer = aiokafka.AIOKafkaProducer(**self._options)
        try:
            await within(producer.start(), self._timeout_s)
            yield _Brokers(producer, self._topic, self._timeout_s)
        except (KafkaError, OSError, asyncio.TimeoutError) as error:
            raise Unreachable(str(error) or type(error).__name__) from error
        finally:
            with contextlib.suppress(KafkaError, OSError, asyncio.TimeoutError):
                await within(producer.stop(), _STOP_S)


class _Brokers:
    """One producer."""

    def __init__(self, producer: Any, topic: str, timeout_s: float) -> None:
        self._producer = producer
        self._topic = topic
        self._timeout_s = timeout_s

    async def send(self, entries: Sequence[Entry]) -> None:
        """In order; all are in the brokers' log when this returns."""
        await within(self._send(entries), self._timeout_s)

    async def _send(self, entries: Sequence[Entry]) -> None:
        waiting = []
        for entry in entries:
            record = record_in(entry)
            headers = [("id", record["key"].encode()), ("revision", str(record["revision"]).encode())]
            waiting.append(
                await self._producer.send(self._topic, entry.data, key=record["stream"].encode(), headers=headers)
            )
        await asyncio.gather(*waiting)

    async def lost(self) -> None:
        await never()
