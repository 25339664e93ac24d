"""A window's trace across edge and cloud, as a collector gets it over HTTP and OpenTelemetry's own types read it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from clownfish.messages import WindowKey
from clownfish.spans import PARENTS, span_id, trace_id
from tests.graph.harness import Graph, Material, until
from tests.graph.killing import whole_tree

pytest.importorskip("opentelemetry.sdk", reason="needs the extra otel: pip install -e .[otel]")
service_pb = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")


class Collector:
    """An OTLP/HTTP collector that keeps what it gets."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        """(service, span)"""
        self.status = 200
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if collector.status == 200:
                    collector.take(body)
                self.send_response(collector.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def take(self, body: bytes) -> None:
        request = service_pb.ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.spans += [(names["service.name"], span) for scope in resource.scope_spans for span in scope.spans]

    def names(self, trace: bytes) -> set[str]:
        return {span.name for _, span in list(self.spans) if span.trace_id == trace}


@pytest.fixture
def collector() -> Iterator[Collector]:
    it = Collector()
    thread = threading.Thread(target=it.server.serve_forever)
    thread.start()
    yield it
    it.server.shutdown()
    thread.join()
    it.server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


async def test_a_windows_spans_of_edge_wan_and_cloud_are_one_trace(
    run_dir: Path, material: Material, collector: Collector
) -> None:
    tree = whole_tree(run_dir, material) | {"trace": {"endpoint": collector.url, "ratio": 1.0}}
    async with Graph(tree) as graph:
        traces: set[bytes] = set()

        def whole() -> bool:
            traces.update(span.trace_id for _, span in list(collector.spans) if span.name == "worker")
            return any(collector.names(trace) == set(PARENTS) for trace in traces)

        await until(whole, "a window has all of its spans")
        trace = next(trace for trace in traces if collector.names(trace) == set(PARENTS))
        spans = {span.name: (service, span) for service, span in collector.spans if span.trace_id == trace}
        said = attributes(spans["window"][1])
        key = WindowKey(said["stream"], said["epoch"], said["t"])
        assert trace == trace_id(key)
        for name, (_, span) in spans.items():
            parent = PARENTS[name]
            assert span.span_id == span_id(key, name)
            assert span.parent_span_id == (b"" if parent is None else span_id(key, parent))
            assert span.start_time_unix_nano <= span.end_time_unix_nano
            assert attributes(span)["t"] == key.t
        assert {name: service for name, (service, _) in spans.items()} == {
            "window": "clownfish-fusion", "local": "clownfish-local", "filter": "clownfish-filter",
            "uplink": "clownfish-uplink", "cloud": "clownfish-uplink", "router": "clownfish-router",
            "worker": "clownfish-router", "reinforce": "clownfish-fusion",
        }  # fmt: skip
        for outer, inner in (("cloud", "router"), ("router", "worker"), ("window", "local")):
            (_, a), (_, b) = spans[outer], spans[inner]
            assert a.start_time_unix_nano <= b.start_time_unix_nano
            assert b.end_time_unix_nano <= a.end_time_unix_nano
        worker = spans["worker"][1]
        assert attributes(worker)["model_ms"] <= (worker.end_time_unix_nano - worker.start_time_unix_nano) / 1e6
        # a collector that refuses costs spans, counted, and nothing else
        collector.status = 400
        lost = 'spans_lost{reason="collector"}'
        await until(lambda: graph.counter("trace", lost) > 0, "spans are lost")
        await graph.answers(3)
        collector.status = 200
        before = graph.counter("trace", "spans")
        await until(lambda: graph.counter("trace", "spans") > before, "spans are taken again")
