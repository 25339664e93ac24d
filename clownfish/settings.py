"""Settings: what a configuration says, as plain values with defaults and bounds (layer 1).

`config` reads and validates files against these types with pydantic. Services read only what the supervisor has
validated already (`load_validated`), with the standard library: that spares each of nine processes 14 MB.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from clownfish.codecs import CODECS
from clownfish.errors import ConfigError
from clownfish.filters import FILTERS
from clownfish.fusions import FUSIONS
from clownfish.models.engines import ENGINES
from clownfish.section import Bounds, Endpoint, Name, OneOf, Section, is_exposed
from clownfish.section import Plugin as Plugin
from clownfish.similarity import SIMILARITIES
from clownfish.sinks import SINKS

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class Graph(Section):
    name: Name = "clownfish"
    """Two graphs on one box need two names."""
    run_dir: str = ""
    """Folder of sockets, locks and counters, mode 0700. Default: a folder of this user's and this graph's name."""


@dataclass(frozen=True, kw_only=True)
class Log(Section):
    format: Literal["auto", "console", "json"] = "auto"
    """`auto`: for people on a terminal, JSON elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"


@dataclass(frozen=True, kw_only=True)
class Stream(Section):
    name: Name
    source: str
    """A path, or `images:FOLDER`, `camera:0`, `rtsp://…`, `gst:PIPELINE`, `puppets:test/3`."""
    fps: Annotated[float, Bounds(gt=0, le=1000)] | None = None
    """Overrides what the source says of itself."""
    pace: Literal["realtime", "fast", "patient"] = "realtime"
    """`fast`: as fast as the graph takes it, nothing skipped (files only); `patient`: so, but never above real time."""
    loop: bool = False
    seconds: Annotated[float, Bounds(gt=0)] | None = None
    """Stop after this much video."""


@dataclass(frozen=True, kw_only=True)
class Capture(Section):
    width: Annotated[int, Bounds(ge=16, le=4096)] = 172
    height: Annotated[int, Bounds(ge=16, le=4096)] = 128
    stall_s: Annotated[float, Bounds(gt=0)] = 5.0
    """A live source that delivers nothing for this long is reported as stalled."""
    retry_s: Annotated[float, Bounds(gt=0)] = 1.0
    """Wait before a live source that broke off is opened again; doubles up to 30 s."""


@dataclass(frozen=True, kw_only=True)
class WindowSection(Section):
    size: Annotated[int, Bounds(ge=1, le=256)] = 16
    stride: Annotated[int, Bounds(ge=1, le=256)] = 4

    def __post_init__(self) -> None:
        if self.stride > self.size:
            raise ValueError(f"stride {self.stride} is larger than size {self.size}: frames would never be seen")


