"""What whoever watches a graph is told: the live page, its simulated link, metrics, traces (layer 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from clownfish.section import Bounds, Section, is_exposed

Listen = Annotated[str, Bounds(pattern=r"^([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}$")]
Loopback = Annotated[str, Bounds(pattern=r"^tcp://127\.0\.0\.1:\d{1,5}$")]


@dataclass(frozen=True, kw_only=True)
class Page(Section):
    """The live page."""

    listen: Listen = "127.0.0.1:8642"
    """HOST:PORT of the live page (needs the extra `web`)."""
    token_file: str = ""
    """File with a token that browsers show once, `http://HOST:PORT/?token=…`; needed on addresses that others reach."""
    windows: Annotated[int, Bounds(ge=50, le=5000)] = 600
    """The newest of each stream that are drawn."""
    frames_per_s: Annotated[float, Bounds(gt=0, le=60)] = 10.0
    """Of each stream, that are shown."""

    def __post_init__(self) -> None:
        if not self.token_file and is_exposed(f"tcp://{self.listen}"):
            raise ValueError(f"others than this host reach {self.listen}: give token_file, or listen on 127.0.0.1")


@dataclass(frozen=True, kw_only=True)
class Link(Section):
    """A simulated link between uplink and router, on this host, for a demonstration."""

    control: Loopback
    """Where the uplink connects."""
    data: Loopback
    """Likewise."""
    to_control: Loopback
    """Where the router listens."""
    to_data: Loopback
    """Likewise."""
    rate_mbit: Annotated[float, Bounds(gt=0)] | None = None
    """To begin with, each way; without: no cap."""
    delay_ms: Annotated[float, Bounds(ge=0, le=10_000)] = 0.0
    """One way."""


@dataclass(frozen=True, kw_only=True)
class Metrics(Section):
    """For Prometheus, and health probes."""

    listen: Listen = "127.0.0.1:9464"
    """HOST:PORT of /metrics (Prometheus), /livez and /readyz. Where the port is taken, the graph goes on without."""
    token_file: str = ""
    """File with a bearer token that /metrics asks for; needed on addresses that other hosts reach."""
    insecure: bool = False
    """Listen on addresses beyond loopback without a token: inside a network that you trust."""

    def __post_init__(self) -> None:
        if not (self.token_file or self.insecure) and is_exposed(f"tcp://{self.listen}"):
            raise ValueError(
                f"other hosts reach {self.listen}: give token_file, listen on 127.0.0.1, or say insecure = true"
            )


@dataclass(frozen=True, kw_only=True)
class Trace(Section):
    """Spans of single windows, for OpenTelemetry."""

    endpoint: Annotated[str, Bounds(pattern=r"^https?://\S+$")] = "http://127.0.0.1:4318/v1/traces"
    """Where spans go, as OTLP over HTTP (needs the extra `otel`). OTEL_EXPORTER_OTLP_HEADERS and its like count."""
    ratio: Annotated[float, Bounds(ge=0, le=1)] = 0.01
    """Share of windows that are traced: by their name, so that edge and cloud choose the same."""
