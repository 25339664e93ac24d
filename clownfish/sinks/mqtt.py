"""The sink `mqtt`: answers and events to an MQTT broker, and to Home Assistant by way of it (layer 1). Extra `mqtt`.

    TOPIC/EDGE/availability      `online` or `offline`, retained; `offline` is also the last will
    TOPIC/EDGE/STREAM/state      what the stream shows now, retained: {"label", "active", "confidence", "source", …}
    TOPIC/EDGE/STREAM/event      every event, each revision in its turn; TOPIC/EDGE/STREAM/result for answers
    DISCOVERY/…/config           Home Assistant's description of each stream, retained

QoS 1: the broker acknowledges each message before the spool lets go of it. Retained messages are said again at each new
connection, for a broker that forgot them; those of a stream that the graph has no more are taken back, also by the next
process, which is why the streams that a broker was told of are kept in a file. Only those: another edge of the same
name, by mistake or by intent, keeps its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiomqtt

from clownfish.errors import SinkError
from clownfish.sinks.base import SinkContext
from clownfish.sinks.homeassistant import discovery
from clownfish.sinks.spooled import Spooled, Unreachable, read_secret, record_in
from clownfish.sinks.told import ToldOf
from clownfish.spool import Entry

_BATCH = 32
_GOODBYE_S = 0.5
_LOOK_S = 1.0
"""How often it is looked whether streams have gone."""
_quiet = logging.getLogger("clownfish.mqtt")
_quiet.setLevel(logging.CRITICAL)  # what goes wrong is said once, by `Spooled`


@dataclass
class Shown:
    """What one stream shows now, by the messages sent so far."""

    background: str
    event: str | None = None
    state: dict[str, Any] = field(default_factory=dict)
    _newest: tuple[int, int] | None = None

    def take(self, record: dict[str, Any]) -> bool:
        """Whether that changes what is shown."""
        if "state" in record:
            if record["state"] == "ongoing":
                self.event = record["id"]
                return self._becomes(record)
            if record["id"] != self.event and self.state:
                return False
            self.event = None
            return self._becomes(None)
        place = (record["epoch"], record["t"])
        if self._newest is not None and place[0] == self._newest[0] and place < self._newest:
            return False
        self._newest = place
        return self._becomes(record)

    def _becomes(self, record: dict[str, Any] | None) -> bool:
        label = self.background if record is None else record["label"]
        before = self.state
        self.state = {
            "label": label,
            "active": label != self.background,
            "event": self.event,
            "since_s": None if record is None else record.get("start_s"),
            "confidence": None if record is None else record["confidence"],
            "source": None if record is None else record["source"],
        }
        shows = ("label", "event") if self.event else ("label",)
        return any(before.get(name) != self.state[name] for name in shows)


class Mqtt(Spooled):
    """Options in docs/sinks.md."""

    batch = _BATCH

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        context: SinkContext,
        topic: str = "clownfish",
        discovery: str = "homeassistant",
        client: str = "",
        user: str = "",
        password_file: str = "",
        password_env: str = "",
        tls: bool = False,
        ca: str = "",
        certificate: str = "",
        key: str = "",
        keepalive_s: int = 30,
        timeout_s: float = 10.0,
        **spool: Any,
    ) -> None:
        """Opens the spool; the broker may be away. Raises SinkError for a secret or certificate that is not there."""
        password = read_secret(password_file, password_env, "password")
        for name, value in (("topic", topic), ("discovery", discovery)):
            if any(sign in value for sign in "+#\0") or value.strip("/") != value:
                raise ValueError(f"{name} {value!r}; expected a topic without + and #, and without / at its ends")
        self._options: dict[str, Any] = {
            "hostname": host,
            "port": (8883 if tls else 1883) if port is None else port,
            "identifier": client or f"{topic.replace('/', '-')}-{context.edge}-{context.name}",
            "username": user or None,
            "password": password,
            "keepalive": keepalive_s,
            "timeout": timeout_s,
            "tls_context": _tls(ca, certificate, key) if tls else None,
            "max_inflight_messages": _BATCH,
            "logger": _quiet,
        }
        self._base = f"{topic}/{context.edge}"
        self._discovery = discovery
        self._shown: dict[str, Shown] = {}
        self._told_of = ToldOf(context.state_folder / "mqtt" / f"{context.name}.json", context.tell)
        super().__init__(context, **spool)

    def _session(self) -> contextlib.AbstractAsyncContextManager[_Broker]:
        return self._connection()

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Broker]:
        availability = f"{self._base}/availability"
        will = aiomqtt.Will(availability, "offline", qos=1, retain=True)
        try:
            async with aiomqtt.Client(will=will, **self._options) as client:
                try:
                    await client.publish(availability, "online", qos=1, retain=True)
                    broker = _Broker(self, client)
                    await broker.describe(sorted({*self._context.streams, *self._shown}))
                    await broker.show(self._shown)
                    await broker.take_back()
                    yield broker
                finally:  # whoever takes leave of a broker in order has to say it: the will is not sent then
                    with contextlib.suppress(aiomqtt.MqttError):
                        await client.publish(availability, "offline", qos=1, retain=True, timeout=_GOODBYE_S)
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise Unreachable(f"{self._options['hostname']}:{self._options['port']}: {error}") from error


class _Broker:
    """One connection."""

    def __init__(self, sink: Mqtt, client: aiomqtt.Client) -> None:
        self._sink = sink
        self._client = client
        self._described: set[str] = set()

    async def send(self, entries: Sequence[Entry]) -> None:
        """In order: each is on its way before the next, and all are acknowledged when this returns."""
        sink = self._sink
        records = [record_in(entry) for entry in entries]
        await self.describe(sorted({record["stream"] for record in records}))
        changed = set()
        publishing = []
        for entry, record in zip(entries, records, strict=True):
            stream = record["stream"]
            shown = sink._shown.setdefault(stream, Shown(sink._context.background))
            if shown.take(record):
                changed.add(stream)
            kind = "event" if "state" in record else "result"
            publishing.append(self._client.publish(f"{sink._base}/{stream}/{kind}", entry.data, qos=1))
        await _all(publishing)
        await self.show({stream: sink._shown[stream] for stream in sorted(changed)})

    async def show(self, shown: dict[str, Shown]) -> None:
        """What streams show now, retained."""
        streams = self._sink._context.streams
        now = {stream: each.state for stream, each in shown.items() if each.state and stream in streams}
        self._sink._told_of.add(now)
        await _all(
            self._client.publish(self._state_of(stream), json.dumps(state), qos=1, retain=True)
            for stream, state in now.items()
        )

    def _state_of(self, stream: str) -> str:
        return f"{self._sink._base}/{stream}/state"

    async def describe(self, streams: Sequence[str]) -> None:
        """Tell Home Assistant of streams that this connection has not told it of."""
        sink = self._sink
        there = sink._context.streams
        new = [stream for stream in streams if stream not in self._described and stream in there]
        if not sink._discovery:
            return
        sink._told_of.add(new)
        self._described.update(new)
        await _all(
            self._client.publish(topic, json.dumps(description), qos=1, retain=True)
            for stream in new
            for topic, description in discovery(sink._discovery, sink._base, sink._context, stream)
        )

    async def take_back(self) -> None:
        """What the broker retains of streams that are gone, when all is said that there was of them."""
        sink = self._sink
        gone = sorted(sink._told_of.streams - sink._context.streams.keys())
        if not gone or sink._spool.waiting:
            return
        topics = [self._state_of(stream) for stream in gone]
        if sink._discovery:
            for stream in gone:
                topics += [topic for topic, _ in discovery(sink._discovery, sink._base, sink._context, stream)]
        await _all(self._client.publish(topic, b"", qos=1, retain=True) for topic in topics)
        self._described.difference_update(gone)
        for stream in gone:
            sink._shown.pop(stream, None)
        sink._told_of.remove(gone)

    async def lost(self) -> None:
        looking = asyncio.ensure_future(self._look())
        try:
            async for _ in self._client.messages:
                pass
        except aiomqtt.MqttError as error:
            raise Unreachable(str(error)) from error
        finally:
            looking.cancel()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            with contextlib.suppress(aiomqtt.MqttError):  # whoever waits for messages sees it, too
                await self.take_back()


async def _all(publishing: Any) -> None:
    """Wait for all, in the order in which they were made; of several failures the first is raised."""
    done = await asyncio.gather(*publishing, return_exceptions=True)
    for each in done:
        if isinstance(each, BaseException):
            raise each


def _tls(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca or None)
        if certificate:
            context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(name for name in (ca, certificate, key) if name)
        raise SinkError(f"TLS: {named}: cannot be used ({error})") from error
    return context