@dataclass(frozen=True, kw_only=True)
class Local(Section):
    model: str
    """`zoo:ucf9/local`, or the path of a description (.json) beside its .safetensors."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    engine: Annotated[str, OneOf(ENGINES)] = "torch"
    """What computes: `torch`, `torch-int8`, `openvino` or `onnxruntime`. `clownfish model bench` compares them."""
    calibration: str = ""
    """For `torch-int8`: a video, or `puppets:train/0`, whose first minute sets the ranges of its integers."""
    max_batch: Annotated[int, Bounds(ge=1, le=64)] = 4
    similarity: Annotated[Plugin, OneOf(SIMILARITIES)] = Plugin(kind="cosine")


@dataclass(frozen=True, kw_only=True)
class Filter(Section):
    policy: Annotated[Plugin, OneOf(FILTERS)] = Plugin(kind="context_aware")
    timeout_ms: Annotated[int, Bounds(gt=0)] = 1000
    """How long a window waits for its ρ."""
    capacity: Annotated[int, Bounds(ge=1)] = 64


def _both_keys(key: str, router_key: str) -> None:
    if bool(key) != bool(router_key):
        raise ValueError("key and router_key go together: this device's own key, and the router's public key")


def cheapest_codec() -> Plugin:
    """Of those that can run here, by docs/evaluation/codecs.md."""
    return Plugin("h264") if find_spec("av") is not None else Plugin("jpeg", {"quality": 60, "chroma": 444})


@dataclass(frozen=True, kw_only=True)
class Adaptive(Section):
    ladder: str = "zoo:puppets/ladder"
    """What there is to choose from: `zoo:SET/ladder`, or a file that `clownfish tune --ladder` wrote."""
    mbit_s: Annotated[float, Bounds(gt=0)] | None = None
    """Mean rate that may be sent."""
    gb_month: Annotated[float, Bounds(gt=0)] | None = None
    """10⁹ bytes that may be sent in a calendar month (UTC); counted over restarts, in the run folder."""
    price: Annotated[float, Bounds(ge=0, le=1)] = 0.01
    """Accuracy (1 is all) that one more Mbit/s must bring."""
    rise_s: Annotated[float, Bounds(ge=0)] = 3.0
    """How long more must have looked better before more is sent; less is sent at once."""


@dataclass(frozen=True, kw_only=True)
class Uplink(Section):
    control: Endpoint = "tcp://127.0.0.1:7100"
    data: Endpoint = "tcp://127.0.0.1:7101"
    edge: Name = "edge"
    """This box's name, for the router's log."""
    model: Annotated[str, Bounds(pattern=r"^.{0,128}$")] = ""
    """Name of the remote model that shall answer. Empty: any with the local model's classes."""
    codec: Annotated[Plugin, OneOf(CODECS)] = field(default_factory=cheapest_codec)
    """How frames become bytes. Left out: `h264` where PyAV is installed (the extra `video`), which the workers need,
    too, then; without it `jpeg`, of six times the bytes."""
    backlog: Annotated[int, Bounds(ge=1, le=10_000)] = 16
    """Selected windows that may wait for credit; the newest wins."""
    waits: bool = False
    """A stream that is not live waits until there is room in the backlog, in place of losing a window to the newest:
    then the edge waits for the cloud, as a system without an edge model does (the cloud-only baseline)."""
    adaptive: Adaptive | None = None
    """Codec, resolution and, with `[filter] policy = { kind = "adaptive" }`, how much is sent follow what the link
    carries, what answers are worth, and what may be spent; see docs/adaptive.md. Without it all is as set here."""
    in_flight: Literal["credit", "measured"] = "credit"
    """`measured`: a window goes when it meets no standing queue, by the rate and round trip that answers show; credit
    bounds it as well. So with `adaptive`, always."""
    deadline_ms: Annotated[int, Bounds(gt=0)] = 8000
    """After capture, when an answer can no longer matter. Default: about the fusion's horizon at 30 FPS."""
    key: str = ""
    """File of this device's secret key, NAME.key: then the uplink speaks CURVE, and to no other router than its own."""
    router_key: str = ""
    """The router's public key: its 40 characters, or the file router.pub."""
    insecure: bool = False
    """Without a key, send frames beyond this host in the clear, to whoever answers at the router's address."""

    def __post_init__(self) -> None:
        _both_keys(self.key, self.router_key)


@dataclass(frozen=True, kw_only=True)
class FusionSection(Section):
    method: Annotated[Plugin, OneOf(FUSIONS)] = Plugin(kind="exponential")
    """How local and remote answers become one; the paper's, or another with what it learnt."""
    theta: Annotated[float, Bounds(ge=0, le=1)] = 0.5
    remote_weight: Annotated[float, Bounds(ge=0, le=1)] = 2 / 3
    horizon: Annotated[int, Bounds(ge=1, le=100_000)] = 64
    anchor_beta: Literal["max", "one"] = "max"
    drain_ms: Annotated[int, Bounds(ge=0)] = 10_000
    """At the end of a stream, how long late results are waited for."""


@dataclass(frozen=True, kw_only=True)
class EventsSection(Section):
    """How windows become events, for sinks with `what = "events"`."""

    background: str = "idle"
    """The class that is no event; empty: every class is one."""
    enter: Annotated[float, Bounds(gt=0, le=1)] = 0.4
    """An event begins with a window that is at least so sure of its class."""
    leave: Annotated[float, Bounds(gt=0, le=1)] = 0.3
    """It goes on while the class is at least so likely."""
    min_s: Annotated[float, Bounds(ge=0)] = 1.0
    """What is shorter is no event."""
    gap_s: Annotated[float, Bounds(ge=0)] = 1.0
    """A gap no longer than this does not end it."""

    def __post_init__(self) -> None:
        if self.leave > self.enter:
            raise ValueError(f"leave {self.leave} is above enter {self.enter}: an event would end as it begins")


