"""trace: spans of sampled windows, to an OpenTelemetry collector; a process of its own: nothing waits for one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import Any

from clownfish.errors import ConfigError
from clownfish.messages import Note
from clownfish.process import Process, run
from clownfish.settings import Trace
from clownfish.spans import Span, Spans
from clownfish.tracer import SOCKET
from clownfish.within import within

_EXPORT_S = 1.0
_TOGETHER, _WAITING = 512, 8192
"""Spans in one request, and spans that may wait for a collector that is slow or away."""


class _Exporter:
    """Spans as the SDK's exporter takes them."""

    def __init__(self, endpoint: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError as error:
            raise ConfigError(f'[trace] needs the extra "otel": pip install "clownfish[otel]" ({error})') from error
        self._exporter = OTLPSpanExporter(endpoint=endpoint, timeout=5)
        self._resources = cache(_resource)

    def export(self, spans: Sequence[Span]) -> bool:
        """Whether the collector has them. Takes a few seconds where it is away."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        offset_ns = time.time_ns() - time.monotonic_ns()
        return self._exporter.export([self._span(span, offset_ns) for span in spans]) is SpanExportResult.SUCCESS

    def _span(self, span: Span, offset_ns: int) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        def context(number: bytes, is_remote: bool = False) -> SpanContext:
            flags = TraceFlags(TraceFlags.SAMPLED)
            return SpanContext(int.from_bytes(span.trace_id, "big"), int.from_bytes(number, "big"), is_remote, flags)

        kinds = {"cloud": SpanKind.CLIENT, "router": SpanKind.SERVER}
        parent = span.parent_id
        return ReadableSpan(
            span.name,
            context=context(span.span_id),
            parent=None if parent is None else context(parent, is_remote=span.name == "router"),
            resource=self._resources(span.service.partition("-")[0]),
            attributes={"stream": span.key.stream, "epoch": span.key.epoch, "t": span.key.t, **span.attributes},
            kind=kinds.get(span.name, SpanKind.INTERNAL),
            status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
            start_time=round(span.begin_s * 1e9) + offset_ns,
            end_time=round(span.end_s * 1e9) + offset_ns,
        )


def _resource(service: str) -> Any:
    from opentelemetry.sdk.resources import Resource

    return Resource({"service.name": f"clownfish-{service}", "host.name": socket.gethostname()})


class _Trace:
    def __init__(self, process: Process, settings: Trace) -> None:
        self._process = process
        self._spans = Spans()
        self._exporter = _Exporter(settings.endpoint)
        self._endpoint = settings.endpoint
        self._waiting: deque[Span] = deque()
        self._inbox = process.bus.inbox(process.config.ipc(SOCKET), "events", (Note,), hwm=1000)
        self._failing = False
        process.before_status(self._count)

    def _count(self) -> None:
        lost = {f'spans_lost{{reason="{reason}"}}': count for reason, count in self._spans.lost.items()}
        self._process.counters.mirror(lost)

    async def take(self) -> None:
        async for note in self._inbox:
            for event in note.messages:
                self._process.counters.add("events")
                self._waiting += self._spans.take(note.service.partition("-")[0], event)
            while len(self._waiting) > _WAITING:
                self._waiting.popleft()
                self._process.counters.add('spans_lost{reason="queue"}')

    async def export_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_EXPORT_S)
            while self._waiting:
                await self.export()

    async def export(self) -> None:
        """What waits, or the first of it. What the collector does not take is lost, and counted."""
        if not self._waiting:
            return
        together = [self._waiting.popleft() for _ in range(min(_TOGETHER, len(self._waiting)))]
        if await self._process.in_thread(self._exporter.export, together):
            self._process.counters.add("spans", len(together))
            self._failing = False
            return
        self._process.counters.add('spans_lost{reason="collector"}', len(together))
        if not self._failing:
            self._failing = True
            self._process.log.warning("spans are lost until the collector takes them", endpoint=self._endpoint)


async def serve(process: Process) -> None:
    settings = process.config.trace
    if settings is None:
        raise ConfigError("[trace] is missing: it says where spans go")
    service = _Trace(process, settings)
    process.ready(settings.endpoint)
    try:
        await process.run_together(service.take(), service.export_for_ever())
    finally:
        with contextlib.suppress(asyncio.TimeoutError):
            await within(service.export(), 2.0)


if __name__ == "__main__":
    run("trace", serve)