@dataclass(frozen=True, kw_only=True)
class SinkSection(Section):
    name: Name
    what: Literal["results", "events"] = "results"
    """`results`: the answer for each window; `events`: what was shown, from when to when (see [events])."""
    mode: Literal["live", "revisions", "final"] = "revisions"
    """`live`: what is said as it happens; `final`: what no later answer changes; `revisions`: all."""
    sink: Annotated[Plugin, OneOf(SINKS)]


@dataclass(frozen=True, kw_only=True)
class RecordSection(Section):
    folder: str
    """Where everything that fusion saw is kept, one file per stream and epoch, for `clownfish eval replay`."""


Listen = Annotated[str, Bounds(pattern=r"^([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}$")]
Loopback = Annotated[str, Bounds(pattern=r"^tcp://127\.0\.0\.1:\d{1,5}$")]


@dataclass(frozen=True, kw_only=True)
class Page(Section):
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
    to_control: Loopback
    """Where the router listens."""
    to_data: Loopback
    rate_mbit: Annotated[float, Bounds(gt=0)] | None = None
    """To begin with, each way; without: no cap."""
    delay_ms: Annotated[float, Bounds(ge=0, le=10_000)] = 0.0
    """One way."""


@dataclass(frozen=True, kw_only=True)
class CanarySection(Section):
    model: str
    """Name of the new model, as its workers say it: it gets a share of the windows of edges with the same classes."""
    share: Annotated[float, Bounds(gt=0, le=1)] = 0.1
    mode: Literal["answer", "shadow"] = "answer"
    """`answer`: for that share the new model answers, `shadow`: both do, and the edge hears the old one."""


@dataclass(frozen=True, kw_only=True)
class Router(Section):
    control: Endpoint = "tcp://127.0.0.1:7100"
    data: Endpoint = "tcp://127.0.0.1:7101"
    workers: Endpoint = "tcp://127.0.0.1:7102"
    insecure: bool = False
    """Listen on addresses beyond loopback without authentication. Anybody who reaches the port may use the workers."""
    keys: str = ""
    """Folder of keys (`clownfish keys`): then every tcp socket speaks CURVE, and only who is authorized comes in."""
    messages_per_s: Annotated[float, Bounds(gt=0)] = 5000.0
    """With keys: what one device may send on control and data, each. More is dropped, and counted."""
    bytes_per_s: Annotated[float, Bounds(gt=0)] = 32e6
    """With keys: encoded frames of one device."""
    streams_per_device: Annotated[int, Bounds(ge=1)] = 64
    """With keys: streams of one device at a time."""
    sessions_per_device: Annotated[int, Bounds(ge=1)] = 4
    """With keys: uplinks under one key at a time; one more ends the oldest."""
    windows_per_edge: Annotated[int, Bounds(ge=1)] = 4
    """Credit: windows an edge may have on the way or in work."""
    bytes_per_edge: Annotated[int, Bounds(ge=1)] = 8 * 1024 * 1024
    lease_ms: Annotated[int, Bounds(ge=100)] = 3000
    """Credit is void when the edge hears nothing for this long."""
    queue: Annotated[int, Bounds(ge=1)] = 1024
    """Windows that may wait for a worker."""
    job_lease_ms: Annotated[int, Bounds(ge=100)] = 10_000
    """A worker that has not answered a window for this long is taken for hung."""
    liveness_ms: Annotated[int, Bounds(ge=100)] = 3000
    """A worker that shows no progress and no heartbeat for this long is taken for dead."""
    max_frame_bytes: Annotated[int, Bounds(ge=1024, le=64 * 1024 * 1024)] = 4 * 1024 * 1024
    """One encoded frame; a peer that sends a larger one is disconnected."""
    cache_bytes: Annotated[int, Bounds(ge=0)] = 256 * 1024 * 1024
    """Frames kept for windows that share them, over all streams."""
    canary: CanarySection | None = None
    """A new model on trial beside the old one."""

    def __post_init__(self) -> None:
        if self.keys and self.control.startswith("tcp://") != self.data.startswith("tcp://"):
            raise ValueError("with keys, control and data are both tcp:// or both ipc://: a session has one identity")


@dataclass(frozen=True, kw_only=True)
class Worker(Section):
    router: Endpoint = "tcp://127.0.0.1:7102"
    model: str
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    engine: Annotated[str, OneOf(ENGINES)] = "torch"
    """What computes: `torch`, `torch-int8`, `openvino` or `onnxruntime`. `clownfish model bench` compares them."""
    calibration: str = ""
    """For `torch-int8`: a video, or `puppets:train/0`, whose first minute sets the ranges of its integers."""
    count: Annotated[int, Bounds(ge=0, le=256)] = 1
    """Worker processes that `up` starts."""
    batch: Annotated[int, Bounds(ge=0, le=64)] = 0
    """Windows, of whatever streams, that the model answers together, at most. 0: 8 on a GPU; 1 on a CPU, which gains
    next to nothing by more."""
    batch_wait_ms: Annotated[float, Bounds(ge=0, le=1000)] = 0.0
    """How long the first window of a batch may wait for others while the model is free. 0: not at all; windows that
    come while the model works still share the next batch."""
    credit: Annotated[int, Bounds(ge=0, le=64)] = 0
    """Jobs a worker may hold: one batch in work, the others arriving meanwhile. 0: two batches."""
    key: str = ""
    """File of this worker's secret key, authorized with --role worker."""
    router_key: str = ""
    """The router's public key: its 40 characters, or the file router.pub."""
    insecure: bool = False
    """Without a key, take frames from a router beyond this host in the clear."""

    def __post_init__(self) -> None:
        _both_keys(self.key, self.router_key)


@dataclass(frozen=True, kw_only=True)
class Metrics(Section):
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
    endpoint: Annotated[str, Bounds(pattern=r"^https?://\S+$")] = "http://127.0.0.1:4318/v1/traces"
    """Where spans go, as OTLP over HTTP (needs the extra `otel`). OTEL_EXPORTER_OTLP_HEADERS and its like count."""
    ratio: Annotated[float, Bounds(ge=0, le=1)] = 0.01
    """Share of windows that are traced: by their name, so that edge and cloud choose the same."""


@dataclass(frozen=True, kw_only=True)
class Pool(Section):
    """Workers in place of `count`: as many as the router's queue needs, each as [worker] says."""

    kind: Literal["local", "ray"] = "local"
    """Where workers run: as processes of this host, or as actors of a Ray cluster (extra `ray`), where it has room."""
    address: str = "auto"
    """Ray: `auto` finds the cluster that runs on this host (or RAY_ADDRESS), `local` starts one, or HOST:PORT."""
    min_workers: Annotated[int, Bounds(ge=0, le=4096)] = 1
    max_workers: Annotated[int, Bounds(ge=1, le=4096)] = 4
    cpus: Annotated[float, Bounds(ge=0)] = 1.0
    """Ray: processors kept for each worker."""
    gpus: Annotated[float, Bounds(ge=0)] = 0.0
    """Ray: what share of a GPU each worker gets; 0.25 puts four on one."""
    up_delay_ms: Annotated[float, Bounds(gt=0)] = 200.0
    """More workers when windows wait longer than this for one, or miss their deadlines, ..."""
    up_after_s: Annotated[float, Bounds(ge=0)] = 2.0
    """... for this long."""
    down_load: Annotated[float, Bounds(gt=0, le=0.95)] = 0.5
    """One worker less when those that stay would be loaded to this at most ..."""
    down_after_s: Annotated[float, Bounds(gt=0)] = 60.0
    """... for this long."""
    cooldown_s: Annotated[float, Bounds(ge=0)] = 10.0
    """No change sooner than this after another."""

    def __post_init__(self) -> None:
        if self.min_workers > self.max_workers:
            raise ValueError(f"min_workers is {self.min_workers}, above max_workers, {self.max_workers}")
        if self.address.startswith("ray://"):
            raise ValueError("address is a Ray Client's; expected `auto`, `local` or HOST:PORT of the cluster itself")


@dataclass(frozen=True, kw_only=True)
class Config(Section):
    """The whole file."""

    graph: Graph = Graph()
    log: Log = Log()
    streams: tuple[Stream, ...] = ()
    capture: Capture = Capture()
    window: WindowSection = WindowSection()
    local: Local | None = None
    filter: Filter = Filter()
    uplink: Uplink | None = None
    fusion: FusionSection = FusionSection()
    events: EventsSection = EventsSection()
    sinks: tuple[SinkSection, ...] = ()
    record: RecordSection | None = None
    router: Router | None = None
    worker: Worker | None = None
    pool: Pool | None = None
    page: Page | None = None
    link: Link | None = None
    metrics: Metrics | None = None
    trace: Trace | None = None

    def __post_init__(self) -> None:
        if self.streams and self.local is None:
            raise ValueError("streams need a [local] section with a model")
        if not self.streams and self.router is None and self.worker is None:
            raise ValueError("nothing to start: give [[streams]], [router] or [worker]")
        if self.pool is not None and (self.router is None or self.worker is None):
            raise ValueError("[pool] needs [router], whose queue it watches, and [worker], which says what it runs")
        for what, names in (("stream", [s.name for s in self.streams]), ("sink", [s.name for s in self.sinks])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two {what}s are called {twice[0]!r}; each needs a name of its own")

    def run_dir(self) -> Path:
        """Where this graph's sockets, locks and counters live."""
        if self.graph.run_dir:
            return Path(self.graph.run_dir)
        return run_root() / self.graph.name

    def ipc(self, name: str) -> str:
        """Endpoint of the socket called `name`, bound by its receiver. Raises ConfigError if its path is too long."""
        return ipc_in(self.run_dir(), name)


def run_root() -> Path:
    """Where the run folders of this user's graphs are, unless a configuration names another."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    return Path(base) / "clownfish" if base else Path(tempfile.gettempdir()) / f"clownfish-{os.getuid()}"


def ipc_in(run_dir: Path, name: str) -> str:
    """Endpoint of a socket of the graph in `run_dir`. Raises ConfigError if its path is too long."""
    path = str(run_dir.absolute() / f"{name}.ipc")
    if len(path.encode()) > 100:  # sun_path holds 108 bytes
        raise ConfigError(f"graph.run_dir: socket path {path!r} is longer than 100 bytes; choose a shorter run_dir")
    return f"ipc://{path}"


def to_tree(value: Any) -> Any:
    """Settings as tables, lists and values: what JSON holds, and `load_validated` reads."""
    if isinstance(value, Plugin):
        return value.table()
    if is_dataclass(value):
        return {each.name: to_tree(getattr(value, each.name)) for each in fields(value)}
    return [to_tree(each) for each in value] if isinstance(value, tuple) else value


def load_validated(path: Path) -> Config:
    """The settings that the supervisor has validated and written. Raises ConfigError where the file is no such one."""
    try:
        config: Config = _from_tree(Config, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{path}: is no configuration that `clownfish up` wrote: {error!r}") from error
    return config


def section_of(kind: type[S], tree: Mapping[str, Any], where: str) -> S:
    """One section, as `to_tree` gave it, validated before. Raises ConfigError where it is none of this release."""
    try:
        section: S = _from_tree(kind, tree)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{where}: these settings are not of this release: {error}") from error
    return section


def _from_tree(kind: Any, value: Any) -> Any:
    """A value of the annotated type `kind`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _from_tree(arguments[0], value)
    if origin is tuple:
        return tuple(_from_tree(arguments[0], each) for each in value)
    if value is not None and type(None) in arguments:
        return _from_tree(Union[tuple(each for each in arguments if each is not type(None))], value)  # noqa: UP007
    if kind is Plugin:
        return Plugin.from_table(value)
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind, include_extras=True)
        return kind(**{name: _from_tree(hints[name], each) for name, each in value.items()})
    return value
